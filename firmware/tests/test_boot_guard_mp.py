"""Starts that come to nothing lead to safe mode, and out of it again (SPEC 12.4)."""

from protocol import frame
from sim.nor import Memory, Nor
from tare import boot_guard
from tare import flash as flash_map
from tare.boot_guard import MOST_FAILED
from tare.state import BootState
from tare.two_copies import TwoCopies


def _flash():
    return Nor(Memory((flash_map.BOOT + 2) * flash_map.SECTOR))


def _start(flash, reason=frame.BOOT_POWER_ON):
    boot = BootState(flash)
    boot_guard.begin(boot, reason)
    boot.save()
    return boot


def _fail(flash, count, reason=frame.BOOT_POWER_ON):
    return [_start(flash, reason) for _ in range(count)][-1]


def test_the_start_after_so_many_failed_ones_is_in_safe_mode():
    flash = _flash()
    assert not boot_guard.is_safe(_fail(flash, MOST_FAILED))
    boot = _start(flash)
    assert boot_guard.is_safe(boot)
    assert (boot.counter, boot.reason) == (MOST_FAILED + 1, frame.BOOT_SAFE_MODE)


def test_one_good_start_sets_the_count_back():
    flash = _flash()
    boot = _fail(flash, MOST_FAILED)
    assert boot_guard.proved_good(boot)
    boot.save()
    assert not boot_guard.proved_good(boot), "nothing is left to store: it would wear the flash"
    assert not boot_guard.is_safe(_fail(flash, MOST_FAILED))
    assert boot_guard.is_safe(_start(flash))


def test_a_wake_from_deep_sleep_counts_as_no_start_and_stays_in_its_mode():
    flash = _flash()
    _fail(flash, MOST_FAILED)
    for _ in range(3):
        boot = _start(flash, frame.BOOT_DEEP_SLEEP_WAKE)
        assert (boot.reason, boot.failed) == (frame.BOOT_DEEP_SLEEP_WAKE, MOST_FAILED)
    assert boot_guard.is_safe(_start(flash))


def test_after_safe_mode_one_start_is_normal_and_a_failed_one_leads_back():
    flash = _flash()
    boot = _fail(flash, MOST_FAILED + 1)
    assert not boot_guard.proved_good(boot), "safe mode proves nothing"
    boot_guard.one_more_try(boot)
    boot.save()
    assert not boot_guard.is_safe(_start(flash))
    assert boot_guard.is_safe(_start(flash))


def test_the_reason_of_the_last_failure_is_kept():
    flash = _flash()
    boot = _start(flash)
    boot_guard.give_up(boot, boot_guard.WHY_TASK_FAILED)
    boot.save()
    boot = _start(flash, frame.BOOT_RESET)
    assert boot_guard.words(boot.why) == "a task kept failing"
    boot = _start(flash, frame.BOOT_WATCHDOG)
    assert boot_guard.words(boot.why) == "the watchdog bit"
    # Power came back: what was before is not the reason any more.
    boot = _start(flash, frame.BOOT_POWER_ON)
    assert boot_guard.words(boot.why) == "lost power early"
    assert boot_guard.words(99) == "reason 99"


def test_boot_state_of_firmware_before_the_guard_is_read():
    flash = _flash()
    TwoCopies(flash, flash_map.BOOT).store([41, 0, 7, 1_900_000_000])
    boot = _start(flash)
    assert (boot.counter, boot.clock_epoch, boot.last_known_s) == (42, 7, 1_900_000_000)
    assert (boot.failed, boot.why) == (1, boot_guard.WHY_UNKNOWN)
