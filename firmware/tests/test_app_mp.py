"""The application on a board in memory: from a foot on the plate to "saved", and what it means."""

import asyncio
import gc
import random

from protocol import claim_code
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
from tare.sync import COMMAND

TIMEOUT_S = 200
_SIZE = (flash_map.SETTINGS_FIRST + flash_map.SETTINGS_COUNT) * flash_map.SECTOR


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

    def feed_watchdog(self):
        pass

    def write_line(self, text):
        self.out.append(text)

    async def read_console(self):
        await asyncio.sleep(60)

    async def next_counts(self):
        await asyncio.sleep(60)

    def add_verbs(self, console):
        pass


class _Bench:
    def __init__(self, flash=None, *, claimed=True):
        self.board = _MemoryBoard(flash or Nor(Memory(_SIZE)))
        self.app = App(self.board)
        self.app.identity = object()  # enrolled, as far as the display goes
        self._cell = LoadCell(_random_bytes)
        if claimed and not self.app.state.claim_epoch:
            self.app.state.claim_epoch = 3
            self.app.state.people = [Person(5, 1, 72_000)]
            self.app.state.save()

    def step_on(self, grams):
        """Feed a whole weigh-in to the scale task's inner part."""
        self.feed(self._cell.empty(1.5))
        self.feed(self._cell.stand(grams))

    def feed(self, samples):
        for counts in samples:
            self.app._sampled(counts)

    def later(self, seconds):
        self.board.now_ms += seconds * 1000
        self.app._clear_display()

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


def _counts(grams, samples):
    return [ZERO_COUNTS + grams * COUNTS_PER_KG // 1000] * samples


def test_a_result_is_shown_until_the_person_has_left_and_read_it():
    bench = _Bench()
    bench.feed(_counts(0, 15) + _counts(72_500, 50))
    bench.later(60)
    assert bench.shown() == ["72.50 kg", "saved"], "somebody stands there"
    bench.feed(_counts(0, 15))
    bench.later(4)
    assert bench.shown() == ["72.50 kg", "saved"]
    bench.later(2)
    assert bench.shown() == ["Step on the scale"]


def test_the_unit_and_the_time_that_were_set_hold_at_once():
    random.seed(9)
    bench = _Bench()
    bench.app.console.handle("1 set unit lb")
    bench.app.console.handle("2 set shown_s 20")
    bench.app.console.handle("3 set awake_s 120")
    bench.step_on(72_500)
    assert bench.shown()[0].endswith(" lb")
    assert abs(float(bench.shown()[0][:-3]) - 159.8) <= 0.3
    assert abs(bench.app.journal.batch(0).items[0][2][0] - 72_500) <= 100, "stored in g"
    assert bench.app.link._awake_left_ms() == 120_000
    bench.feed(bench._cell.empty(3))
    bench.later(19)
    assert bench.shown()[1] == "saved"
    bench.later(2)
    assert bench.shown() == ["Step on the scale"]


def test_a_step_that_was_too_short_does_not_weigh_for_ever():
    bench = _Bench()
    bench.feed(_counts(0, 15) + _counts(72_500, 8) + _counts(0, 15))
    bench.later(6)
    assert bench.shown() == ["Step on the scale"]
    assert bench.app.journal.kept == 0


def test_a_weigh_in_does_not_cost_the_claim_code_and_its_end_does():
    bench = _Bench(claimed=False)
    bench.app.console.handle("1 button short")
    shown = bench.shown()
    assert claim_code.to_text(bytes(10)) == "-".join(shown[1:])
    bench.feed(_counts(0, 15) + _counts(72_500, 50) + _counts(0, 15))
    assert bench.shown()[1] == "not kept: no owner"
    bench.later(6)
    assert bench.shown() == shown
    bench.app._noticed(COMMAND)  # one that was no claim
    assert bench.shown() == shown
    bench.later(600)
    assert bench.shown() == ["No owner", "Press the button"]


def test_the_button_of_a_claimed_scale_says_so_and_disturbs_no_weigh_in():
    bench = _Bench()
    bench.app.console.handle("1 button short")
    assert bench.shown() == ["This scale", "has an owner"]
    assert bench.app.link.window is None
    bench.later(6)
    assert bench.shown() == ["Step on the scale"]
    bench.feed(_counts(0, 15) + _counts(72_500, 50))
    bench.app.console.handle("2 button short")
    assert bench.shown() == ["72.50 kg", "saved"]


def test_a_disturbed_sample_is_passed_over():
    bench = _Bench()
    bench.feed(_counts(0, 15) + _counts(72_500, 10) + [0x7FFFFF] + _counts(72_500, 40))
    bench.feed([-0x800000])
    assert bench.shown() == ["72.50 kg", "saved"]
    assert len(bench.events("saved")) == 1


def test_a_broken_wire_is_said_once_and_goes_when_it_is_mended():
    bench = _Bench()
    bench.feed(_counts(72_500, 10) + [0x7FFFFF] * 2_000)
    bench.later(60)
    assert bench.shown() == ["Sensor error"]
    assert len([line for line in bench.board.out if "out of range" in line]) == 1
    bench.feed(_counts(0, 15))
    bench.later(1)
    assert bench.shown() == ["Step on the scale"]
    bench.feed(_counts(72_500, 50))
    assert bench.shown() == ["72.50 kg", "saved"]


def test_a_habit_that_cannot_be_stored_does_not_keep_the_reading_from_being_sent():
    bench = _Bench()

    def broken():
        raise FlashError("broken")

    bench.app.state.save = broken
    bench.feed(_counts(0, 15) + _counts(73_500, 50))
    assert bench.shown() == ["73.50 kg", "saved"]
    assert bench.app.link.is_awake()


async def test_a_command_that_cannot_be_finished_does_not_stop_the_start():
    bench = _Bench()

    def broken():
        raise FlashError("broken")

    bench.app.commands.finish = broken
    bench.app.identity = None
    running = asyncio.create_task(bench.app.run())
    await asyncio.sleep_ms(50)
    assert not running.done()
    assert "# stored command not finished: broken" in bench.board.out
    assert bench.shown() == ["Not enrolled"]
    running.cancel()


async def test_a_flood_on_the_console_leaves_the_others_their_turn():
    bench = _Bench()
    reads = []

    async def flood():
        reads.append(1)
        if len(reads) > 1_000:
            await asyncio.sleep(60)
        return b"garbage\n" * 10

    bench.board.read_console = flood
    serving = asyncio.create_task(bench.app._serve_console())
    for _ in range(3):
        await asyncio.sleep_ms(0)
    assert 1 <= len(reads) < 10
    serving.cancel()


def test_a_thousand_weigh_ins_leave_no_memory_behind():
    bench = _Bench()
    day = _counts(0, 15) + _counts(72_500, 25) + _counts(0, 15)
    used = []
    for number in range(1_000):
        bench.feed(day)
        bench.app.journal.trim(number + 1)
        bench.board.out.clear()
        if number % 100 == 99:
            gc.collect()
            used.append(gc.mem_alloc())
    assert bench.app.journal.next_sequence == 1_001
    assert max(used) - used[0] < 2_000, used


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
