"""Looks for what must not be in a log: weights, who the person is, and keys in any spelling."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from hil_tests.rig.station import Station
from protocol import cbor

_SECTOR = 4096
_HEADER = 16
# Flash map (SPEC 12): the two copies of the identity.
_IDENTITY_SECTORS = (0, 1)
_PRIVATE_KEY_SIZE = 32
# Half a claim code, as one line of the display has it.
_HALF_CODE = re.compile(r"\b[0-9A-Z]{4}-[0-9A-Z]{4}\b")


@dataclass(frozen=True)
class Secret:
    """Something to look for: a name for the report, which never shows the secret itself."""

    name: str
    pattern: re.Pattern[str]


def find(text: str, secrets: Iterable[Secret]) -> list[str]:
    """The names of the secrets that are in a text."""
    return [secret.name for secret in secrets if secret.pattern.search(text)]


def logs_of(station: Station) -> dict[str, str]:
    """Every log output of a station, by name."""
    found = {path.name: path.read_text(errors="replace") for path in station.cloud.logs.iterdir()}
    said = station.scale.said().splitlines()
    # The display is for the person in front of it. Nothing else that goes over the line may show
    # what it shows: neither log lines nor replies, nor what is neither, such as a traceback.
    found["serial"] = "\n".join(line for line in said if not line.startswith("! display"))
    return found


def secrets_of(station: Station) -> Iterator[Secret]:
    """All that this run knows and no log may show."""
    person = station.cloud.person
    mailbox = person.email.partition("@")[0]
    for word in (person.email, mailbox, person.password, *person.name.split()):
        pattern = re.compile(re.escape(word), re.IGNORECASE)
        yield Secret(f"something about the person ({len(word)} letters)", pattern)
    for grams in {each.grams for each in station.scale.saved()}:
        yield weight(grams)
    for code in _claim_codes(station):
        yield Secret("a claim code", re.compile(re.escape(code)))
    for name, key in _keys(station):
        yield from spellings(name, key)


def weight(grams: int) -> Secret:
    """A weight in g, or in kg with one to three decimals; not inside another number."""
    kilograms, rest = divmod(grams, 1000)
    decimals = f"{rest:03d}".rstrip("0") or "0"
    # People of these tests weigh more than 65,535 g, so that this is no port and no second.
    pattern = rf"(?<![\w.])({grams}|{kilograms}[.,]{decimals}0*)(k?g\b|(?![\w:]))"
    return Secret("a weight", re.compile(pattern))


def spellings(name: str, key: bytes) -> Iterator[Secret]:
    """The ways in which bytes get into a text."""
    for how, text in (
        ("hex", key.hex()),
        ("base64", base64.b64encode(key).decode().rstrip("=")),
        ("base64url", base64.urlsafe_b64encode(key).decode().rstrip("=")),
        ("Python", repr(key)[2:-1]),
        ("list", ", ".join(map(str, key))),
    ):
        yield Secret(f"{name} as {how}", re.compile(re.escape(text), re.IGNORECASE))


def device_keys(flash: bytes) -> set[bytes]:
    """Every private and MAC key in a flash image."""
    found: set[bytes] = set()
    for sector in _IDENTITY_SECTORS:
        start = sector * _SECTOR
        if flash[start : start + 4] == b"TARE":
            length = int.from_bytes(flash[start + 6 : start + 8], "little")
            body = cbor.decode(flash[start + _HEADER : start + _HEADER + length])
            found |= {part for part in _parts(body) if len(part) == _PRIVATE_KEY_SIZE}
    return found


def _parts(item: object) -> Iterator[bytes]:
    if isinstance(item, bytes):
        yield item
    elif isinstance(item, list):
        for part in item:
            yield from _parts(part)


def _claim_codes(station: Station) -> set[str]:
    shown = " ".join(
        " ".join(event.data["lines"]) for event in station.scale.events() if event.name == "display"
    )
    return set(_HALF_CODE.findall(shown))


def _keys(station: Station) -> Iterator[tuple[str, bytes]]:
    # After a failed start some of them are not there.
    if station.scale.flash.exists():
        for key in device_keys(station.scale.flash.read_bytes()):
            yield "a key of the device", key
    folder = station.cloud.folder
    for path in folder.ca.glob("*.key"):
        yield path.name, private_number(path)
    if folder.kek.exists():
        # The file is a label and the key in hex.
        yield "the key-encryption key", bytes.fromhex(folder.kek.read_text().split()[-1])


def private_number(path: Path) -> bytes:
    """The private number of a PEM key file."""
    key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    return key.private_numbers().private_value.to_bytes(_PRIVATE_KEY_SIZE, "big")
