"""The enumeration of power cuts catches what it is there for: each of these is wrong on purpose."""

import power_cut_device
import power_cut_files
from power_cut_device import DeviceLife
from power_cut_files import FilesLife
from power_cut_lives import JournalLife
from power_cuts import SHORT_SECTOR, Enumeration

from sim.nor import Memory, Nor
from tare import flash as flash_map
from tare import ring as ring_module
from tare.commands import Commands
from tare.errors import FirmwareError
from tare.journal import READING, Journal
from tare.two_copies import TwoCopies

TIMEOUT_S = 120
_DAY = ["r0", "r1", "r0", "c"]
_CLAIM = ("order", 1, [7, [[1, 1, power_cut_device.SECRET_G], [2, 2, 60_000]]])


def _is_caught(script, sectors):
    try:
        Enumeration(script, sectors)
    except AssertionError as error:
        print(error)
        return True
    return False


def test_what_is_right_passes():
    """So that a mutation is caught for what is wrong with it and not for the script."""
    assert not _is_caught(JournalLife(_DAY * 3 + ["e1"], 5), 5)
    assert not _is_caught(DeviceLife([_CLAIM, ("read", 1)]), power_cut_device.SECTORS)
    assert not _is_caught(FilesLife([("set", "wifi", 60)] * 2), power_cut_files.SECTORS)


def test_a_checksum_that_is_not_checked():
    def end_of_entry(data, at, generation):
        return at + 8 + int.from_bytes(data[at + 2 : at + 4], "little")

    right, ring_module._end_of_entry = ring_module._end_of_entry, end_of_entry
    try:
        assert _is_caught(JournalLife(_DAY * 3, 4), 4)
    finally:
        ring_module._end_of_entry = right


class _ErasesFirst(Journal):
    def erase(self, handle):
        kept = [(kind, body) for kind, _, body in self._records(self.oldest)]
        self._ring.sectors.pop(0)
        self._open()
        for kind, body in kept:
            if kind == READING and body[2] == handle:
                self._append_voids(body[0], body[0] + 1)
            else:
                self._append(kind, body, 0)
        self._begin_at(self._ring.sectors[-1].generation)
        return True


def test_an_erase_before_the_copy_is_written():
    assert _is_caught(JournalLife(["r0", "r1", "r0", "e1"], 2, _ErasesFirst), 2)


class _DoesNotMark(Journal):
    def _begin_at(self, generation):
        self._ring.erase_before(generation)


def test_copies_that_are_not_marked_as_whole():
    assert _is_caught(JournalLife(_DAY * 3 + ["e1"], 5, _DoesNotMark), 5)


class _KeepsCopies(Journal):
    def _take_back_copies(self):
        pass


def test_copies_of_a_cut_erasure_that_keep_their_room():
    assert _is_caught(JournalLife(_DAY * 3 + ["e1"], 5, _KeepsCopies), 5)


class _ForgetsBase(Journal):
    def _open(self):
        self._ring.open_next(1)


def test_a_sector_that_does_not_say_the_next_sequence():
    steps = ["r0", "r1", "c", "t"] * 5
    assert _is_caught(JournalLife(steps, 3, _ForgetsBase), 3)


class _SilentOnTheOldest(Journal):
    def _open(self):
        self._ring.open_next(self.next_sequence)


def test_a_sector_that_does_not_say_what_is_settled():
    assert not _is_caught(JournalLife(_DAY * 9 + ["w"], 4), 4)
    assert _is_caught(JournalLife(_DAY * 9 + ["w"], 4, _SilentOnTheOldest), 4)


class _CountsAfterTheAct(Commands):
    def obey(self, command, now_s):
        if command.counter <= self._state.command_counter or now_s >= command.expires_s:
            return False
        self._state.pending = command.encode()
        self._state.save()
        self._act(command)
        self._state.save_without_trace()
        self._state.command_counter = command.counter
        return self.finish()


class _ForgetsTheCommand(Commands):
    def obey(self, command, now_s):
        if command.counter <= self._state.command_counter or now_s >= command.expires_s:
            return False
        self._state.command_counter = command.counter
        self._state.save()
        self._state.pending = command.encode()
        return self.finish()


class _ReceiptsLast(Commands):
    def finish(self):
        pending, self._state.pending = self._state.pending, None
        if pending is not None:
            self._state.save()
            self._state.pending = pending
        return super().finish()


def test_a_command_whose_counter_is_stored_after_the_act():
    assert _is_caught(DeviceLife([_CLAIM], _CountsAfterTheAct), power_cut_device.SECTORS)


def test_a_command_that_is_not_stored_before_the_act():
    assert _is_caught(DeviceLife([_CLAIM], _ForgetsTheCommand), power_cut_device.SECTORS)


def test_a_command_that_is_forgotten_before_its_receipt():
    assert _is_caught(DeviceLife([_CLAIM], _ReceiptsLast), power_cut_device.SECTORS)


def test_state_that_is_written_over_its_only_copy():
    right = TwoCopies._write

    def over_the_newest(self, body):
        if self._generation:
            self._newest = 1 - self._newest
        right(self, body)

    TwoCopies._write = over_the_newest
    try:
        assert _is_caught(DeviceLife([_CLAIM]), power_cut_device.SECTORS)
    finally:
        TwoCopies._write = right


def test_a_setting_that_is_removed_before_its_successor_has_its_name():
    steps = [("set", "wifi", 5), ("removed_first", "wifi", 60)]
    assert _is_caught(FilesLife(steps), power_cut_files.SECTORS)


class _WornNor(Nor):
    """One operation leaves a bit as it was, and nothing says so."""

    def __init__(self, memory, worn):
        super().__init__(memory)
        self._memory = memory
        self._worn = worn

    def program(self, address, data):
        before = self._memory.read(address, len(data))
        super().program(address, data)
        if self.operations == self._worn:
            place = address + len(data) // 2
            changed = before[len(data) // 2] ^ self._memory.data[place]
            self._memory.data[place] ^= changed & -changed


def _lost_on_worn_flash():
    """Readings that were called saved and are not there, over a wear of every program."""
    lost = tried = 0
    for worn in range(1, 40):
        memory = Memory(4 * SHORT_SECTOR)
        saved = {}
        try:
            journal = Journal(_WornNor(memory, worn), 0, 4)
            for number in range(18):
                saved[journal.append_reading(1, 2, 1, [number, 1, [number]])] = number
        except FirmwareError:
            pass
        tried += 1
        lost += _missing(memory, saved)
    assert tried == 39
    return lost


def _missing(memory, saved):
    try:
        journal = Journal(Nor(memory), 0, 4)
        found = [batch.items for batch in [journal.batch(each) for each in saved] if batch]
    except FirmwareError:
        return len(saved)
    return sum(items[:1] != [[number, 1, [number]]] for items, number in zip(found, saved.values()))  # noqa: B905 - MicroPython


def test_a_program_that_is_not_read_back():
    assert _lost_on_worn_flash() == 0
    right = flash_map.program_and_check

    def unchecked(flash, address, data):
        flash.program(address, flash_map.padded(data))
        return True

    flash_map.program_and_check = unchecked
    try:
        assert _lost_on_worn_flash() > 10
    finally:
        flash_map.program_and_check = right
