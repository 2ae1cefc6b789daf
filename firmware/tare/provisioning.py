"""The serial line that console and Improv share, and the radio that Improv sets (SPEC 11.4, 11.5).

Byte 3 occurs in every request of Improv, and is Ctrl-C: it ends the program, so that a tool can
break in. Only while the window is open it does not, and only then Improv is answered.
"""

import asyncio

from protocol.improv import PROVISIONED, RPC, Decoder
from tare import console as console_rules
from tare import version
from tare.errors import ConsoleError
from tare.improv import NOTHING, SCAN, Session
from tare.wifi import MAX_PORTAL

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from tare.board import Board
    from tare.console import Console
    from tare.wifi import Wifi

#: So long after a start, the button or the last request of a client.
WINDOW_MS = 60_000
#: After a start without any Wi-Fi: somebody has just unpacked it.
FIRST_WINDOW_MS = 600_000
_USER = "improv"
_NAME = "Tare"
_TICK_MS = 500
_POLL_MS = 50


async def serve_line(
    board: "Board", console: "Console", provisioning: "Provisioning | None" = None
) -> None:
    """Hand the board's input to the console, line by line, and to Improv, for ever."""
    lines = console_rules.Lines()
    while True:
        data = await board.read_console()
        console.heard += len(data)
        if provisioning is not None:
            data = provisioning.take(data)
        for byte in data:
            line = lines.feed(byte)
            if line is not None:
                console.handle(line)
        # A flood of input must leave the others their turn.
        await asyncio.sleep_ms(0)


class Provisioning:
    """`joined` is called when a network was set, and joined."""

    def __init__(
        self, board: "Board", wifi: "Wifi", console: "Console", joined: "Callable[[], None]"
    ) -> None:
        self._wifi = wifi
        self._board = board
        self._console = console
        self._joined = joined
        self._session = Session(self._wifi.store, (_NAME, version.FIRMWARE, board.model))
        self._decoder = Decoder()
        self._is_open = False
        self._until_ms = 0
        self._talked = False
        self._stirred = asyncio.Event()
        console.add("wifi", self._show)
        console.add("portal", self._portal)

    @property
    def is_busy(self) -> bool:
        """Whether a client is in the midst of it: no time to sleep."""
        return self._is_open and self._talked

    def open(self, window_ms: int = WINDOW_MS) -> None:
        """Open the window for so long, or keep it open if that is longer."""
        until_ms = self._board.monotonic_ms() + window_ms
        if not self._is_open:
            self._board.interruptible(on=False)
            self._is_open = True
            self._until_ms = until_ms
        self._until_ms = max(self._until_ms, until_ms)

    def open_at_start(self, *, woken: bool) -> None:
        """Open the window as a start wants it; a wake from deep sleep only without any Wi-Fi."""
        if not self._wifi.store.is_set:
            self.open(FIRST_WINDOW_MS)
        elif not woken:
            self.open()

    def take(self, data: bytes) -> bytes:
        """Answer the packets in these bytes; return what is the console's."""
        if not self._is_open:
            return data
        text = b""
        now_ms = self._board.monotonic_ms()
        damaged = self._decoder.damaged
        for item in self._decoder.feed(data, now_ms):
            if isinstance(item, bytes):
                text += item
                continue
            if item.kind == RPC:
                self._talked = True
                self.open()
            self._say(self._session.receive(item, now_ms))
        if self._decoder.damaged != damaged:
            self._say(self._session.damaged())
        if self._session.work != NOTHING:
            self._stirred.set()
        return text

    async def run(self) -> None:
        """Do what clients ask of the radio, and close the window in time, for ever."""
        while True:
            self._stirred.clear()
            if self._session.work != NOTHING:
                await self._work()
            elif self._is_open and self._board.monotonic_ms() >= self._until_ms:
                self._close()
            try:
                await asyncio.wait_for_ms(self._stirred.wait(), _TICK_MS)
            except asyncio.TimeoutError:
                pass

    async def _work(self) -> None:
        """Let the radio work, as long as the session has the patience."""
        doing = asyncio.create_task(self._use_radio(self._session.work))
        try:
            while not doing.done():
                await asyncio.sleep_ms(_POLL_MS)
                self._say(self._session.tick(self._board.monotonic_ms()))
                if self._session.work == NOTHING:
                    doing.cancel()
        finally:
            doing.cancel()
        # The client is given its time from now on: joining may have taken all of it.
        self.open()

    async def _use_radio(self, work: int) -> None:
        session = self._session
        try:
            if work == SCAN:
                found = await self._wifi.scan(_USER)
            else:
                ok = await self._wifi.try_out(_USER, session.wanted[0], session.wanted[1])
        except Exception as error:
            # Whatever a driver raises, the client gets its answer; the text may hold a name.
            self._console.log("Wi-Fi failed: %s" % type(error).__name__)
            self._say(session.scanned(None) if work == SCAN else session.joined(ok=False))
            return
        if work == SCAN:
            self._say(session.scanned(found))
            return
        self._say(session.joined(ok=ok))
        if session.state == PROVISIONED:
            self._console.log("Wi-Fi was set")
            self._joined()
        else:
            self._console.log("Wi-Fi was not joined")
            self._wifi.drop()

    def _close(self) -> None:
        self._is_open = self._talked = False
        self._decoder = Decoder()
        self._session.end()
        self._wifi.leave(_USER)
        self._board.interruptible(on=True)

    def _say(self, packets: list[bytes]) -> None:
        for packet in packets:
            self._board.write_packet(packet)

    def _show(self, arguments: list[str]) -> object:
        """The verb `wifi`, with `open` or `close` for the window."""
        if arguments == ["open"]:
            self.open()
        elif arguments == ["close"]:
            if self._session.work != NOTHING:
                raise ConsoleError("busy", "the radio is at work")
            if self._is_open:
                self._close()
        else:
            console_rules.expect(arguments, 0)
        left_ms = self._until_ms - self._board.monotonic_ms() if self._is_open else 0
        return {
            "set": self._wifi.store.is_set,
            "joined": self._wifi.is_joined,
            "hostname": self._wifi.store.hostname,
            "window_s": max(0, left_ms) // 1000,
        }

    def _portal(self, arguments: list[str]) -> object:
        """The verb `portal`: where Improv sends a person on to; `none` for nowhere."""
        if arguments:
            console_rules.expect(arguments, 1)
            url = "" if arguments[0] == "none" else arguments[0]
            is_url = url.startswith("https://") or url.startswith("http://")  # noqa: PIE810
            if url and (not is_url or len(url) > MAX_PORTAL):
                raise ConsoleError("arguments", "expected an http or https URL, or none")
            self._wifi.store.set_portal(url)
        return {"url": self._wifi.store.portal}
