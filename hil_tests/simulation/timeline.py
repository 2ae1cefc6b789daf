"""Virtual time: what happens next, in order, and how late it is. Touches nothing."""

from __future__ import annotations

import heapq
from collections.abc import Callable

SECOND_MS = 1_000
MINUTE_MS = 60 * SECOND_MS
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS

Action = Callable[[], None]


class Timeline:
    """`now_ms` is the true time since the beginning; nobody in the simulation can read it."""

    def __init__(self) -> None:
        self.now_ms = 0
        self.events = 0
        self._queue: list[tuple[int, int, Action]] = []
        self._number = 0

    def after(self, delay_ms: int, action: Action) -> None:
        """Lets something happen later; what is due at the same time happens in this order."""
        self._number += 1
        heapq.heappush(self._queue, (self.now_ms + max(0, delay_ms), self._number, action))

    def at(self, when_ms: int, action: Action) -> None:
        """Lets something happen at a time."""
        self.after(when_ms - self.now_ms, action)

    def run_until(self, end_ms: int) -> None:
        """Lets everything happen that is due by then."""
        while self._queue and self._queue[0][0] <= end_ms:
            when_ms, _, action = heapq.heappop(self._queue)
            self.now_ms = when_ms
            self.events += 1
            action()
        self.now_ms = end_ms
