"""How many bytes a frame of 1 .. 32 readings takes, beside JSON, JSON + JWS and SenML-CBOR.

All four say the same: which device, sequence, claim, person and clock; when, how attributed, and
the values of each reading. Only Tare's frame and the JWS are signed. Run as
`python -m tools.bench.frames`.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cbor2
from rich.console import Console
from rich.table import Table

from protocol import envelope, frame, reading
from protocol.signer import PortableSigner

COUNTS = (1, 2, 4, 8, 16, 24, 32)
#: SPEC 4.7: one weigh-in, one blood-pressure reading, and each further one, at most.
BUDGETS = {"weigh-in": (120, 20), "blood pressure": (124, 22)}
_NOW_S = 1_795_000_000
_DAY_S = 86_400
_KEY = bytes(range(1, 33))
_SIGNER = PortableSigner(_KEY)
# SenML labels (RFC 8428 section 6) and units.
_BASE_NAME, _BASE_TIME, _NAME, _UNIT, _VALUE, _TIME = -2, -3, 0, 1, 2, 6
_FIELDS: dict[str, tuple[tuple[str, str, float], ...]] = {
    "weigh-in": (("weight", "kg", 1000), ("impedance", "Ohm", 10)),
    # SenML knows pascals, not millimetres of mercury; the numbers stay those of the device.
    "blood pressure": (
        ("systolic", "mmHg", 10),
        ("diastolic", "mmHg", 10),
        ("mean", "mmHg", 10),
        ("pulse", "beat/min", 10),
    ),
}


@dataclass(frozen=True)
class Sizes:
    """Bytes of one frame with `count` readings."""

    count: int
    tare: int
    json: int
    jws: int
    senml: int


def measure(kind: str, counts: tuple[int, ...] = COUNTS) -> list[Sizes]:
    """The sizes for one kind of reading, "weigh-in" or "blood pressure"."""
    return [
        Sizes(
            count=count,
            tare=len(_tare(message)),
            json=len(_json(kind, message)),
            jws=len(_jws(_json(kind, message))),
            senml=len(_senml(kind, message)),
        )
        for count in counts
        for message in [_message(kind, count)]
    ]


def table(kind: str, sizes: list[Sizes]) -> Table:
    """The sizes side by side."""
    one, more = BUDGETS[kind]
    heading = f"bytes of a frame: {kind} (at most {one}, each further at most {more})"
    shown = Table(
        "readings", "Tare, signed", "a reading", "JSON", "JSON + JWS", "SenML-CBOR", title=heading
    )
    for size in sizes:
        each = f"{size.tare / size.count:.1f}"
        cells = (size.count, size.tare, each, size.json, size.jws, size.senml)
        shown.add_row(*[str(cell) for cell in cells])
    for column in shown.columns:
        column.justify = "right"
    return shown


def _message(kind: str, count: int) -> frame.Readings:
    """One reading a day, in the fixture of SPEC 4.7."""
    make: Callable[[int], reading.Reading] = _weigh_in if kind == "weigh-in" else _pressure
    return frame.Readings(
        oldest=65_535 - count,
        first=65_535 - count,
        claim_epoch=255,
        handle=255,
        clock=frame.Clock(255),
        records=[make(number) for number in range(count)],
    )


def _weigh_in(number: int) -> reading.Reading:
    at_s, grams = _NOW_S + number * _DAY_S, 72_500 + 137 * number % 900
    said = reading.ATTRIBUTION_RECOGNISED
    return reading.weight(
        at_s, grams, 5_000 + 11 * number % 90, since_epoch=False, attribution=said
    )


def _pressure(number: int) -> reading.Reading:
    at_s, change = _NOW_S + number * _DAY_S, 7 * number % 60
    values = [1_234 + change, 801 + change // 2, 955 + change // 2, 652 + change]
    said = reading.ATTRIBUTION_RECOGNISED
    return reading.blood_pressure(at_s, values, since_epoch=False, attribution=said)


def _tare(message: frame.Readings) -> bytes:
    return envelope.seal_sign1(message.TYPE, _SIGNER.kid, message.encode(), _SIGNER)


def _values(kind: str, record: reading.Reading) -> list[float]:
    """The values in the units of the names, as JSON and SenML carry them."""
    scales = [scale for _, _, scale in _FIELDS[kind]]
    return [value / scale for value, scale in zip(record.values, scales, strict=True)]


def _json(kind: str, message: frame.Readings) -> bytes:
    names = [name for name, _, _ in _FIELDS[kind]]
    readings = [
        {"time": record.seconds, "kind": record.kind, "attribution": record.attribution}
        | dict(zip(names, _values(kind, record), strict=True))
        for record in message.records
    ]
    whole = {
        "device": _SIGNER.kid.hex(),
        "oldest": message.oldest,
        "first": message.first,
        "claim": message.claim_epoch,
        "person": message.handle,
        "clock": message.clock.epoch,
        "readings": readings,
    }
    return json.dumps(whole, separators=(",", ":")).encode()


def _jws(payload: bytes) -> bytes:
    """JWS compact serialization (RFC 7515), signed as ours is."""
    header = json.dumps({"alg": "ES256", "kid": _SIGNER.kid.hex()}, separators=(",", ":")).encode()
    return b".".join(_base64url(part) for part in (header, payload, bytes(64)))


def _base64url(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def _senml(kind: str, message: frame.Readings) -> bytes:
    base: dict[int, Any] = {
        _BASE_NAME: f"urn:dev:tare:{_SIGNER.kid.hex()}:",
        _BASE_TIME: message.records[0].seconds,
    }
    frame_fields = (
        ("oldest", message.oldest),
        ("first", message.first),
        ("claim", message.claim_epoch),
        ("person", message.handle),
        ("clock", message.clock.epoch),
    )
    records: list[dict[int, Any]] = [{_NAME: name, _VALUE: value} for name, value in frame_fields]
    for record in message.records:
        since = record.seconds - message.records[0].seconds
        at: dict[int, Any] = {_TIME: since} if since else {}
        records.append({_NAME: "attribution", _VALUE: record.attribution} | at)
        for (name, unit, _), value in zip(_FIELDS[kind], _values(kind, record), strict=True):
            records.append({_NAME: name, _UNIT: unit, _VALUE: value} | at)
    records[0] = base | records[0]
    # Canonical: the shortest float that keeps the value.
    return cbor2.dumps(records, canonical=True)


def main() -> int:
    """Prints the tables."""
    console = Console()
    for kind in BUDGETS:
        console.print(table(kind, measure(kind)))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
