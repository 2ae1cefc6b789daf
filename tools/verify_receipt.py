"""Checks a receipt of Tare without Tare, without a network, with nothing but Python 3.

    python3 verify_receipt.py RECEIPT.json [--public-key HEX] [--email ADDRESS] [--log FILE]

It shares no code with the program that makes receipts. The signature is Ed25519, written out
from RFC 8032, section 5.1; the hash that says whom a receipt is about is
SHA-256(nonce, address), the address in NFKC and without case. Exit code 0: everything holds, and
the key is the one that you gave; 1: something does not hold; 2: a file cannot be read, or is no
receipt; 3: all else holds, but nobody said which key is the service's, so anybody may have
signed it.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import sys
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# The curve of RFC 8032, section 5.1.
P = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
ROOT_OF_MINUS_ONE = pow(2, (P - 1) // 4, P)
BASE_X = 15112221349535400772501151409588531511454012693041857206046113283949847762202
BASE_Y = 4 * pow(5, P - 2, P) % P
BASE = (BASE_X, BASE_Y, 1, BASE_X * BASE_Y % P)


HOLDS, DOES_NOT_HOLD, UNREADABLE, KEY_UNKNOWN = 0, 1, 2, 3
EXIT_CODES = (
    "Exit code 0: everything holds, and the key is the one that you gave; 1: something does not "
    "hold; 2: a file cannot be read, or is no receipt; 3: all else holds, but without "
    "--public-key nobody knows who signed it."
)
VERSION = 1
TEXTS = ("request", "kind", "previous", "key", "about")
DATES = ("received", "finished", "unreadable", "compacted", "backup_horizon")
LISTS = ("retained", "not_verified")

Point = tuple[int, int, int, int]
NEUTRAL: Point = (0, 1, 1, 0)
Log = list[tuple[bytes, bytes, dict[str, Any]]]  # signature, signed bytes, what they say


class BadError(Exception):
    """Something does not hold; the text says what."""


class FormError(Exception):
    """A file is none of those that are read here, whoever signed it."""


@dataclass(frozen=True)
class Document:
    """The file that a person was given."""

    receipt: dict[str, Any]
    signature: bytes
    public_key: bytes
    nonce: bytes | None


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the checks; returns the exit code."""
    parser = argparse.ArgumentParser(description="Checks a receipt of Tare.", epilog=EXIT_CODES)
    parser.add_argument("receipt", type=Path, help="the file that you were given")
    parser.add_argument(
        "--public-key",
        help="the key that the service publishes, in hex; without it the exit code is 3 at best",
    )
    parser.add_argument("--email", help="your address: is this receipt about you?")
    parser.add_argument("--log", type=Path, help="the service's log of receipts: is yours in it?")
    given = parser.parse_args(arguments)
    try:
        document = read_document(given.receipt)
        log = read_log(given.log) if given.log else None
        address = None if given.email is None else normalise(given.email)
    except (FormError, OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        say(f"cannot be read: {str(error) or type(error).__name__}")
        return UNREADABLE
    try:
        for line in check(document, given.public_key, address, log):
            say(f"holds: {line}")
    except BadError as bad:
        say(f"DOES NOT HOLD: {bad}")
        return DOES_NOT_HOLD
    if given.public_key is None:
        say(
            f"NOT CHECKED: whether key {document.receipt['key']} is the service's. Anybody can "
            "make a key and sign with it: give the one that the service publishes (--public-key)"
        )
    say("")
    for line in summary(document.receipt):
        say(line)
    return HOLDS if given.public_key is not None else KEY_UNKNOWN


def say(line: str) -> None:
    """Prints one line. What a file holds cannot steer the terminal or begin another line."""
    encoding = sys.stdout.encoding or "ascii"
    visible = "".join(
        each if each.isprintable() else each.encode("unicode_escape").decode() for each in line
    )
    print(visible.encode(encoding, "backslashreplace").decode(encoding))


def read_document(path: Path) -> Document:
    """The file; FormError, ValueError, KeyError, TypeError or RecursionError for any other."""
    document = json.loads(path.read_bytes().decode())
    receipt = document["receipt"]
    check_form(receipt)
    canonical(receipt)
    return Document(
        receipt=receipt,
        signature=unbase64(document["signature"]),
        public_key=bytes.fromhex(document["public_key"]),
        nonce=bytes.fromhex(document["nonce"]) if "nonce" in document else None,
    )


def check_form(receipt: object) -> None:
    """Raises FormError for what is no receipt."""
    if not isinstance(receipt, dict):
        raise FormError("there is no receipt in it")
    for name in TEXTS:
        if not isinstance(receipt.get(name), str):
            raise FormError(f"this is no receipt: {name} is no text")
    if type(receipt.get("index")) is not int or receipt["index"] < 1:
        raise FormError("this is no receipt: index is no number of a line")
    if type(receipt.get("version")) is not int or receipt["version"] != VERSION:
        raise FormError("this is no receipt of a version that is known here")
    for name in DATES:
        if not isinstance(receipt.get(name, ""), str):
            raise FormError(f"this is no receipt: {name} is no text")
    for name in LISTS:
        listed = receipt.get(name, [])
        if not isinstance(listed, list) or not all(isinstance(each, str) for each in listed):
            raise FormError(f"this is no receipt: {name} is no list of texts")


def read_log(path: Path) -> Log:
    """The log's lines; FormError or RecursionError for anything else."""
    log = []
    for number, line in enumerate(path.read_bytes().splitlines(), start=1):
        signature, _, signed = line.partition(b" ")
        try:
            entry = (unbase64(signature.decode()), signed, json.loads(signed.decode()))
            check_form(entry[2])
        except (ValueError, FormError) as error:
            raise FormError(f"line {number} of the log: {error}") from error
        log.append(entry)
    return log


def normalise(email: str) -> str:
    """One form for all spellings of an address, as the service has it; ValueError for half a
    character, which no address has.
    """
    address = unicodedata.normalize("NFKC", email).strip().casefold()
    address.encode()
    return address


def check(
    document: Document, public_key: str | None, address: str | None, log: Log | None
) -> Iterator[str]:
    """Yields what holds; raises BadError at what does not."""
    receipt, key = document.receipt, document.public_key
    signed = canonical(receipt)
    if public_key is not None and public_key.strip().lower() != key.hex():
        raise BadError("it was signed by another key than the one that you gave")
    if receipt.get("key") != hashlib.sha256(key).hexdigest()[:16]:
        raise BadError("it names another key than the one that is in the file")
    if has_small_order(key):
        raise BadError("its key is one that anybody can sign with")
    if not verify(key, signed, document.signature):
        raise BadError("the signature: it was not made for these words by this key")
    yield "the signature of key " + receipt["key"]
    if address is not None:
        if document.nonce is None:
            raise BadError("there is no nonce in the file: nobody can tell whom it is about")
        about = hashlib.sha256(document.nonce + address.encode()).hexdigest()
        if about != receipt.get("about"):
            raise BadError("it is not about this address")
        yield "it is about " + address
    if log is not None:
        yield from check_log(receipt, signed, key, log)


def check_log(receipt: dict[str, Any], signed: bytes, key: bytes, log: Log) -> Iterator[str]:
    """The chain of the whole log, and the receipt's place in it."""
    previous = "0" * 64
    for number, (signature, entry, parsed) in enumerate(log, start=1):
        if parsed["previous"] != previous or parsed["index"] != number:
            raise BadError(f"line {number} of the log does not follow the one before")
        if not verify(key, entry, signature):
            raise BadError(f"line {number} of the log: its signature")
        previous = hashlib.sha256(entry).hexdigest()
    index = receipt["index"]
    if index > len(log) or log[index - 1][1] != signed:
        raise BadError("it is not in the log")
    yield f"it is line {index} of {len(log)} of the log, which is unbroken"


def summary(receipt: dict[str, Any]) -> Iterator[str]:
    """The receipt in a few lines."""
    yield f"request   {receipt['request']}"
    yield f"what      {receipt['kind']}"
    yield from (f"{name:9} {receipt[name]}" for name in DATES if receipt.get(name))
    for name in LISTS:
        for each in receipt.get(name, []):
            yield f"{name.replace('_', ' ')}: {each}"


def canonical(value: object) -> bytes:
    """RFC 8785 for what a receipt holds: texts, whole numbers, lists, maps with ASCII keys."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return text.encode()


def unbase64(text: str) -> bytes:
    """URL-safe base64 without padding, in its one form; ValueError for anything else."""
    data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    if base64.urlsafe_b64encode(data).rstrip(b"=").decode() != text:
        raise ValueError("the base64 of a signature")
    return data


def verify(public_key: bytes, message: bytes, signature: bytes) -> bool:
    """Ed25519 (RFC 8032, section 5.1.7); strict: one signature has one form."""
    if len(public_key) != 32 or len(signature) != 64:
        return False
    key, nonce_point = decompress(public_key), decompress(signature[:32])
    scalar = int.from_bytes(signature[32:], "little")
    if key is None or nonce_point is None or scalar >= ORDER or has_small_order(public_key):
        return False
    digest = hashlib.sha512(signature[:32] + public_key + message).digest()
    challenge = int.from_bytes(digest, "little") % ORDER
    return equal(multiply(scalar, BASE), add(nonce_point, multiply(challenge, key)))


def has_small_order(public_key: bytes) -> bool:
    """Whether it is one of the few points under which one signature fits every text."""
    key = decompress(public_key) if len(public_key) == 32 else None
    return key is not None and equal(multiply(8, key), NEUTRAL)


def add(p: Point, q: Point) -> Point:
    """The sum of two points in extended coordinates (RFC 8032, section 5.1.4)."""
    a, b = (p[1] - p[0]) * (q[1] - q[0]) % P, (p[1] + p[0]) * (q[1] + q[0]) % P
    c, d = 2 * p[3] * q[3] * D % P, 2 * p[2] * q[2] % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % P, g * h % P, f * g % P, e * h % P


def multiply(scalar: int, point: Point) -> Point:
    """The point added to itself so many times."""
    result = NEUTRAL
    while scalar:
        if scalar & 1:
            result = add(result, point)
        point = add(point, point)
        scalar >>= 1
    return result


def equal(p: Point, q: Point) -> bool:
    """Whether two points are the same."""
    return (p[0] * q[2] - q[0] * p[2]) % P == 0 and (p[1] * q[2] - q[1] * p[2]) % P == 0


def decompress(data: bytes) -> Point | None:
    """The point of 32 bytes, or None (RFC 8032, section 5.1.3)."""
    y = int.from_bytes(data, "little")
    sign, y = y >> 255, y & (2**255 - 1)
    if y >= P:
        return None
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * ROOT_OF_MINUS_ONE % P
    if (x * x - square) % P or (x == 0 and sign):
        return None
    if x & 1 != sign:
        x = P - x
    return x, y, 1, x * y % P


if __name__ == "__main__":
    sys.exit(main())
