"""Deterministic CBOR (RFC 8949 section 4.2.1): `encode`, `decode`, `Tag`.

The data model is what SPEC.md uses: integers of -2**64 .. 2**64-1, bytes, text, arrays,
maps with integer, text or byte keys, booleans, null, and tags where a caller allows them.
No floats. What `decode` returns, `encode` turns into exactly the same bytes; whatever
else a general CBOR reader accepts is refused. Pure; touches nothing but its arguments.
"""

from protocol.errors import CborError

# SPEC.md: an array, map or tag inside seven others is the deepest allowed.
MAX_DEPTH = 8

_UNSIGNED = 0
_NEGATIVE = 1
_BYTES = 2
_TEXT = 3
_ARRAY = 4
_MAP = 5
_TAG = 6

_FALSE = 0xF4
_TRUE = 0xF5
_NULL = 0xF6

# Additional information 24..27 says that the argument follows in this many bytes; a value
# below the bound on its right would have fitted a shorter form.
_SHORTEST = ((1, 24), (2, 1 << 8), (4, 1 << 16), (8, 1 << 32))
_MAX_ARGUMENT = (1 << 64) - 1


class Tag:
    """A tagged item: `number` (RFC 8949 section 3.4) and the `value` inside."""

    __slots__ = ("number", "value")

    def __init__(self, number: int, value: object) -> None:
        self.number = number
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Tag) and self.number == other.number and self.value == other.value


def encode(item: object) -> bytes:
    """Return the only deterministic encoding of `item`.

    Lists and tuples become arrays, bytes-like objects byte strings. Raises `CborError` for
    anything outside the data model: floats, sets, other tag classes, integers beyond 64
    bits, nesting deeper than `MAX_DEPTH`.
    """
    out = bytearray()
    _append(out, item, 0)
    return bytes(out)


def decode(data: bytes | bytearray | memoryview, tags: tuple[int, ...] = ()) -> object:
    """Read the one item that `data` is; raise `CborError` unless `encode` would write it so.

    Refused: trailing bytes, keys that repeat or are out of order, indefinite lengths, forms
    that are not the shortest, text that is not UTF-8, floats, nesting deeper than
    `MAX_DEPTH`, and every tag whose number is not in `tags`. A length is checked against
    the bytes that are there before anything is allocated from it.
    """
    return Decoder(data, tags).whole()


def head(major: int, argument: int) -> bytes:
    """Return the initial bytes of an item: its major type and argument, in shortest form."""
    top = major << 5
    if argument < 24:
        return bytes((top | argument,))
    if argument > _MAX_ARGUMENT:
        raise CborError("integer-out-of-range")
    info = 24
    size = 1
    while argument >> (8 * size):
        info += 1
        size *= 2
    return bytes((top | info,)) + argument.to_bytes(size, "big")


def check_text(text: str, size: int) -> None:
    """Refuse text that is not Unicode scalar values written in `size` bytes of UTF-8.

    MicroPython's own decoder lets surrogates, overlong forms and code points above
    U+10FFFF through; CPython's does not. Both must refuse the same input.
    """
    expected = 0
    for character in text:
        code = ord(character)
        if 0xD800 <= code <= 0xDFFF or code > 0x10FFFF:
            raise CborError("not-utf8")
        expected += 1 if code < 0x80 else 2 if code < 0x800 else 3 if code < 0x10000 else 4
    if expected != size:
        raise CborError("not-utf8")


def _append(out: bytearray, item: object, depth: int) -> None:
    # The three constants first: on CPython a bool is an int as well.
    if item is None:
        out.append(_NULL)
    elif item is True:
        out.append(_TRUE)
    elif item is False:
        out.append(_FALSE)
    elif isinstance(item, int):
        out.extend(head(_UNSIGNED, item) if item >= 0 else head(_NEGATIVE, -1 - item))
    elif isinstance(item, (bytes, bytearray, memoryview)):
        out.extend(head(_BYTES, len(item)))
        out.extend(item)
    elif isinstance(item, str):
        _append_text(out, item)
    else:
        _append_container(out, item, depth + 1)


def _append_text(out: bytearray, text: str) -> None:
    try:
        raw = text.encode()
    except UnicodeError:
        raw = b""  # a lone surrogate, on CPython; check_text names the error
    check_text(text, len(raw))
    out.extend(head(_TEXT, len(raw)))
    out.extend(raw)


def _append_container(out: bytearray, item: object, depth: int) -> None:
    if depth > MAX_DEPTH:
        raise CborError("too-deep")
    if isinstance(item, (list, tuple)):
        out.extend(head(_ARRAY, len(item)))
        for element in item:
            _append(out, element, depth)
    elif isinstance(item, dict):
        out.extend(head(_MAP, len(item)))
        for raw_key, value in _sorted_pairs(item):
            out.extend(raw_key)
            _append(out, value, depth)
    elif isinstance(item, Tag):
        out.extend(head(_TAG, item.number))
        _append(out, item.value, depth)
    else:
        raise CborError("type-not-allowed")


