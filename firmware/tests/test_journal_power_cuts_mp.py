"""The power is cut inside every flash operation of a scripted life of the journal.

After each cut: what was saved is there, once, unchanged; numbers go on without reuse; the journal
works again. The next start is cut as well, inside what it writes first.
"""

from sim.nor import TEARS, Memory, Nor, PowerCutError
from tare import flash as flash_map
from tare.errors import JournalFullError
from tare.journal import VOID, Journal

TIMEOUT_S = 280
_COUNT = 3
_SIZE = _COUNT * flash_map.SECTOR
_READINGS = 333


class _Life:
    """What a perfect memory would know of one journal, and the script of its life."""

    def __init__(self):
        self.saved = {}
        self.settled = 0
        self.erased_up_to = 0
        self.erased_handle = False
        self.trying = None

    def play(self, journal):
        """Settled now and then, then left until the ring is full, an erasure, and on again."""
        for number in range(1, _READINGS):
            self._append(journal, number)
            if number % 7 == 0 and not 60 < number < 250:
                # The cloud settles before the device hears of it.
                self.settled = max(self.saved)
                self._forget_settled()
                journal.trim(self.settled)
            if number == 240:
                self.erased_up_to = max(self.saved)
                journal.wipe()
            if number == 290:
                self.erased_handle = True
                assert journal.erase(1)

    def _append(self, journal, number):
        receipt = number % 11 == 0
        record = [number, 1, 0] if receipt else [1_790_000_000 + number, 1, [number]]
        self.trying = record
        try:
            if receipt:
                sequence = journal.append_receipt(record)
            else:
                sequence = journal.append_reading(1, number % 2, 1, record)
        except JournalFullError:
            self.trying = None
            return
        assert sequence == max(self.saved, default=self.settled) + 1
        self.saved[sequence] = record
        self.trying = None

    def _forget_settled(self):
        for sequence in list(self.saved):
            if sequence <= self.settled:
                del self.saved[sequence]


class _CutEverywhere(Nor):
    """Before each operation: try every way in which the power can fail inside it."""

    def __init__(self, memory, life):
        super().__init__(memory)
        self._memory = memory
        self._life = life
        self.cuts = 0

    def program(self, address, data):
        self._cut(lambda nor: nor.program(address, data))
        super().program(address, data)

    def erase(self, sector):
        self._cut(lambda nor: nor.erase(sector))
        super().erase(sector)

    def _cut(self, operation):
        for tear in TEARS:
            torn = Memory(_SIZE, self._memory.data)
            _dies(operation, Nor(torn, 1, tear))
            self.cuts += 1
            journal = _recovered(torn, self._life)
            if self.operations % 5 == 0:
                self._cut_again(torn, tear)
            _goes_on(torn, journal)

    def _cut_again(self, torn, tear):
        twice = Memory(_SIZE, torn.data)
        try:
            journal = Journal(Nor(twice, 1, tear), 0, _COUNT)
            journal.append_receipt([77, 7, 0])
        except PowerCutError:
            self.cuts += 1
        except JournalFullError:
            return
        self._life.trying, before = [77, 7, 0], self._life.trying
        _recovered(twice, self._life, also=before)
        self._life.trying = before


def _dies(operation, nor):
    try:
        operation(nor)
    except PowerCutError:
        return
    raise AssertionError("not cut")


def _recovered(torn, life, also=None):
    journal = Journal(Nor(torn), 0, _COUNT)
    found = _contents(journal)
    for sequence, record in life.saved.items():
        kept = found.pop(sequence, "missing")
        erased = sequence <= life.erased_up_to or (life.erased_handle and _is_odd(record))
        assert kept == record or (erased and kept is None), (sequence, kept)
    for sequence, record in found.items():
        # Settled ones may come back (the cloud knows them), and what was just being written.
        if sequence > life.settled:
            assert record in (life.trying, also), (sequence, record)
    assert journal.next_sequence > max(life.saved, default=life.settled)
    return journal


def _is_odd(record):
    """Tell a reading of handle 1; receipts end in a number, readings in values."""
    return isinstance(record[2], list) and record[2][0] % 2 == 1


def _contents(journal):
    """All kept records by sequence; a void is None."""
    found = {}
    start = journal.oldest
    while start < journal.next_sequence:
        batch = journal.batch(start)
        assert batch.first == start, "a gap"
        for place in range(batch.count):
            found[start + place] = None if batch.kind == VOID else batch.items[place]
        start = batch.last + 1
    return found


def _goes_on(torn, journal):
    """The next record gets a new number and is found after one more start."""
    before = journal.next_sequence
    try:
        journal.append_receipt([77, 7, 0])
    except JournalFullError:
        journal.trim(before - 1)
        journal.append_receipt([77, 7, 0])
    again = Journal(Nor(torn), 0, _COUNT)
    assert again.next_sequence == before + 1
    assert again.batch(before).items[-1] == [77, 7, 0]


def test_nothing_saved_is_lost_or_doubled_by_a_cut_at_any_operation():
    life = _Life()
    flash = _CutEverywhere(Memory(_SIZE), life)
    life.play(Journal(flash, 0, _COUNT))
    print("%d cuts in %d operations" % (flash.cuts, flash.operations))
    assert flash.operations > 350
    assert flash.cuts > 5 * 350


def test_the_check_finds_a_journal_that_forgets():
    """Positive control: without its last record the same check fails."""
    life = _Life()
    memory = Memory(_SIZE)
    life.play(Journal(Nor(memory), 0, _COUNT))
    _recovered(memory, life)
    last = bytes(memory.data).rfind(b"\x19" + (_READINGS - 1).to_bytes(2, "big"))
    memory.data[last] ^= 0x10
    try:
        _recovered(memory, life)
    except AssertionError:
        return
    raise AssertionError("a lost record was not noticed")
