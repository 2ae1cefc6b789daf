"""The journal: every record from its making until the cloud has settled it (SPEC 8, 12.2).

A record is *saved* when `append_...` returns: programmed, read back, and found again after any
power cut. One sequence numbers all records; no number is ever given to two. When the ring is
full, new readings are refused and the oldest unsettled ones stay; the last sector is kept back
for receipts and erasures. Pure: touches only the flash object that it is given.
"""

from protocol import cbor
from tare import flash as flash_map
from tare.errors import JournalFullError
from tare.ring import Ring, Sector

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

READING = 1
RECEIPT = 2
VOID = 3
_TRIMMED = 16
_DATED = 17
_BOUNDED = 18
_BEGINS = 19
_RECORDS = (READING, RECEIPT, VOID)

_MAX_READINGS = 32
_MAX_RECEIPTS = 16
_MAX_VOIDS = 65535
# Sectors that stay free after a reading has opened one.
_RESERVE = 1
_UNTIMED = 1 << 4


class Batch:
    """A run of records that may share a frame: `kind`, `first`, and what their frame says.

    READING: `items` are records, with `claim_epoch`, `handle`, `clock_epoch` and `timed` (their
    seconds are wall time). RECEIPT: `items` are receipts. VOID: `count` sequences.
    """

    def __init__(self, kind: int, first: int) -> None:
        self.kind = kind
        self.first = first
        self.items: list[object] = []
        self.count = 0
        self.claim_epoch = 0
        self.handle = 0
        self.clock_epoch = 0
        self.timed = True

    @property
    def last(self) -> int:
        """The last sequence of the run."""
        return self.first + self.count - 1

    def shortened(self) -> "Batch":
        """Return the first half of this batch, for a frame that came out too long."""
        half = Batch(self.kind, self.first)
        half.count = max(1, self.count // 2)
        half.items = self.items[: half.count]
        half.claim_epoch, half.handle = self.claim_epoch, self.handle
        half.clock_epoch, half.timed = self.clock_epoch, self.timed
        return half


class Journal:
    """Records `oldest` .. `next_sequence` - 1 are kept; none when the two are equal."""

    def __init__(
        self,
        flash: flash_map.Flash,
        first: int = flash_map.JOURNAL_FIRST,
        count: int = flash_map.JOURNAL_COUNT,
    ) -> None:
        self._ring = Ring(flash, first, count)
        self.oldest = 1
        self.next_sequence = 1
        self._dates: dict[int, list[int]] = {}
        self._recover()

    @property
    def kept(self) -> int:
        """How many sequences are not settled."""
        return self.next_sequence - self.oldest

    def append_reading(
        self, claim_epoch: int, handle: int, clock_epoch: int, record: object
    ) -> int:
        """Save a reading and return its sequence; `JournalFullError` when there is no room."""
        body = [self.next_sequence, claim_epoch, handle, clock_epoch, record]
        return self._append_record(READING, body, _RESERVE)

    def append_receipt(self, receipt: object) -> int:
        """Save the receipt of a command and return its sequence."""
        return self._append_record(RECEIPT, [self.next_sequence, receipt], 0)

    def trim(self, settled: int) -> bool:
        """Give up all records up to `settled`; False when it lies beyond what was ever given.

        In that case this flash was restored from a copy, and the sequence goes on behind
        `settled` so that none is used twice (SPEC 8.6).
        """
        if settled < self.oldest:
            return True
        known = settled < self.next_sequence
        self.oldest = settled + 1
        self.next_sequence = max(self.next_sequence, self.oldest)
        self._drop_settled_sectors()
        try:
            self._append(_TRIMMED, [settled], 0)
        except JournalFullError:
            pass  # the mark only saves repetition: the next welcome says it again
        return known

    def date(self, clock_epoch: int, zero: int) -> None:
        """Note at which wall time a clock epoch began."""
        self._dates[clock_epoch] = [clock_epoch, zero]
        self._append(_DATED, [clock_epoch, zero], 0)

    def bound(self, clock_epoch: int, earliest: int, latest: int) -> None:
        """Note between which wall times a clock epoch began that can no longer be dated."""
        self._dates[clock_epoch] = [clock_epoch, earliest, latest]
        self._append(_BOUNDED, [clock_epoch, earliest, latest], 0)

    def undated(self) -> dict[int, int]:
        """Return the clock epochs of kept readings that have no date yet.

        The value is the largest number of seconds that a reading counts in that epoch.
        """
        found: dict[int, int] = {}
        for kind, _, body in self._records(self.oldest):
            if kind == READING:
                seconds, packed, _ = body[4]
                if packed & _UNTIMED and body[3] not in self._dates:
                    found[body[3]] = max(seconds, found.get(body[3], 0))
        return found

    def date_of(self, clock_epoch: int) -> tuple[int, int] | None:
        """Return the earliest and latest wall time at which an epoch began, if it is known."""
        date = self._dates.get(clock_epoch)
        return (date[1], date[-1]) if date else None

    def batch(self, start: int) -> Batch | None:
        """Return the longest run from `start` (or from the oldest) that may share a frame."""
        run: Batch | None = None
        for kind, sequence, body in self._records(max(start, self.oldest)):
            if run is None:
                run = _begin(kind, sequence, body)
            elif not _extend(run, kind, body):
                break
        return run

    def wipe(self) -> None:
        """Replace all kept records by voids and leave no byte of any record in flash."""
        if self._ring.sectors and self._ring.free == 0:
            # The oldest sector must make room; what it held reads as void already (`_records`).
            self._ring.sectors.pop(0)
        self._open()
        begin = self._ring.sectors[-1].generation
        self._append_voids(self.oldest, self.next_sequence)
        self._begin_at(begin)

    def erase(self, handle: int) -> bool:
        """Replace the kept readings of one person by voids and leave no byte of them in flash.

        All other records are copied, so this needs as much room as they take: False without it.
        """
        old = list(self._ring.sectors)
        if self._ring.free <= len(old):
            return self._finish_erased(handle)
        try:
            self._open()
            begin = self._ring.sectors[len(old)].generation
            self._copy_without(handle, old)
            self._begin_at(begin)
        except JournalFullError:
            self._ring.erase_from(len(old))
            return False
        return True

    def _copy_without(self, handle: int, old: list[Sector]) -> None:
        for kind, sequence, body in self._records(self.oldest, old):
            if kind == VOID:
                self._append_voids(sequence, sequence + body[1])
            elif kind == READING and body[2] == handle:
                self._append_voids(sequence, sequence + 1)
            else:
                self._append(kind, body, 0)
        for date in self._dates.values():
            self._append(_DATED if len(date) == 2 else _BOUNDED, list(date), 0)

    def _finish_erased(self, handle: int) -> bool:
        """Whether this erasure was done before a cut, and only receipts came since.

        Then it needs no room a second time, only its old sectors gone.
        """
        sectors = self._ring.sectors
        if not sectors or sectors[0].base <= self.oldest:
            return False
        for kind, sequence, body in self._records(self.oldest):
            if kind == READING and (body[2] == handle or sequence >= sectors[0].base):
                return False
        self._ring.erase_before(sectors[0].generation)
        return True

    def _append_voids(self, first: int, end: int) -> None:
        while first < end:
            count = min(_MAX_VOIDS, end - first)
            self._append(VOID, [first, count], 0)
            first += count

    def _begin_at(self, generation: int) -> None:
        """Let the journal begin with a sector, and erase all before it; a start finishes that."""
        self._append(_BEGINS, [generation], 0)
        self._ring.erase_before(generation)

    def _append_record(self, kind: int, body: list[object], reserve: int) -> int:
        self._append(kind, body, reserve)
        sequence = self.next_sequence
        self.next_sequence += 1
        return sequence

    def _append(self, kind: int, item: list[object], reserve: int) -> None:
        body = cbor.encode(item)
        if self._ring.sectors and self._ring.append(kind, body):
            return
        if self._ring.free <= reserve:
            raise JournalFullError("the journal is full")
        self._open()
        if not self._ring.append(kind, body):
            raise JournalFullError("the record does not fit into a sector")

    def _open(self) -> None:
        """Begin a sector that says by itself what is settled and which sequence comes next."""
        self._ring.open_next(self.next_sequence)
        self._ring.append(_TRIMMED, cbor.encode([self.oldest - 1]))

    def _drop_settled_sectors(self) -> None:
        sectors = self._ring.sectors
        while len(sectors) > 1 and sectors[1].base <= self.oldest:
            sectors.pop(0)

    def _recover(self) -> None:
        """Find out what is kept, and finish or take back an erasure that was cut."""
        self._take_back_copies()
        begin = 0
        settled = None
        for sector in self._ring.sectors:
            self.next_sequence = max(self.next_sequence, sector.base)
            newest = sector is self._ring.sectors[-1]
            for kind, raw in self._ring.entries(sector):
                if kind in _RECORDS and not newest:
                    continue  # the next sector's base says it, without decoding
                body: Any = cbor.decode(raw)
                if kind in _RECORDS:
                    first, count = _range(kind, body)
                    self.next_sequence = max(self.next_sequence, first + count)
                elif kind == _TRIMMED:
                    settled = max(settled or 0, body[0])
                elif kind in {_DATED, _BOUNDED}:
                    self._dates[body[0]] = body
                elif kind == _BEGINS:
                    begin = max(begin, body[0])
        if begin and self._ring.sectors[0].generation < begin:
            self._ring.erase_before(begin)
        self.oldest = self._first_sequence() if settled is None else settled + 1
        self.next_sequence = max(self.next_sequence, self.oldest)
        self._drop_settled_sectors()

    def _take_back_copies(self) -> None:
        """Erase what an erasure copied before it was cut: doing it again needs the room."""
        first = last = len(self._ring.sectors)
        for place in range(last - 1, 0, -1):
            vain = self._is_vain(self._ring.sectors[place])
            if vain is None:
                break
            if vain:
                first = place
        if first < last:
            self._ring.erase_from(first)

    def _is_vain(self, sector: Sector) -> bool | None:
        """Tell whether a cut left this sector with copies alone, or opened and without content.

        Only an erasure writes records below the base of their sector, and it ends with the mark
        that the journal begins. None: the sector stays, and so does everything before it.
        """
        copies = others = 0
        for kind, raw in self._ring.entries(sector):
            if kind == _BEGINS or (kind in _RECORDS and _sequence(raw) >= sector.base):
                return None
            if kind in _RECORDS:
                copies += 1
            else:
                # What is settled stands in every sector; a second such entry is content.
                others += 1 if kind == _TRIMMED else 2
        return copies > 0 or others <= 1

    def _first_sequence(self) -> int:
        """Where no sector says it: a cut came right behind the header of the first."""
        for sector in self._ring.sectors:
            for kind, raw in self._ring.entries(sector):
                if kind in _RECORDS:
                    return _range(kind, cbor.decode(raw))[0]
        return self.next_sequence

    def _records(
        self, start: int, sectors: "list[Sector] | None" = None
    ) -> "Iterator[tuple[int, int, Any]]":
        """Yield (kind, first sequence, body) from `start` on, without gaps.

        What should be there and is not (flash that went bad, an erasure that was cut) comes as
        a void: the cloud is told, rather than left to wait for it.
        """
        expected = start
        for sector in self._from_sector(start) if sectors is None else sectors:
            for kind, raw in self._ring.entries(sector):
                if kind not in _RECORDS or (kind != VOID and _sequence(raw) < expected):
                    continue
                body = cbor.decode(raw)
                first, count = _range(kind, body)
                if first + count <= expected:
                    continue
                if first > expected:
                    yield VOID, expected, [expected, first - expected]
                    expected = first
                if kind == VOID:
                    body = [expected, first + count - expected]
                yield kind, expected, body
                expected = first + count
        if expected < self.next_sequence:
            yield VOID, expected, [expected, self.next_sequence - expected]

    def _from_sector(self, start: int) -> list[Sector]:
        sectors = self._ring.sectors
        begin = 0
        for place, sector in enumerate(sectors):
            if sector.base <= start:
                begin = place
        return sectors[begin:]


def _range(kind: int, body: "Any") -> tuple[int, int]:
    return (body[0], body[1]) if kind == VOID else (body[0], 1)


def _sequence(raw: bytes) -> int:
    """Read the first number of a record alone: what lies before a batch is not worth decoding."""
    info = raw[1] & 31
    return info if info < 24 else int.from_bytes(raw[2 : 2 + (1 << (info - 24))], "big")


def _begin(kind: int, sequence: int, body: "Any") -> Batch:
    run = Batch(kind, sequence)
    run.count = 1
    if kind == READING:
        _, run.claim_epoch, run.handle, run.clock_epoch, record = body
        run.timed = not record[1] & _UNTIMED
        run.items.append(record)
    elif kind == RECEIPT:
        run.items.append(body[1])
    else:
        run.count = min(_MAX_VOIDS, body[1])
    return run


def _extend(run: Batch, kind: int, body: "Any") -> bool:
    """Add a record to a run; False when a frame must end before it (SPEC 7.3)."""
    if kind != run.kind or kind == VOID:
        return False
    if run.count == (_MAX_READINGS if kind == READING else _MAX_RECEIPTS):
        return False
    if kind == READING:
        timed = not body[4][1] & _UNTIMED
        if (run.claim_epoch, run.handle, run.clock_epoch) != tuple(body[1:4]) or timed != run.timed:
            return False
    run.items.append(body[4] if kind == READING else body[1])
    run.count += 1
    return True
