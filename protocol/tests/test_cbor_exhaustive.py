"""Every input of one and two bytes, and every head with every short tail: three readers agree.

The three are `cbor.decode`, cbor2 behind the second implementation, and RFC 8949's own words for
what a head may be. Longer inputs are met by hypothesis and by the mutators.
"""

from collections.abc import Iterator

from protocol import cbor
from protocol.errors import CborError
from protocol.tests import second

_REFUSED = object()


def _ours(data: bytes) -> object:
    try:
        return cbor.decode(data)
    except CborError:
        return _REFUSED


def _second(data: bytes) -> object:
    try:
        return second.decode(data)
    except second.RefusedError:
        return _REFUSED


def _agree(data: bytes) -> bool:
    ours, theirs = _ours(data), _second(data)
    assert ours is theirs or (ours == theirs and type(ours) is type(theirs)), data.hex()
    return ours is not _REFUSED


def _short() -> Iterator[bytes]:
    for first in range(256):
        yield bytes((first,))
        for other in range(256):
            yield bytes((first, other))


def test_every_input_of_one_or_two_bytes() -> None:
    taken = sum(_agree(data) for data in _short())
    # One byte: 24 + 24 integers, empty bytes, text, array and map, false, true and null. Two
    # bytes: 2 * 232 longer integers, one byte, one character, and an array of one such item.
    one_byte = 24 + 24 + 4 + 3
    assert taken == one_byte + 2 * 232 + 256 + 128 + one_byte


def test_every_head_with_the_shortest_and_longest_tails() -> None:
    tails = (b"", b"\x00", b"\x17", b"\x18", b"\xff", b"\x00\xff", b"\x01\x00", b"\xff\xff")
    longer = (
        b"\x00\x00\xff\xff",
        b"\x00\x01\x00\x00",
        bytes(4) + b"\xff" * 4,
        b"\0\0\0\1" + bytes(4),
    )
    behind = (b"", b"\x00", bytes(23), b"a" * 24, b"\x00\x01\x01\x02", bytes(256))
    taken = 0
    for first in range(256):
        for tail in (*tails, *longer):
            for rest in behind:
                taken += _agree(bytes((first,)) + tail + rest)
    assert taken > 150


def test_only_the_shortest_of_all_forms_of_a_number_is_taken() -> None:
    for value in (0, 1, 23, 24, 255, 256, 65_535, 65_536, 2**32 - 1, 2**32, 2**63, 2**64 - 1):
        for major in (0, 1):
            forms = [bytes((major << 5 | value,))] if value < 24 else []
            for info, size in ((24, 1), (25, 2), (26, 4), (27, 8)):
                if value < 1 << (8 * size):
                    forms.append(bytes((major << 5 | info,)) + value.to_bytes(size, "big"))
            expected = value if major == 0 else -1 - value
            assert [_ours(form) == expected for form in forms] == [True] + [False] * (
                len(forms) - 1
            )
            assert all(_agree(form) == (form is forms[0]) for form in forms)
