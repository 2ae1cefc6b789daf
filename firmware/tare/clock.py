"""The device's time: seconds in a clock epoch, and the wall time of its beginning once known.

Pure: `now_ms` is always the board's monotonic time, which runs through resets as long as the
retained memory is valid. The only wall time that is believed is that of a welcome (SPEC 9).
"""

from tare import version
from tare.errors import JournalFullError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from tare.journal import Journal

# Two welcomes may each be wrong by half of the 30 s that a round trip may take (SPEC 7).
_CLASH_S = 60


class Clock:
    """Clock epoch `epoch` began at `start_ms` of monotonic time; `zero_s` is its wall time."""

    def __init__(self, epoch: int, start_ms: int, zero_s: int | None = None) -> None:
        self.epoch = epoch
        self.zero_s = zero_s
        self._start_ms = start_ms

    def seconds(self, now_ms: int) -> int:
        """Seconds since the clock epoch began."""
        return (now_ms - self._start_ms) // 1000

    def wall(self, now_ms: int) -> int | None:
        """The time (Unix seconds), None as long as it is not known."""
        return None if self.zero_s is None else self.zero_s + self.seconds(now_ms)

    def learn(self, time_s: int, sent_ms: int, received_ms: int) -> bool:
        """Take the time of a welcome, as of the middle of its round trip.

        False, and nothing changes, for a time before this firmware was built.
        """
        if time_s < version.BUILD_TIME_S:
            return False
        middle_ms = (sent_ms + received_ms) // 2
        self.zero_s = time_s - self.seconds(middle_ms)
        return True

    def item(self) -> list[object]:
        """What must be retained, so that `continued` goes on with it."""
        return [self.epoch, self._start_ms, self.zero_s]


def continued(item: "list[Any]", epoch: int, now_ms: int) -> Clock | None:
    """Return the clock that went on through a reset or sleep, None when there is any doubt.

    `item`: what was retained; `epoch`: the one in flash, of which it must be.
    """
    number, start_ms, zero_s = item
    if number != epoch or not isinstance(start_ms, int) or start_ms > now_ms:
        return None
    if zero_s is not None and not isinstance(zero_s, int):
        return None
    return Clock(number, start_ms, zero_s)


def date_readings(journal: "Journal", clock: Clock, last_known_s: int) -> None:
    """Date the kept readings that were taken before the time was known (SPEC 9.2, 9.3).

    Those of the running epoch get its beginning. An epoch that ended undated began after the
    last time known before it, and so early that its last reading came before the running epoch.
    Every welcome leaves no epoch undated: so `last_known_s` came before each one that is.
    """
    if clock.zero_s is None:
        return
    _widen(journal, clock.epoch, clock.zero_s)
    known = max(last_known_s, version.BUILD_TIME_S)
    for epoch, longest_s in journal.undated().items():
        try:
            if epoch == clock.epoch:
                journal.date(epoch, clock.zero_s)
            else:
                earliest, latest = _interval(known, clock.zero_s - longest_s)
                journal.bound(epoch, earliest, latest)
        except JournalFullError:
            pass  # known until the next reset at least, and then found again


def _widen(journal: "Journal", epoch: int, zero_s: int) -> None:
    """Two welcomes that contradict each other: one of them was wrong, and nobody knows which.

    What is dated in the running epoch and not settled yet then began between the two.
    """
    date = journal.date_of(epoch)
    if date is None or date[0] - _CLASH_S <= zero_s <= date[1] + _CLASH_S:
        return
    try:
        journal.bound(epoch, min(date[0], zero_s), max(date[1], zero_s))
    except JournalFullError:
        pass  # known until the next reset at least


def _interval(known_s: int, latest_s: int) -> tuple[int, int]:
    """Return when an undated epoch began at the earliest and latest, of two times that may clash.

    Where they clash by more than a slow welcome can be wrong, the cloud's clock was wrong before:
    then only the firmware's build is known to be earlier.
    """
    if known_s > latest_s + _CLASH_S:
        known_s = version.BUILD_TIME_S
    return min(known_s, latest_s), max(known_s, latest_s)
