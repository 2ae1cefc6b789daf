"""The loader's slots on flash with NOR rules: whatever is cut or damaged, a whole image starts."""

import hashlib

from loader import slots
from sim import nor
from tare import flash as flash_map

_SIZE = 1 << 20
_MPY = 0xB06
_OLD = b"the image from before " * 300
_NEW = b"the image that is new " * 400


def _write(chip, image, board="unix", mpy=_MPY):
    found = slots.Slots(chip, board, mpy)
    slot = found.begin()
    for index in range((len(image) + slots.SECTOR - 1) // slots.SECTOR):
        found.write(slot, index, image[index * slots.SECTOR : (index + 1) * slots.SECTOR])
    found.finish(slot, len(image), hashlib.sha256(image).digest())
    return slot


def _started(store, board="unix", mpy=_MPY):
    """The image that a start takes, by reading it."""
    found = slots.Slots(nor.Nor(store), board, mpy)
    slot = found.newest()
    if slot is None:
        return None
    return store.read(slots.body(slot), found.header(slot).length)


def _refusal(function, *arguments):
    try:
        function(*arguments)
    except slots.SlotError as error:
        return str(error)
    raise AssertionError("was taken")


def test_the_slots_are_those_of_the_flash_map_and_meet_nothing_else():
    assert slots.SECTOR == flash_map.SECTOR
    assert flash_map.SETTINGS_FIRST + flash_map.SETTINGS_COUNT == flash_map.WIFI
    wifi_end = flash_map.WIFI + 2  # two copies
    assert (wifi_end, wifi_end + slots.COUNT) == slots.FIRST
    assert (slots.FIRST[1] + slots.COUNT) * slots.SECTOR == _SIZE


def test_an_empty_flash_starts_nothing_and_says_why():
    found = slots.Slots(nor.Nor(nor.Memory(_SIZE)), "unix", _MPY)
    assert found.newest() is None
    assert [found.fault(slot) for slot in (0, 1)] == ["has no whole image"] * 2


def test_images_take_turns_and_the_last_one_starts():
    store = nor.Memory(_SIZE)
    assert [_write(nor.Nor(store), image) for image in (_OLD, _NEW, _OLD, _NEW)] == [0, 1, 0, 1]
    assert _started(store) == _NEW


def test_a_cut_in_every_operation_leaves_the_old_image_or_the_new_one():
    before = nor.Memory(_SIZE)
    _write(nor.Nor(before), _NEW)
    _write(nor.Nor(before), _OLD)
    counter = nor.Nor(nor.Memory(_SIZE, before.data))
    _write(counter, _NEW)
    assert counter.operations == 2 + 2 * 3
    seen = set()
    for at in range(1, counter.operations + 1):
        for tear in nor.EVERY_TEAR:
            store = nor.Memory(_SIZE, before.data)
            try:
                _write(nor.Nor(store, cut_at=at, tear=tear), _NEW)
                raise AssertionError("was not cut")
            except nor.PowerCutError:
                pass
            started = _started(store)
            # Only the last operation, the header, may make the new image start.
            assert started == _OLD or (at == counter.operations and started == _NEW), (at, tear)
            seen.add(started)
            _write(nor.Nor(store), _NEW)
            assert _started(store) == _NEW, (at, tear)
    assert seen == {_OLD, _NEW}


def test_nothing_outside_the_slots_is_touched():
    store = nor.Memory(_SIZE)
    marks = bytes([at * 7 % 251 for at in range(slots.SECTOR)])
    for sector in range(slots.FIRST[0]):
        store.write(sector * slots.SECTOR, marks)
    for image in (_OLD, _NEW, _OLD):
        _write(nor.Nor(store), image)
    for sector in range(slots.FIRST[0]):
        assert store.read(sector * slots.SECTOR, slots.SECTOR) == marks


def test_every_flipped_bit_of_a_header_and_any_byte_of_an_image_are_noticed():
    store = nor.Memory(_SIZE)
    slot = _write(nor.Nor(store), _OLD)
    header = slots.FIRST[slot] * slots.SECTOR
    for place in list(range(header, header + 68)) + [  # noqa: RUF005 - MicroPython
        slots.body(slot),
        slots.body(slot) + len(_OLD) // 2,
        slots.body(slot) + len(_OLD) - 1,
    ]:
        for bit in range(8):
            store.data[place] ^= 1 << bit
            assert _started(store) is None, place
            store.data[place] ^= 1 << bit
    assert _started(store) == _OLD


def test_when_the_newest_is_damaged_the_one_before_starts():
    store = nor.Memory(_SIZE)
    _write(nor.Nor(store), _OLD)
    slot = _write(nor.Nor(store), _NEW)
    store.data[slots.body(slot) + 5000] ^= 1
    assert slots.Slots(nor.Nor(store), "unix", _MPY).fault(slot) == "is damaged"
    assert _started(store) == _OLD
    assert _write(nor.Nor(store), _NEW) == slot
    assert _started(store) == _NEW


def test_an_image_for_another_board_or_interpreter_is_not_started():
    store = nor.Memory(_SIZE)
    _write(nor.Nor(store), _OLD)
    assert _started(store, board="mps2") is None
    assert _started(store, mpy=_MPY + 1) is None
    assert slots.Slots(nor.Nor(store), "mps2", _MPY).fault(0) == "is for the board unix"
    assert slots.Slots(nor.Nor(store), "unix", 6).fault(0) == "is for another MicroPython"
    assert _started(store) == _OLD


class _Deaf(nor.Nor):
    """Reports success and programs nothing."""

    def program(self, address, data):
        pass


def test_a_flash_that_fails_silently_never_gets_a_header():
    store = nor.Memory(_SIZE)
    _write(nor.Nor(store), _OLD)
    assert "did not keep what was written" in _refusal(_write, _Deaf(store), _NEW)
    assert _started(store) == _OLD


def test_a_header_that_is_not_kept_is_noticed():
    store = nor.Memory(_SIZE)
    chip = nor.Nor(store)
    found = slots.Slots(chip, "unix", _MPY)
    slot = found.begin()
    found.write(slot, 0, b"image")
    deaf = slots.Slots(_Deaf(store), "unix", _MPY)
    digest = hashlib.sha256(b"image").digest()
    assert "did not keep the header" in _refusal(deaf.finish, slot, 5, digest)


def test_a_write_without_a_beginning_or_beyond_the_slot_is_refused():
    store = nor.Memory(_SIZE)
    slot = _write(nor.Nor(store), _OLD)
    found = slots.Slots(nor.Nor(store), "unix", _MPY)
    for index, text in ((0, "not begun"), (slots.COUNT - 1, "does not fit"), (-1, "does not fit")):
        assert text in _refusal(found.write, slot, index, b"x")
    assert _started(store) == _OLD


def test_the_largest_image_fits():
    store = nor.Memory(_SIZE)
    largest = b"0123456789abcdef" * (slots.CAPACITY // 16)
    assert _write(nor.Nor(store), largest) == 0
    assert _write(nor.Nor(store), largest) == 1
    assert _started(store) == largest
