"""Our reader and cbor2, used strictly, agree on every input: the cloud may use either.

cbor2 alone is not strict enough (longer forms, unsorted keys, tags with meanings), so its
result counts only when our encoder, which knows one form and a narrow data model, gives
the input back.
"""

import contextlib
from collections.abc import Iterator
from typing import Any

import cbor2
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from protocol import cbor, frame
from protocol.errors import CborError, ProtocolError
from protocol.tests import support

_REFUSED = object()


def _ours(data: bytes) -> object:
    try:
        return cbor.decode(data)
    except CborError:
        return _REFUSED


def _cbor2_strictly(data: bytes) -> object:
    try:
        item = cbor2.loads(
            data, allow_duplicate_keys=False, allow_indefinite=False, max_depth=cbor.MAX_DEPTH
        )
        return item if cbor.encode(item) == data else _REFUSED
    except (cbor2.CBORDecodeError, CborError):
        return _REFUSED


def _typed(item: object) -> object:
    """Make True differ from 1 and a list from a tuple."""
    if isinstance(item, list):
        return ("list", [_typed(element) for element in item])
    if isinstance(item, dict):
        return (
            "dict",
            [(_typed(key), _typed(value)) for key, value in sorted(item.items(), key=str)],
        )
    return (type(item), item)


def _agree(data: bytes) -> bool:
    ours, theirs = _ours(data), _cbor2_strictly(data)
    assert (ours is _REFUSED) == (theirs is _REFUSED), data.hex()
    if ours is not _REFUSED:
        assert _typed(ours) == _typed(theirs), data.hex()
    return ours is not _REFUSED


_KEYS = st.one_of(st.integers(-(2**64), 2**64 - 1), st.text(max_size=8), st.binary(max_size=8))
_ITEMS = st.recursive(
    st.one_of(
        st.integers(-(2**64), 2**64 - 1),
        st.binary(max_size=40),
        st.text(max_size=40),
        st.booleans(),
        st.none(),
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=5), st.dictionaries(_KEYS, inner, max_size=4)),
    max_leaves=12,
)


def _depth(item: object) -> int:
    if isinstance(item, dict):
        return 1 + max([_depth(value) for value in item.values()], default=0)
    if isinstance(item, list):
        return 1 + max([_depth(element) for element in item], default=0)
    return 0


@given(_ITEMS)
def test_every_item_is_written_as_cbor2_writes_it_and_read_back(item: Any) -> None:
    if _depth(item) > cbor.MAX_DEPTH:
        with pytest.raises(CborError):
            cbor.encode(item)
        return
    encoded = cbor.encode(item)
    assert _agree(encoded)
    assert cbor.decode(encoded) == item
    assert _sorted_like_cbor2(item, encoded)


def _sorted_like_cbor2(item: Any, encoded: bytes) -> bool:
    # cbor2's canonical order is that of RFC 7049 (by length first); RFC 8949 orders
    # bytewise. They are the same where a map has keys of one length.
    if _has_maps_of_several_keys(item):
        return len(cbor2.dumps(item, canonical=True)) == len(encoded)
    return cbor2.dumps(item, canonical=True) == encoded


def _has_maps_of_several_keys(item: Any) -> bool:
    if isinstance(item, dict):
        return len(item) > 1 or any(_has_maps_of_several_keys(value) for value in item.values())
    return isinstance(item, list) and any(_has_maps_of_several_keys(each) for each in item)


@settings(max_examples=1500)
@given(st.binary(max_size=24))
@example(bytes.fromhex("81" * 8 + "00"))
@example(bytes.fromhex("81" * 9))
@example(bytes.fromhex("a1f500"))
@example(bytes.fromhex("a2010001f5"))
@example(bytes.fromhex("a20100f500"))
@example(bytes.fromhex("c24101"))
@example(bytes.fromhex("d81c8100"))
def test_both_readers_agree_on_arbitrary_bytes(data: bytes) -> None:
    _agree(data)


# Bytes that look like CBOR reach deeper than arbitrary ones.
_HEADS = st.sampled_from(
    [bytes((major << 5 | info,)) for major in range(8) for info in (0, 1, 2, 3, 22, 23)]
    + [bytes.fromhex(text) for text in ("1818", "1817", "190100", "1900ff", "5801", "7801", "9801")]
    + [bytes.fromhex(text) for text in ("9f", "bf", "5f", "ff", "f90000", "fa00000000", "d812")]
)


@settings(max_examples=1500)
@given(st.lists(st.one_of(_HEADS, st.binary(max_size=3)), max_size=14).map(b"".join))
def test_both_readers_agree_on_what_looks_like_cbor(data: bytes) -> None:
    _agree(data)


def _mutations(data: bytes) -> Iterator[bytes]:
    for index in range(len(data)):
        yield data[:index]
        yield data[:index] + data[index + 1 :]
        for bit in range(8):
            yield data[:index] + bytes((data[index] ^ 1 << bit,)) + data[index + 1 :]


def test_both_readers_agree_on_every_damaged_message() -> None:
    accepted = refused = 0
    for sample in support.samples():
        if len(sample.encode()) < 300:
            for data in _mutations(sample.encode()):
                if _agree(data):
                    accepted += 1
                else:
                    refused += 1
    # Positive controls: damage is noticed, and damage that is another message is not lost.
    assert accepted > 1_000
    assert refused > 1_000


@settings(max_examples=500)
@given(st.binary(max_size=80))
def test_no_input_brings_a_parser_to_raise_anything_else(data: bytes) -> None:
    for raw in (data, cbor.encode([data]), b"\x87\x03" + data, b"\x89\x01" + data):
        with contextlib.suppress(ProtocolError):
            frame.parse(raw)
