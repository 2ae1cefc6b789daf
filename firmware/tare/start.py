"""Starts the application, or what is left of it when a part of it cannot be read.

A device whose flash holds what this firmware does not understand must still answer its console:
else only a programmer could tell why it is dead. Nothing is weighed, sent or overwritten then.
"""

import asyncio

from tare import boot_guard, version
from tare import console as console_rules
from tare.app import App
from tare.console import Console
from tare.display import Display
from tare.errors import FirmwareError
from tare.provisioning import serve_line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from tare.board import Board

_TICK_MS = 1_000


async def run(board: "Board") -> None:
    """Serve for ever."""
    try:
        app = App(board)
    except Exception as error:
        # Text only of our own errors: others may hold what they failed on.
        known = isinstance(error, FirmwareError)
        await Rescue(board, str(error) if known else type(error).__name__).run()
    else:
        await app.run()


class Rescue:
    """The console alone, with the reason; after a while the device tries to start again."""

    def __init__(self, board: "Board", reason: str) -> None:
        self._board = board
        self._reason = reason
        self._console = Console(board.write_line)
        self._began_ms = board.monotonic_ms()
        self._resetting = False
        self._console.add("about", self._about)
        self._console.add("reboot", self._reboot)

    async def run(self) -> None:
        """Serve until the device begins anew."""
        self._console.log("%s, firmware %s" % (self._board.model, version.FIRMWARE))
        self._console.log("cannot start: %s" % self._reason)
        display = Display(lambda lines: self._console.event("display", {"lines": lines}))
        display.put("Safe mode", self._reason)
        await asyncio.gather(serve_line(self._board, self._console), self._wait())

    async def _wait(self) -> None:
        while not self._resetting:
            self._board.feed_watchdog()
            await asyncio.sleep_ms(_TICK_MS)
            up_ms = self._board.monotonic_ms() - self._began_ms
            self._resetting = self._resetting or up_ms >= boot_guard.SAFE_MODE_MS
        self._board.reset()

    def _about(self, arguments: list[str]) -> object:
        console_rules.expect(arguments, 0)
        return {
            "model": self._board.model,
            "firmware": version.FIRMWARE,
            "safe_mode": self._reason,
        }

    def _reboot(self, arguments: list[str]) -> object:
        console_rules.expect(arguments, 0)
        # At the next tick, after the reply has gone out.
        self._resetting = True
        return None
