"""Watches the tasks: each promises when it will report again, and what breaks its word is stuck.

Pure: time is an argument. Who feeds the watchdog asks `overdue` first; a task that fails again
and again is told by `failed`.
"""

#: So many failures of one task within the time below are no accident.
_MOST_FAILURES = 10
_WITHIN_MS = 60_000


class Supervisor:
    """The tasks by name. One that never promised anything waits for a person or a sensor."""

    def __init__(self) -> None:
        self._due_ms: dict[str, int] = {}
        self._failures: dict[str, list[int]] = {}

    def promise(self, name: str, now_ms: int, within_ms: int) -> None:
        """Task `name` is alive and reports again within `within_ms` at the latest."""
        self._due_ms[name] = now_ms + within_ms

    def overdue(self, now_ms: int) -> "str | None":
        """Return the name of a task that did not keep its promise."""
        for name in sorted(self._due_ms):
            if now_ms > self._due_ms[name]:
                return name
        return None

    def failed(self, name: str, now_ms: int) -> bool:
        """Note that a task ended with an error and is begun again; True when it is too often."""
        # What it promised ended with it.
        self._due_ms.pop(name, None)
        recent = [at_ms for at_ms in self._failures.get(name, []) if now_ms - at_ms < _WITHIN_MS]
        recent.append(now_ms)
        self._failures[name] = recent
        return len(recent) >= _MOST_FAILURES