def _sorted_pairs(pairs: dict[object, object]) -> list[tuple[bytes, object]]:
    encoded: dict[bytes, object] = {}
    for key, value in pairs.items():
        if isinstance(key, bool) or not isinstance(key, (int, str, bytes)):
            raise CborError("key-type")
        encoded[encode(key)] = value
    return [(raw_key, encoded[raw_key]) for raw_key in sorted(encoded)]


class Decoder:
    """One pass over one input. `decode` is the door; `cbor_generic` relaxes it for vectors."""

    def __init__(self, data: bytes | bytearray | memoryview, tags: tuple[int, ...] = ()) -> None:
        self._data = memoryview(data)
        self._end = len(data)
        self._at = 0
        self._tags = tags

    def whole(self) -> object:
        """Return the single item that fills the input."""
        item = self._item(0)
        if self._at != self._end:
            raise CborError("trailing-bytes")
        return item

    def _item(self, depth: int) -> object:
        major, info = self._initial_byte()
        if major == 7:
            return self._simple(info)
        return self._typed(major, self._argument(info), depth)

    def _typed(self, major: int, argument: int, depth: int) -> object:
        if major < _ARRAY:
            return self._scalar(major, argument)
        if depth == MAX_DEPTH:
            raise CborError("too-deep")
        # Three calls a level, no more: a device's stack of 10 KB has to hold all of them.
        if major == _ARRAY:
            return self._array(argument, depth + 1)
        if major == _MAP:
            return self._map(argument, depth + 1)
        return self._tag(argument, depth + 1)

    def _scalar(self, major: int, argument: int) -> object:
        if major == _UNSIGNED:
            return argument
        if major == _NEGATIVE:
            return -1 - argument
        if major == _BYTES:
            return self._take(argument)
        return self._text(argument)

    def _initial_byte(self) -> tuple[int, int]:
        if self._at >= self._end:
            raise CborError("too-short")
        first = self._data[self._at]
        self._at += 1
        return first >> 5, first & 31

    def _argument(self, info: int) -> int:
        if info < 24:
            return info
        if info > 27:
            raise CborError("indefinite-length" if info == 31 else "reserved-head")
        size, bound = _SHORTEST[info - 24]
        value = int.from_bytes(self._take(size), "big")
        if value < bound:
            self._not_shortest()
        return value

    def _not_shortest(self) -> None:
        raise CborError("not-shortest")

    def _take(self, size: int) -> bytes:
        if size > self._end - self._at:
            raise CborError("too-short")
        start = self._at
        self._at += size
        return bytes(self._data[start : self._at])

    def _text(self, size: int) -> str:
        raw = self._take(size)
        try:
            text = str(raw, "utf-8")
        except UnicodeError:
            text = ""  # an empty text cannot be `size` bytes long, so the check names the error
            size = -1
        check_text(text, size)
        return text

    def _array(self, count: int, depth: int) -> list[object]:
        # Every element takes at least one byte: a count beyond that is a lie.
        if count > self._end - self._at:
            raise CborError("too-short")
        elements: list[object] = []
        for _ in range(count):
            elements.append(self._item(depth))  # noqa: PERF401 - a comprehension is a call more
        return elements

    def _map(self, count: int, depth: int) -> dict[object, object]:
        if 2 * count > self._end - self._at:
            raise CborError("too-short")
        pairs: dict[object, object] = {}
        previous = b""
        for _ in range(count):
            start = self._at
            key = self._key(depth)
            raw_key = bytes(self._data[start : self._at])
            self._check_order(previous, raw_key)
            previous = raw_key
            pairs[key] = self._item(depth)
        return pairs

    def _key(self, depth: int) -> object:
        key = self._item(depth)
        if isinstance(key, bool) or not isinstance(key, (int, str, bytes)):
            raise CborError("key-type")
        return key

    def _check_order(self, previous: bytes, raw_key: bytes) -> None:
        if raw_key == previous:
            raise CborError("duplicate-key")
        if raw_key < previous:
            raise CborError("unsorted-keys")

    def _tag(self, number: int, depth: int) -> object:
        if number not in self._tags:
            raise CborError("tag-not-allowed")
        return Tag(number, self._item(depth))

    def _simple(self, info: int) -> object:
        if info == _FALSE & 31:
            return False
        if info == _TRUE & 31:
            return True
        if info == _NULL & 31:
            return None
        raise CborError("simple-not-allowed")
