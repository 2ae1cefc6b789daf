"""What survives resets and deep sleep, but no power cut: one item with a checksum (SPEC 12.7).

Any doubt about it means that nothing was retained. Pure: the memory is the board's.
"""

import binascii

from protocol import cbor, fields
from protocol.errors import ProtocolError
from tare import scale

_VERSION = 1
_CRC_SIZE = 4


class Retained:
    """`clock` is `Clock.item`; `zero_g` the scale's zero; `asleep_ms` when the link fell asleep."""

    def __init__(self, clock: list[object], zero_g: int, asleep_ms: int) -> None:
        self.clock = clock
        self.zero_g = zero_g
        self.asleep_ms = asleep_ms

    def pack(self) -> bytes:
        """Return the bytes for the board's memory."""
        raw = cbor.encode([_VERSION, self.clock, self.zero_g, self.asleep_ms])
        return raw + _checksum(raw)


def unpack(data: bytes) -> Retained | None:
    """Return what was packed; None for anything that is not it, whole and unchanged."""
    raw = data[:-_CRC_SIZE]
    if not raw or _checksum(raw) != data[-_CRC_SIZE:]:
        return None
    try:
        item = cbor.decode(raw)
        version, clock, zero_g, asleep_ms = fields.array(item, 4, 4, "retained")
        fields.integer(version, _VERSION, _VERSION, "retained")
        fields.array(clock, 3, 3, "retained")
        fields.integer(zero_g, -scale.MAX_G, scale.MAX_G, "retained")
        fields.integer(asleep_ms, 0, fields.MAX_INTEGER, "retained")
    except ProtocolError:
        return None
    return Retained(clock, zero_g, asleep_ms)


def _checksum(raw: bytes) -> bytes:
    return (binascii.crc32(raw) & 0xFFFFFFFF).to_bytes(_CRC_SIZE, "big")
