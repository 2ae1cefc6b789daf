"""Whether this start may be a normal one: counts starts that came to nothing (SPEC 12.4).

Rule order: 1. count before anything that can fail; 2. a start after too many goes to safe mode;
3. what proves a start good sets the count back. Pure but for the flash behind the boot state.
"""

from protocol import frame

TYPE_CHECKING = False
if TYPE_CHECKING:
    from tare.state import BootState

#: So many starts in a row may fail; the next one is in safe mode.
MOST_FAILED = 5
#: Up for so long with all tasks alive, a start has proved good.
GOOD_MS = 60_000
#: Safe mode lasts so long; then one normal start is tried.
SAFE_MODE_MS = 300_000
#: The console alone has the first part of safe mode, for when the link is what fails.
SAFE_LINK_MS = 30_000

WHY_UNKNOWN = 0
WHY_TASK_FAILED = 1
WHY_TASK_STUCK = 2
WHY_WATCHDOG = 3

_WORDS = {
    WHY_UNKNOWN: "lost power early",
    WHY_TASK_FAILED: "a task kept failing",
    WHY_TASK_STUCK: "a task was stuck",
    WHY_WATCHDOG: "the watchdog bit",
}


def begin(boot: "BootState", reason: int) -> None:
    """Count this start, whose cause is `reason`, and decide its mode: see `is_safe`.

    The caller stores the boot state at once. A wake from deep sleep is no start: it was planned.
    """
    boot.counter += 1
    boot.reason = reason
    if reason == frame.BOOT_DEEP_SLEEP_WAKE:
        return
    if reason == frame.BOOT_WATCHDOG:
        boot.why = WHY_WATCHDOG
    elif reason == frame.BOOT_POWER_ON:
        boot.why = WHY_UNKNOWN
    boot.failed += 1
    if boot.failed > MOST_FAILED:
        boot.reason = frame.BOOT_SAFE_MODE


def is_safe(boot: "BootState") -> bool:
    """Tell whether this start is in safe mode."""
    return boot.reason == frame.BOOT_SAFE_MODE


def proved_good(boot: "BootState") -> bool:
    """Set the count back; True when there is something to store. Safe mode proves nothing."""
    if is_safe(boot) or boot.failed == 0:
        return False
    boot.failed = 0
    boot.why = WHY_UNKNOWN
    return True


def give_up(boot: "BootState", why: int) -> None:
    """Note why this start ends; the caller stores the boot state and resets."""
    boot.why = why


def one_more_try(boot: "BootState") -> None:
    """After safe mode the next start is a normal one, and the one after that only if it was good.

    The caller stores the boot state and resets.
    """
    boot.failed = min(boot.failed, MOST_FAILED - 1)


def words(why: int) -> str:
    """Say why the starts failed."""
    return _WORDS.get(why) or "reason %d" % why
