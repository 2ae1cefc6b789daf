"""The wear table and the bound of a start, as README.md states them: computed here, on NOR rules.

One weigh-in is what tare/app.py and tare/sync.py do for it: a wake, which stores nothing, the
reading, the learnt weight, a welcome (boot state, date) and the ack that settles it.
"""

from sim.nor import Memory, Nor
from tare import clock, version
from tare import flash as flash_map
from tare.errors import JournalFullError
from tare.journal import Journal
from tare.state import BootState, Person, State

TIMEOUT_S = 200
_WEIGH_INS = 600
_A_DAY = 8
_ERASES = 100_000
_DAYS_A_YEAR = 365
# Fewer than a device has, so that the ring turns in the test; erases are scaled to all 64.
_RING = 4
_AREAS = (
    ("boot state", flash_map.BOOT, 2, 2),
    ("people, command", flash_map.STATE, 2, 2),
    ("journal", flash_map.JOURNAL_FIRST, _RING, flash_map.JOURNAL_COUNT),
)


class _Wear:
    """Counts bytes and erases, by sector."""

    def __init__(self):
        self.bytes = {}
        self.erases = {}

    def add(self, operation):
        sector = operation.address // flash_map.SECTOR
        counts = self.erases if operation.is_erase else self.bytes
        by = 1 if operation.is_erase else len(operation.after)
        counts[sector] = counts.get(sector, 0) + by


def _weigh(flash, number):
    """Once, all sleeping and waking included; the weight moves, so that it is learnt each time."""
    state, boot = State(flash), BootState(flash)
    journal = Journal(flash, flash_map.JOURNAL_FIRST, _RING)
    boot.counter += 1
    # A new one each time is the worst for the journal, where its date is written; a wake from deep
    # sleep would go on in the old one.
    boot.clock_epoch += 1
    time = clock.Clock(boot.clock_epoch, 0)
    grams = 70_000 + number
    sequence = journal.append_reading(1, 1, boot.clock_epoch, [5, 1 | 1 << 4 | 1 << 5, [grams]])
    state.people = [Person(1, 1, grams)]
    state.save()
    time.learn(version.BUILD_TIME_S + 10_000 * number, 0, 0)
    clock.date_readings(journal, time, boot.last_known_s)
    boot.last_known_s = time.wall(0)
    boot.save()
    journal.trim(sequence)


def _rows():
    wear = _Wear()
    memory = Memory((flash_map.JOURNAL_FIRST + _RING) * flash_map.SECTOR)
    flash = Nor(memory, watch=wear.add)
    for number in range(_WEIGH_INS):
        _weigh(flash, number)
    for name, first, simulated, real in _AREAS:
        sectors = range(first, first + simulated)
        erases = [wear.erases.get(sector, 0) for sector in sectors]
        assert max(erases) - min(erases) <= 1, "worn unevenly"
        written = sum(wear.bytes.get(sector, 0) for sector in sectors) / _WEIGH_INS
        a_sector = sum(erases) / _WEIGH_INS / real
        years = _ERASES / (a_sector * _A_DAY * _DAYS_A_YEAR)
        yield "| %s | %d | %.4f | %d |" % (name, round(written), a_sector, years)


def _readme():
    with open(__file__.rsplit("/", 2)[0] + "/README.md") as file:
        return file.read()


def test_the_wear_table_is_what_the_simulation_finds():
    stated = _readme()
    rows = list(_rows())
    print("\n".join(rows))
    for row in rows:
        assert row in stated, row


def test_a_start_on_a_full_ring_reads_no_more_than_is_stated():
    count = flash_map.JOURNAL_COUNT
    memory = Memory(count * flash_map.SECTOR)
    journal, kept = Journal(Nor(memory), 0, count), 0
    try:
        while True:
            # The shortest that there is, so that a ring holds as many as it can.
            journal.append_reading(1, 1, 1, [1, 1, [1]])
            kept += 1
    except JournalFullError:
        pass
    try:
        while True:
            journal.append_receipt([1, 1, 0])
    except JournalFullError:
        pass
    flash = Nor(memory)
    assert Journal(flash, 0, count).kept > kept
    print("%d bytes for %d readings" % (flash.bytes_read, kept))
    assert "{:,} bytes".format(flash.bytes_read) in _readme(), flash.bytes_read
    assert flash.bytes_read <= (count + 2) * flash_map.SECTOR + count * 32
    assert flash.operations == 0, "a start that writes wears the flash"
