"""The supervisor and the watch around it: who is stuck, who fails too often, when it is fed."""

import asyncio

from protocol import frame
from sim.nor import Memory, Nor
from tare import boot_guard, start
from tare import flash as flash_map
from tare.board import Board
from tare.state import BootState
from tare.supervisor import Supervisor
from tare.two_copies import TwoCopies
from tare.watch import Watch


class _ResetError(Exception):
    """The board was reset."""


class _Board(Board):
    model = "memory"

    def __init__(self, flash=None):
        self.flash = flash
        self.now_ms = 1_000
        self.fed = 0
        self.out = []
        self.lines = []

    def monotonic_ms(self):
        return self.now_ms

    def feed_watchdog(self):
        self.fed += 1

    def reset(self):
        raise _ResetError

    def boot_reason(self):
        return frame.BOOT_POWER_ON

    def retained(self):
        return b""

    def retain(self, data):
        pass

    def write_line(self, text):
        self.out.append(text)

    async def read_console(self):
        while not self.lines:
            await asyncio.sleep_ms(1)
        return self.lines.pop(0)


def _watch(*, failed=1):
    flash = Nor(Memory((flash_map.BOOT + 2) * flash_map.SECTOR))
    board, boot = _Board(flash), BootState(flash)
    boot.failed = failed - 1
    boot_guard.begin(boot, frame.BOOT_POWER_ON)
    boot.save()
    return board, boot, Watch(board, boot, board.write_line)


def _until_reset(watch, board, limit_s):
    """Look once a second; return after how many seconds the board was reset, None if never."""
    for second in range(limit_s):
        try:
            watch.look()
        except _ResetError:
            return second
        board.now_ms += 1_000
    return None


def test_who_keeps_its_promises_is_never_overdue_and_who_does_not_is_named():
    tasks = Supervisor()
    assert tasks.overdue(10**9) is None, "who promised nothing may wait"
    tasks.promise("link", 0, 100)
    tasks.promise("display", 0, 50)
    assert tasks.overdue(50) is None
    assert tasks.overdue(51) == "display"
    tasks.promise("display", 51, 1_000)
    assert tasks.overdue(101) == "link"


def test_a_task_that_failed_is_not_held_to_its_promise():
    tasks = Supervisor()
    tasks.promise("link", 0, 100)
    assert not tasks.failed("link", 50)
    assert tasks.overdue(1_000) is None


def test_ten_failures_within_a_minute_are_too_many_and_rare_ones_never():
    tasks = Supervisor()
    assert [tasks.failed("scale", number * 1_000) for number in range(10)] == [False] * 9 + [True]
    assert not any(tasks.failed("link", number * 7_000) for number in range(100))


def test_a_task_that_does_not_report_ends_the_start_with_the_reason_stored():
    board, boot, watch = _watch()
    watch.promise("display", 20_000)
    assert _until_reset(watch, board, 100) == 21
    assert board.fed == 21, "the watchdog is not fed for one that is stuck"
    assert "task display is stuck" in board.out
    assert BootState(board.flash).why == boot_guard.WHY_TASK_STUCK
    assert boot.failed == 1


def test_a_pause_of_everything_makes_nobody_stuck():
    board, _boot, watch = _watch()
    watch.promise("display", 20_000)
    watch.look()
    board.now_ms += 60_000
    watch.look()
    watch.promise("display", 20_000)
    board.now_ms += 1_000
    watch.look()
    assert board.fed == 3


def test_a_start_is_good_after_a_minute_and_that_is_stored_once():
    board, boot, watch = _watch(failed=3)
    before = board.flash.operations
    assert _until_reset(watch, board, 60) is None
    assert (boot.failed, board.flash.operations) == (3, before)
    assert _until_reset(watch, board, 600) is None
    assert BootState(board.flash).failed == 0
    once = board.flash.operations - before
    assert 0 < once < 10
    assert _until_reset(watch, board, 600) is None
    assert board.flash.operations - before == once, "each look wears the flash"


def test_a_reboot_that_was_asked_for_is_no_failure():
    board, _boot, watch = _watch(failed=4)
    try:
        watch.reboot()
    except _ResetError:
        pass
    assert BootState(board.flash).failed == 0


def test_safe_mode_ends_after_five_minutes_with_one_normal_start():
    board, boot, watch = _watch(failed=boot_guard.MOST_FAILED + 1)
    assert boot_guard.is_safe(boot)
    assert _until_reset(watch, board, 1_000) == boot_guard.SAFE_MODE_MS // 1000
    after = BootState(board.flash)
    boot_guard.begin(after, frame.BOOT_RESET)
    assert not boot_guard.is_safe(after)


def test_a_task_that_fails_is_begun_again_and_ends_the_start_when_it_goes_on():
    board, boot, watch = _watch()
    begun = []

    async def task():
        begun.append(board.now_ms)
        board.now_ms += 1_000
        raise ValueError("not for the log: 72500")

    async def run():
        try:
            await watch.keep_running("scale", task)
        except _ResetError:
            return

    asyncio.run(run())
    assert len(begun) == 10
    assert boot.why == boot_guard.WHY_TASK_FAILED
    assert "task scale failed: ValueError" in board.out
    assert not any("72500" in line for line in board.out)


def _rescued(board, seconds):
    async def run():
        running = asyncio.create_task(start.run(board))
        for _ in range(seconds * 20):
            await asyncio.sleep_ms(50)
            if running.done():
                break
        try:
            running.cancel()
            await running
        except asyncio.CancelledError:
            pass
        except _ResetError:
            return True
        return False

    return asyncio.run(run())


def test_a_part_that_cannot_be_read_leaves_the_console_and_says_why():
    memory = Memory((flash_map.SETTINGS_FIRST + 2) * flash_map.SECTOR)
    TwoCopies(Nor(memory), flash_map.STATE).store(["of the future"])
    before = bytes(memory.read(flash_map.STATE * flash_map.SECTOR, 2 * flash_map.SECTOR))
    board = _Board(Nor(memory))
    board.calibration = None
    board.lines = [b"1 about\n"]
    assert not _rescued(board, 1)
    assert "# cannot start: state in a form that is not known" in board.out
    about = [line for line in board.out if line.startswith("= 1 ok ")]
    assert '"safe_mode": "state in a form that is not known"' in about[0]
    assert any("Safe mode" in line for line in board.out if line.startswith("! display"))
    assert board.fed, "the watchdog would end it"
    after = bytes(memory.read(flash_map.STATE * flash_map.SECTOR, 2 * flash_map.SECTOR))
    assert after == before, "what other firmware wrote is not ours to change"
    assert BootState(board.flash).failed == 1, "counted before what failed"


def test_a_rescued_device_starts_again_when_asked_and_after_five_minutes():
    for lines, later_ms in (([b"1 reboot\n"], 0), ([], boot_guard.SAFE_MODE_MS)):
        memory = Memory((flash_map.SETTINGS_FIRST + 2) * flash_map.SECTOR)
        TwoCopies(Nor(memory), flash_map.STATE).store(["of the future"])
        board = _Board(Nor(memory))
        board.calibration = None
        board.lines = lines
        real = board.monotonic_ms
        asked = []

        def monotonic_ms(real=real, asked=asked, later_ms=later_ms):
            asked.append(1)
            return real() + (later_ms if len(asked) > 3 else 0)

        board.monotonic_ms = monotonic_ms
        assert _rescued(board, 3), (lines, later_ms)
