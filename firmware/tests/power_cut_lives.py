"""The scripted life of a journal, with a perfect memory of what it was told: see power_cuts.py."""
# ruff: noqa: RUF005 - MicroPython does not unpack inside a list

import power_cut_sectors  # noqa: F401 - first, see there

from tare.errors import JournalFullError
from tare.journal import RECEIPT, VOID, Journal

_MARK = [77, 7, 0]
#: What a reading of handle 1 carries, in flash as these bytes.
SECRET = 0x5EC12E75
_SECRET_BYTES = SECRET.to_bytes(4, "big")
_CLOUD_JUMP = 1000


class JournalLife:
    """Plays `steps`: "r0" .. "r9" a reading of a handle, "u" one without a clock, "c" a receipt,
    "t" the cloud settles all (and "h" half), "e1" erase handle 1, "w" erase everything, "d" and
    "b" date and bound the clock epoch, "j" a cloud that knows more than this flash.
    """

    def __init__(self, steps, sectors, journal=Journal):
        self.memory = None
        self._journal = journal
        self._steps = steps
        self._sectors = sectors
        self._given = {}
        self._settled = 0
        self._settled_after_cut = 0
        self._highest = 0
        self._trying = []
        self._erased = set()
        self._erasing = None
        self._secret_gone = False
        self._dates = {}
        self._dating = None
        self._epoch = 1
        self._number = 0
        self.refused = 0

    def play(self, flash):
        """Live it."""
        journal = self._journal(flash, 0, self._sectors)
        for step in self._steps:
            getattr(self, "_step_" + step[0])(journal, *step[1:])

    def restart(self, flash, second):
        """Recover, check everything, take another record and find it after one more start."""
        journal = self._journal(flash, 0, self._sectors)
        read = flash.bytes_read
        self._check(journal, second)
        if not second:
            self._settled_after_cut = 0
        self._go_on(flash, journal)
        return read

    def _step_r(self, journal, handle):
        self._number += 1
        weight = SECRET if handle == "1" else self._number
        self._secret_gone = self._secret_gone and handle != "1"
        record = [1_790_000_000 + self._number, 1, [weight]]
        self._append(record, lambda: journal.append_reading(1, int(handle), self._epoch, record))

    def _step_u(self, journal):
        self._number += 1
        record = [self._number, 1 | 1 << 4, [self._number]]
        self._append(record, lambda: journal.append_reading(1, 2, self._epoch, record))

    def _step_c(self, journal):
        self._number += 1
        receipt = [self._number, 1, 0]
        self._append(receipt, lambda: journal.append_receipt(receipt))

    def _step_t(self, journal):
        self._trim(journal, self._highest)

    def _step_h(self, journal):
        self._trim(journal, (self._settled + self._highest) // 2)

    def _step_j(self, journal):
        self._trim(journal, self._highest + _CLOUD_JUMP)

    def _step_e(self, journal, handle):
        self._erasing = int(handle)
        assert journal.erase(int(handle)), "no room to erase"
        self._erasing = None
        self._note_erased(int(handle))

    def _step_w(self, journal):
        self._erasing = -1
        journal.wipe()
        self._erasing = None
        self._note_erased(-1)

    def _step_d(self, journal):
        self._dating = [self._epoch, 1_790_000_000, 1_790_000_000]
        journal.date(self._epoch, 1_790_000_000)
        self._dated()

    def _step_b(self, journal):
        self._dating = [self._epoch, 1_780_000_000, 1_785_000_000]
        journal.bound(*self._dating)
        self._dated()

    def _dated(self):
        self._dates[self._epoch] = tuple(self._dating[1:])
        self._dating = None
        self._epoch += 1

    def _append(self, record, act):
        self._trying = [record]
        try:
            sequence = act()
        except JournalFullError:
            self.refused += 1
        else:
            assert sequence == self._highest + 1, (sequence, self._highest)
            self._highest = sequence
            self._given[sequence] = record
        self._trying = []

    def _trim(self, journal, settled):
        # The cloud settles before the device hears of it.
        self._settled = settled
        journal.trim(settled)
        self._highest = max(self._highest, settled)

    def _note_erased(self, handle):
        for sequence, record in self._given.items():
            if _belongs(record, handle):
                self._erased.add(sequence)
        self._secret_gone = True

    def _check(self, journal, second):
        expected = journal.oldest
        trying = self._trying + [_MARK] if second else self._trying
        settled = max(self._settled, self._settled_after_cut if second else 0)
        while expected < journal.next_sequence:
            batch = journal.batch(expected)
            assert batch.first == expected, "a gap"
            for place in range(batch.count):
                found = None if batch.kind == VOID else batch.items[place]
                self._check_one(expected + place, found, trying, settled)
            expected = batch.last + 1
        assert journal.oldest <= settled + 1, "given up before it was settled"
        assert journal.next_sequence > self._highest, "a number could be given twice"
        self._check_dates(journal)
        if self._secret_gone:
            assert not self.memory.holds(_SECRET_BYTES), "an erased reading can be read"

    def _check_one(self, sequence, found, trying, settled):
        given = self._given.get(sequence)
        if given is None:
            # Never confirmed: what was just being written, or nothing.
            fits = sequence <= settled or found in trying or found is None
            assert fits, ("never given", sequence, found)
        elif found is None:
            erased = sequence in self._erased or (
                self._erasing is not None and _belongs(given, self._erasing)
            )
            assert erased or sequence <= settled, ("lost", sequence)
        else:
            assert found == given, ("changed", sequence, found)
            assert sequence not in self._erased, ("came back", sequence)

    def _check_dates(self, journal):
        for epoch, date in self._dates.items():
            assert journal.date_of(epoch) in {date, None}, "another date"
        undated = journal.undated()
        for epoch in undated:
            assert epoch not in self._dates, "a date was forgotten"
        if self._dating is not None:
            assert journal.date_of(self._dating[0]) in {None, tuple(self._dating[1:])}

    def _go_on(self, flash, journal):
        """As the device does: finish what was begun, then the next record."""
        if self._erasing == -1:
            journal.wipe()
        elif self._erasing is not None:
            assert journal.erase(self._erasing), "no room to erase again"
        if self._erasing is not None:
            assert not self.memory.holds(_SECRET_BYTES), "an erasure was not finished"
        before = journal.next_sequence
        try:
            journal.append_receipt(_MARK)
        except JournalFullError:
            # Only the cloud makes room.
            self._settled_after_cut = before - 1
            journal.trim(before - 1)
            journal.append_receipt(_MARK)
        again = self._journal(flash, 0, self._sectors)
        assert again.next_sequence == before + 1, "the next number is not the next"
        last = again.batch(before)
        assert last.kind == RECEIPT, "the next record is not there"
        assert last.items[-1] == _MARK, "the next record is not there"


def _belongs(record, handle):
    """Tell readings of a handle (1 alone is told apart); -1 is everything."""
    return handle == -1 or (handle == 1 and record[2] == [SECRET])
