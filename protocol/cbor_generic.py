"""Any well-formed CBOR (RFC 8949), for reading what others wrote and for the public vectors.

`decode` takes what `cbor.decode` refuses but RFC 8949 calls well-formed: indefinite
lengths, longer forms, unsorted keys, floats, simple values, every tag, bignums. Nothing
that Tare receives is read with it. On boards with 32-bit floats doubles lose precision.
"""

import struct

from protocol import cbor
from protocol.errors import CborError

_BREAK = 0xFF
_FLOATS = ((25, 2, ">e"), (26, 4, ">f"), (27, 8, ">d"))


class Simple:
    """A simple value (RFC 8949 section 3.3) other than false, true and null."""

    __slots__ = ("number",)

    def __init__(self, number: int) -> None:
        self.number = number


def decode(data: bytes | bytearray | memoryview) -> object:
    """Read the one well-formed item that `data` is; raise `CborError` if it is not one."""
    return _GenericDecoder(data).whole()


class _GenericDecoder(cbor.Decoder):
    def _item(self, depth: int) -> object:
        major, info = self._initial_byte()
        if major == 7:
            return self._simple(info)
        if info == 31:
            return self._indefinite(major, depth)
        return self._typed(major, self._argument(info), depth)

    def _not_shortest(self) -> None:
        pass

    def _indefinite(self, major: int, depth: int) -> object:
        if major in {2, 3}:
            return self._chunks(major)
        depth += 1
        if depth > cbor.MAX_DEPTH:
            raise CborError("too-deep")
        if major == 4:
            return self._open_array(depth)
        if major == 5:
            return self._open_map(depth)
        raise CborError("reserved-head")

    def _at_break(self) -> bool:
        if self._at < self._end and self._data[self._at] == _BREAK:
            self._at += 1
            return True
        return False

    def _chunks(self, major: int) -> object:
        whole = "" if major == 3 else b""
        while not self._at_break():
            chunk_major, info = self._initial_byte()
            if chunk_major != major or info == 31:
                raise CborError("chunk-type")
            # Whole and chunk are of one type.
            whole += self._typed(major, self._argument(info), 0)  # type: ignore[operator]
        return whole

    def _open_array(self, depth: int) -> list[object]:
        elements: list[object] = []
        while not self._at_break():
            elements.append(self._item(depth))
        return elements

    def _open_map(self, depth: int) -> dict[object, object]:
        pairs: dict[object, object] = {}
        while not self._at_break():
            self._pair(pairs, depth)
        return pairs

    def _map(self, count: int, depth: int) -> dict[object, object]:
        if 2 * count > self._end - self._at:
            raise CborError("too-short")
        pairs: dict[object, object] = {}
        for _ in range(count):
            self._pair(pairs, depth)
        return pairs

    def _pair(self, pairs: dict[object, object], depth: int) -> None:
        key = self._key(depth)
        if key in pairs:
            raise CborError("duplicate-key")
        pairs[key] = self._item(depth)

    def _tag(self, number: int, depth: int) -> object:
        value = self._item(depth)
        if number in {2, 3} and isinstance(value, bytes):
            magnitude = int.from_bytes(value, "big")
            return magnitude if number == 2 else -1 - magnitude
        return cbor.Tag(number, value)

    def _simple(self, info: int) -> object:
        if 20 <= info <= 22:
            return super()._simple(info)
        if info < 24:
            return Simple(info)
        if info == 24:
            number = self._take(1)[0]
            # RFC 8949 section 3.3: the two-byte form below 32 is not well-formed.
            if number < 32:
                raise CborError("reserved-simple")
            return Simple(number)
        for float_info, size, layout in _FLOATS:
            if info == float_info:
                return struct.unpack(layout, self._take(size))[0]
        raise CborError("reserved-head")
