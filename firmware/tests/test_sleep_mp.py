"""When the device turns itself off, and what it knows when it wakes."""

from protocol import cbor
from tare import retained, sleep
from tare.clock import Clock
from tare.retained import Retained

_DAY_MS = 86_400_000


def test_what_was_retained_comes_back_whole():
    kept = Retained(Clock(7, 5_000, 1_790_000_000).item(), -120, 77_000)
    found = retained.unpack(kept.pack())
    assert found is not None
    assert (found.clock, found.zero_g, found.asleep_ms) == ([7, 5_000, 1_790_000_000], -120, 77_000)


def test_any_bit_that_changed_means_that_nothing_was_retained():
    packed = Retained(Clock(7, 5_000).item(), 0, 0).pack()
    assert retained.unpack(b"") is None
    for size in range(len(packed)):
        assert retained.unpack(packed[:size]) is None, size
    for bit in range(8 * len(packed)):
        flipped = bytearray(packed)
        flipped[bit // 8] ^= 1 << bit % 8
        assert retained.unpack(bytes(flipped)) is None, bit


def test_what_another_firmware_retained_is_not_believed():
    right = [1, [7, 5_000, None], 0, 0]
    for item in (
        7,
        right[:3],
        [2] + right[1:],  # noqa: RUF005 - MicroPython does not unpack inside a list
        [1, [7, 5_000], 0, 0],
        [1, [7, 5_000, None], 180_001, 0],
        [1, [7, 5_000, None], True, 0],
        [1, [7, 5_000, None], 0, -1],
        [1, [7, 5_000, None], 0, None],
    ):
        raw = cbor.encode(item)
        assert retained.unpack(raw + retained._checksum(raw)) is None, item
    raw = cbor.encode(right)
    assert retained.unpack(raw + retained._checksum(raw)) is not None


def test_it_sleeps_only_when_nothing_happened_for_a_while():
    drowsy = sleep.Drowsiness(0)
    due_ms = _DAY_MS
    drowsy.look(1_000, 0, busy=False)
    assert drowsy.sleep_ms(sleep.IDLE_MS - 1, due_ms) == 0
    assert drowsy.sleep_ms(sleep.IDLE_MS, due_ms) == due_ms - sleep.IDLE_MS
    drowsy.look(9_000, 0, busy=True)
    assert drowsy.sleep_ms(9_000 + sleep.IDLE_MS - 1, due_ms) == 0
    drowsy.look(20_000, 1, busy=False)
    assert drowsy.sleep_ms(20_000 + sleep.IDLE_MS - 1, due_ms) == 0, "somebody typed"
    drowsy.look(30_000, 1, busy=False)
    assert drowsy.sleep_ms(30_000, due_ms) == due_ms - 30_000


def test_a_short_sleep_is_not_worth_a_start():
    drowsy = sleep.Drowsiness(0)
    for left_ms in (-1, 0, 9_999):
        assert drowsy.sleep_ms(60_000, 60_000 + left_ms) == 0
    assert drowsy.sleep_ms(60_000, 70_000) == 10_000


def test_it_waits_longer_for_what_a_sleep_would_forget():
    drowsy = sleep.Drowsiness(0)
    assert drowsy.sleep_ms(sleep.PATIENT_MS - 1, _DAY_MS, patient=True) == 0
    assert drowsy.sleep_ms(sleep.PATIENT_MS, _DAY_MS, patient=True) > 0
