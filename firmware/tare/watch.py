"""Runs the tasks, begins again what fails, and feeds the watchdog only while all keep their word.

The edge around supervisor.py and boot_guard.py: it stores why a start was given up, and resets.
"""

import asyncio

from tare import boot_guard
from tare.errors import FlashError
from tare.supervisor import Supervisor

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from typing import Any

    from tare.board import Board
    from tare.state import BootState

_RESTART_MS = 1_000
_TICK_MS = 1_000
# After a pause of this length everybody is late, because nobody was given a turn.
_PAUSE_MS = 5_000


class Watch:
    """`log` takes text without values."""

    def __init__(self, board: "Board", boot: "BootState", log: "Callable[[str], None]") -> None:
        self._board = board
        self._boot = boot
        self._log = log
        self._tasks = Supervisor()
        self._began_ms = board.monotonic_ms()
        self._looked_ms = self._began_ms

    def promise(self, name: str, within_ms: int) -> None:
        """Task `name` is alive and reports again within `within_ms` at the latest."""
        self._tasks.promise(name, self._board.monotonic_ms(), within_ms)

    async def keep_running(
        self, name: str, task: "Callable[[], Coroutine[Any, Any, None]]"
    ) -> None:
        """A task that fails is begun again; the log gets the kind of error, never its content."""
        while True:
            try:
                await task()
            except Exception as error:
                self._log("task %s failed: %s" % (name, type(error).__name__))
                if self._tasks.failed(name, self._board.monotonic_ms()):
                    self.give_up(boot_guard.WHY_TASK_FAILED)
            await asyncio.sleep_ms(_RESTART_MS)

    async def run(self) -> None:
        """Look after the tasks for ever. That this runs shows that none of them blocks."""
        while True:
            self.look()
            await asyncio.sleep_ms(_TICK_MS)

    def look(self) -> None:
        """Feed the watchdog, or begin anew; find out whether this start has proved good."""
        now_ms = self._board.monotonic_ms()
        paused = now_ms - self._looked_ms >= _PAUSE_MS
        self._looked_ms = now_ms
        late = self._tasks.overdue(now_ms)
        if late is not None and not paused:
            self._log("task %s is stuck" % late)
            self.give_up(boot_guard.WHY_TASK_STUCK)
        self._board.feed_watchdog()
        up_ms = now_ms - self._began_ms
        if boot_guard.is_safe(self._boot):
            if up_ms >= boot_guard.SAFE_MODE_MS:
                boot_guard.one_more_try(self._boot)
                self._reset("safe mode ends: one normal start is tried")
        elif up_ms >= boot_guard.GOOD_MS and boot_guard.proved_good(self._boot):
            self._store()

    def give_up(self, why: int) -> None:
        """Store why, and begin anew; does not return."""
        boot_guard.give_up(self._boot, why)
        self._reset("restart: %s" % boot_guard.words(why))

    def reboot(self) -> None:
        """Somebody asked for it, so it is no failure; does not return."""
        if boot_guard.proved_good(self._boot):
            self._store()
        self._board.reset()

    def sleep(self, sleep_ms: int) -> None:
        """Everybody is done, as planned: the start was good; does not return."""
        if boot_guard.proved_good(self._boot):
            self._store()
        self._board.deep_sleep(sleep_ms)

    def _reset(self, text: str) -> None:
        self._log(text)
        self._store()
        self._board.reset()

    def _store(self) -> None:
        try:
            self._boot.save()
        except FlashError as error:
            # The start was counted when it began: that it is not stored why must not stop a reset.
            self._log("boot state was not stored: %s" % error)
