"""A length that lies costs nothing: it is refused before anything is allocated from it (SPEC 1.2).

Measured on both runtimes: with tracemalloc's peak on CPython, and on MicroPython with the growth of
the heap while its collector is off, which counts everything that was ever allocated.
"""

import gc

from protocol import cbor, envelope
from protocol.errors import ProtocolError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

tracemalloc: "Any" = None
if hasattr(gc, "mem_alloc"):
    heap: "Any" = gc  # MicroPython
else:
    import tracemalloc

# A reader, and an error with the frames of its traceback. The lies below begin at 65,535.
_MOST = 12_000
_ARGUMENTS = ("19ffff", "1a0000ffff00", "1a7fffffff", "1affffffff", "1b000000ffffffffff")
_HUGE = ("1b7fffffffffffffff", "1bffffffffffffffff")


def _allocated(function: "Callable[[], object]") -> int:
    """Return how many bytes a call allocates: at most at one time, or altogether."""
    if tracemalloc is not None:
        tracemalloc.start()
        try:
            before = tracemalloc.get_traced_memory()[0]
            function()
            return int(tracemalloc.get_traced_memory()[1] - before)
        finally:
            tracemalloc.stop()
    gc.collect()
    gc.disable()
    try:
        before = heap.mem_alloc()
        function()
        return int(heap.mem_alloc()) - int(before)
    finally:
        gc.enable()


def _refused(read: "Callable[[bytes], object]", data: bytes) -> None:
    try:
        read(data)
    except ProtocolError:
        return
    raise AssertionError(data[:20])


def _lies() -> "list[bytes]":
    found = []
    for argument in _ARGUMENTS + _HUGE:
        raw = bytes.fromhex(argument)
        for major in (0x40, 0x60, 0x80, 0xA0):
            lie = bytes([major + raw[0]]) + raw[1:]
            # Alone, with a little behind it, and inside arrays and a map.
            found.extend([lie, lie + bytes(40), b"\x81" * 7 + lie, b"\x82\x00" + lie + b"\x00"])
            found.extend([b"\xa1\x00" + lie, b"\xa1" + lie])
    return found


def test_what_is_allocated_can_be_measured() -> None:
    assert _allocated(lambda: bytes(40_000)) > 36_000
    assert _allocated(lambda: [None] * 8_000) > 8_000 * 4 - 1
    raw = cbor.encode(bytes(20_000))
    assert _allocated(lambda: cbor.decode(raw)) > 19_000
    assert _allocated(lambda: None) < 500


def test_a_length_beyond_the_input_allocates_nothing() -> None:
    for lie in _lies():
        # Mypy: a lambda with a default.
        assert _allocated(lambda lie=lie: _refused(cbor.decode, lie)) < _MOST, lie  # type: ignore[misc]


def test_the_same_inside_an_envelope() -> None:
    for lie in _lies()[::5]:
        for front in (b"\xd2", b"\xd2\x84", b"\xd2\x84\x43", b"\xd2\x84\x40\xa0"):
            data = front + lie
            # Mypy: a lambda with a default.
            used = _allocated(lambda data=data: _refused(envelope.parse_sign1, data))  # type: ignore[misc]
            assert used < _MOST, data


def test_counts_that_are_true_cost_what_they_hold() -> None:
    """Refused at the end: the work done until then is bounded by the bytes that are there."""
    for front in (b"\x99\x03\xe8", b"\xb9\x01\xf4"):
        data = front + b"\x00" * 999 + b"\x1c"
        # Mypy: a lambda with a default.
        assert _allocated(lambda data=data: _refused(cbor.decode, data)) < 200 * len(data)  # type: ignore[misc]


def test_depth_costs_no_more_than_its_limit() -> None:
    for opened in (b"\x81", b"\xa1\x00", b"\xd2"):
        data = opened * 1_000
        # Mypy: a lambda with a default.
        assert _allocated(lambda data=data: _refused(cbor.decode, data)) < _MOST  # type: ignore[misc]
