"""When the device turns itself off, and for how long (SPEC 17.4). Pure: time is an argument.

A board that can do it sleeps deeply as soon as nobody needs it: the plate is empty, nothing is
shown that somebody may read, the link is asleep, the console is quiet. A load on the plate, the
button, a byte on the console or the time wakes it, as a reset.
"""

#: So long must everything be quiet.
IDLE_MS = 5_000
#: So long a cloud and a person may take in the midst of an enrolment, whose keys are in memory.
PATIENT_MS = 300_000
#: A shorter sleep is not worth a start.
_SHORTEST_MS = 10_000


class Drowsiness:
    """Tells how long nothing has happened."""

    def __init__(self, now_ms: int) -> None:
        self._busy_ms = now_ms
        self._heard = 0

    def look(self, now_ms: int, heard: int, *, busy: bool) -> None:
        """Note how it is now: `heard` is how many bytes came to the console since the start."""
        if busy or heard != self._heard:
            self._busy_ms = now_ms
            self._heard = heard

    def sleep_ms(self, now_ms: int, due_ms: int, *, patient: bool = False) -> int:
        """Return how long to sleep now, 0 for not at all; `due_ms`: the link's next try is then.

        `patient`: something was begun that a sleep would forget.
        """
        left_ms = due_ms - now_ms
        idle_ms = PATIENT_MS if patient else IDLE_MS
        if now_ms - self._busy_ms < idle_ms or left_ms < _SHORTEST_MS:
            return 0
        return left_ms
