"""When the device turns itself off, and for how long (SPEC 17.4). Pure: time is an argument.

A board that can do it sleeps deeply as soon as nobody needs it: the plate is empty, nothing is
shown that somebody may read, the link is asleep, the console is quiet. A load on the plate, the
button, a byte on the console or the time wakes it, as a reset.
"""

#: So long must everything be quiet.
IDLE_MS = 5_000
#: A shorter sleep is not worth a start.
_SHORTEST_MS = 10_000


class Drowsiness:
    """Tells how long nothing has happened."""

    def __init__(self, now_ms: int) -> None:
        self._busy_ms = now_ms
        self._lines = 0

    def look(self, now_ms: int, lines: int, *, busy: bool) -> None:
        """Note how it is now: `lines` is how many the console has heard since the start."""
        if busy or lines != self._lines:
            self._busy_ms = now_ms
            self._lines = lines

    def sleep_ms(self, now_ms: int, due_ms: int) -> int:
        """Return how long to sleep now, 0 for not at all; `due_ms`: the link's next try is then."""
        left_ms = due_ms - now_ms
        if now_ms - self._busy_ms < IDLE_MS or left_ms < _SHORTEST_MS:
            return 0
        return left_ms
