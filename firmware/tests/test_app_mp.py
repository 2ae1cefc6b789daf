"""The application on a board in memory: from a foot on the plate to "saved", and what it means."""

import random

from protocol.command import Person
from protocol.signer import PortableSigner
from sim.load_cell import COUNTS_PER_KG, ZERO_COUNTS, LoadCell
from sim.nor import TEARS, Memory, Nor, PowerCutError
from tare import flash as flash_map
from tare.app import App
from tare.board import Board
from tare.calibration import Calibration
from tare.errors import FlashError
from tare.journal import Journal

TIMEOUT_S = 200
_SIZE = (flash_map.JOURNAL_FIRST + flash_map.JOURNAL_COUNT) * flash_map.SECTOR


def _random_bytes(size):
    return bytes(random.randrange(256) for _ in range(size))


class _MemoryBoard(Board):
    model = "memory"
    calibration = Calibration(ZERO_COUNTS, COUNTS_PER_KG)

    def __init__(self, flash):
        self.flash = flash
        self.out = []
        self.now_ms = 5_000
        self.kept = b""

    def random(self, size):
        return bytes(size)

    def make_signer(self, private):
        return PortableSigner(private)

    def monotonic_ms(self):
        return self.now_ms

    def boot_reason(self):
        return 0

    def retained(self):
        return self.kept

    def retain(self, data):
        self.kept = data

    def write_line(self, text):
        self.out.append(text)

    def add_verbs(self, console):
        pass


class _Bench:
    def __init__(self, flash=None, *, claimed=True):
        self.board = _MemoryBoard(flash or Nor(Memory(_SIZE)))
        self.app = App(self.board)
        self._cell = LoadCell(_random_bytes)
        if claimed and not self.app.state.claim_epoch:
            self.app.state.claim_epoch = 3
            self.app.state.people = [Person(5, 1, 72_000)]
            self.app.state.save()

    def step_on(self, grams):
        """Feed a whole weigh-in to the scale task's inner part."""
        app = self.app
        for samples in (self._cell.empty(1.5), self._cell.stand(grams)):
            for counts in samples:
                event = app._scale.feed(app._calibration.grams(counts))
                if event is not None:
                    app._weighed(event)

    def shown(self):
        return self.app.display.lines

    def events(self, name):
        return [line for line in self.board.out if line.startswith("! %s " % name)]


def test_a_reading_is_recognised_saved_and_said_to_be():
    random.seed(1)
    bench = _Bench()
    bench.step_on(72_500)
    assert bench.shown()[1] == "saved"
    assert bench.events("saved") == ['! saved {"sequence": 1}']
    batch = bench.app.journal.batch(0)
    assert (batch.claim_epoch, batch.handle, batch.timed) == (3, 5, False)
    seconds, packed, values = batch.items[0]
    assert (seconds, packed) == (0, 1 | 16 | 1 << 5)
    assert abs(values[0] - 72_500) <= 100


def test_somebody_else_is_saved_as_unknown():
    random.seed(2)
    bench = _Bench()
    bench.step_on(60_000)
    batch = bench.app.journal.batch(0)
    assert (batch.handle, batch.items[0][1]) == (0, 1 | 16)
    assert bench.app.state.people[0].reference_g == 72_000, "nothing is learnt from it"


def test_a_known_time_is_stamped_on_the_reading():
    random.seed(3)
    bench = _Bench()
    bench.app.clock.learn(1_790_000_000, 5_000, 5_000)
    bench.board.now_ms += 60_000
    bench.step_on(72_500)
    batch = bench.app.journal.batch(0)
    assert batch.timed
    assert batch.items[0][0] == 1_790_000_060


def test_without_an_owner_nothing_is_kept():
    random.seed(4)
    bench = _Bench(claimed=False)
    bench.step_on(72_500)
    assert bench.shown()[1] == "not kept: no owner"
    assert bench.app.journal.next_sequence == 1


def test_a_full_journal_is_said_and_nothing_is_called_saved():
    random.seed(5)
    bench = _Bench()
    bench.app.journal = Journal(bench.board.flash, flash_map.JOURNAL_FIRST, 3)
    before = -1
    while bench.app.journal.kept != before:
        before = bench.app.journal.kept
        bench.board.out.clear()
        bench.step_on(72_500)
    assert bench.shown()[1] == "NOT SAVED: full"
    assert bench.events("saved") == []
    assert bench.app.journal.batch(0).first == 1, "the oldest is still there"


def test_broken_flash_is_said():
    random.seed(6)

    class _Broken(Nor):
        broken = False

        def program(self, address, data):
            if self.broken:
                raise FlashError("broken")
            super().program(address, data)

    flash = _Broken(Memory(_SIZE))
    bench = _Bench(flash)
    bench.step_on(72_500)
    flash.broken = True
    bench.step_on(72_500)
    assert bench.shown()[1] == "NOT SAVED: fault"
    assert len(bench.events("saved")) == 1


def test_too_heavy_is_no_reading():
    random.seed(7)
    bench = _Bench()
    bench.step_on(190_000)
    assert bench.shown() == ["Out of range"]
    assert bench.app.journal.kept == 0


def test_no_reading_is_in_the_log():
    random.seed(8)
    bench = _Bench()
    for grams in (72_500, 60_000, 190_000):
        bench.step_on(grams)
    logged = [line for line in bench.board.out if line.startswith("#")]
    assert not any("kg" in line or "72" in line or "60.0" in line for line in logged)


def test_what_was_called_saved_is_in_flash_after_a_cut_anywhere():
    cuts = 0
    memory = Memory(_SIZE)
    for tear in TEARS:
        cut_at = 2  # the first two are the boot's own
        while True:
            cut_at += 1
            _erase(memory)
            _Bench(Nor(memory))
            bench = _Bench(Nor(memory, cut_at, tear))
            random.seed(cut_at)
            try:
                for grams in (72_500, 74_000):
                    bench.step_on(grams)
            except PowerCutError:
                cuts += 1
                _check_saved(memory, bench)
                continue
            break
    assert cuts >= 5 * 5


def _erase(memory):
    for at in range(0, _SIZE, flash_map.SECTOR):
        memory.data[at : at + flash_map.SECTOR] = b"\xff" * flash_map.SECTOR


def _check_saved(memory, bench):
    journal = _Bench(Nor(memory)).app.journal
    said = len(bench.events("saved"))
    assert said <= journal.kept <= said + 1
    assert journal.next_sequence == journal.kept + 1
