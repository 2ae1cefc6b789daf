"""Keeps the device connected while it is awake: connect, converse, back off (SPEC 7).

A thin edge around sync.py. It never waits without a limit, and never stays awake because the
network is down: `awake_until_ms`, moved only by what a person or the cloud did, ends it.
"""

import asyncio

from protocol import topics
from protocol.errors import ProtocolError
from tare.errors import FirmwareError, LinkError
from tare.mqtt import Client
from tare.sync import COMMAND, IGNORED, WELCOME, ClaimWindow, Conversation

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from tare.board import Board
    from tare.mqtt import Stream
    from tare.sync import Device
    from tare.wifi import Wifi

ASLEEP = "asleep"
CONNECTING = "connecting"
CONNECTED = "connected"
WAITING = "waiting"

AWAKE_MS = 60_000
# Each step of a connection has a limit far below this: what takes longer is stuck.
STEP_MS = 90_000
_CONNECT_MS = 15_000
_FIRST_BACKOFF_MS = 1_000
_LAST_BACKOFF_MS = 300_000
# A device that sleeps with unsent records tries again by itself after this; without any it asks
# once a day whether there is a command.
_RETRY_MS = 900_000
DAY_MS = 86_400_000
_TICK_MS = 1_000
# What is under way when the awake time ends may still end well: an ack, the leave-taking.
_GRACE_MS = 2_000
_USER = "link"
_MAX_INBOX = 16
# Messages of one connection that may be nonsense before it counts as hostile.
_MAX_IGNORED = 32
_NONCE_SIZE = 16


class Link:
    """`state` is one of the words above. `log` takes text without values.

    `notice(what)` is called for every message of the cloud that counted: see `sync.receive`.
    `alive(within_ms)` is told before each step when the next sign of life comes at the latest.
    """

    def __init__(
        self,
        board: "Board",
        log: "Callable[[str], None]",
        notice: "Callable[[str], None]",
        alive: "Callable[[int], None]",
    ) -> None:
        self.state = ASLEEP
        #: How long a wake keeps it connected; the application sets it to what was set.
        self.awake_ms: Callable[[], int] = lambda: board.awake_ms
        self.window: ClaimWindow | None = None
        #: The Wi-Fi to be joined first; None where the network is somebody else's.
        self.wifi: Wifi | None = None
        #: When it was awake last, in monotonic time.
        self.asleep_ms = board.monotonic_ms()
        self._board = board
        self._log = log
        self._notice = notice
        self._alive = alive
        self._awake_until_ms = 0
        self._stirred = asyncio.Event()
        self._called = asyncio.Event()
        self._inbox: list[bytes] = []
        self._ignored = 0

    def wake(self) -> None:
        """A person did something, or there is something to send: connect or stay connected."""
        self._awake_until_ms = self._board.monotonic_ms() + self.awake_ms()
        self._stirred.set()

    def call(self) -> None:
        """Wake, and do not sit out a backoff: somebody waits for it."""
        self.wake()
        self._called.set()

    async def run(self, device: "Device") -> None:
        """Serve for ever; `device` is enrolled."""
        while True:
            await self._sleep(device)
            await self._be_awake(device)
            if self.wifi is not None:
                self.wifi.leave(_USER)
            self.asleep_ms = self._board.monotonic_ms()

    def due_ms(self, kept: int) -> int:
        """When it wakes by itself, in monotonic time; `kept`: how many records wait."""
        return self.asleep_ms + (_RETRY_MS if kept else DAY_MS)

    async def _sleep(self, device: "Device") -> None:
        self.state = ASLEEP
        while not self.is_awake():
            self._stirred.clear()
            self._alive(_RETRY_MS + STEP_MS)
            try:
                await asyncio.wait_for_ms(self._stirred.wait(), self._wait_ms(device))
            except asyncio.TimeoutError:
                if self._board.monotonic_ms() >= self.due_ms(device.journal.kept):
                    self.wake()

    def _wait_ms(self, device: "Device") -> int:
        left_ms = self.due_ms(device.journal.kept) - self._board.monotonic_ms()
        return min(max(left_ms, 0), _RETRY_MS)

    def is_awake(self) -> bool:
        """Tell whether somebody or something keeps it awake."""
        return self._awake_left_ms() > 0

    def _awake_left_ms(self) -> int:
        ends_ms = self._awake_until_ms
        window = self._open_window()
        if window is not None:
            ends_ms = max(ends_ms, window.ends_ms)
        return max(0, ends_ms - self._board.monotonic_ms())

    def _open_window(self) -> ClaimWindow | None:
        if self.window is not None and not self.window.left_s(self._board.monotonic_ms()):
            self.window = None
        return self.window

    async def _be_awake(self, device: "Device") -> None:
        failures = 0
        while self.is_awake():
            try:
                await self._session(device)
            except (FirmwareError, ProtocolError) as error:
                # ProtocolError: a record that fits into no message; it must not cost the backoff.
                self._log("link: %s" % error)
                failures = 1 if self.state == CONNECTED else failures + 1
                await self._back_off(failures)

    async def _back_off(self, failures: int) -> None:
        self.state = WAITING
        wait_ms = min(_FIRST_BACKOFF_MS << min(failures - 1, 16), _LAST_BACKOFF_MS)
        # Between half and one and a half: devices that lost the same broker must not return as one.
        wait_ms = wait_ms // 2 + int.from_bytes(self._board.random(4), "big") % wait_ms
        self._called.clear()
        self._alive(wait_ms + STEP_MS)
        try:
            await asyncio.wait_for_ms(self._called.wait(), min(wait_ms, self._awake_left_ms()))
        except asyncio.TimeoutError:
            pass

    async def _session(self, device: "Device") -> None:
        """One connection, from TCP to DISCONNECT; `LinkError` when it failed."""
        self.state = CONNECTING
        self._alive(STEP_MS)
        self._inbox.clear()
        self._ignored = 0
        stream = await self._open(device)
        client = Client(stream, self._receive, self._stirred.set)
        watch = asyncio.create_task(self._end_with_awake_time(client))
        try:
            await client.connect(device.identity.device_id)
            await client.subscribe(topics.down(device.identity.device_id))
            await self._converse(device, client)
            await client.disconnect()
        finally:
            watch.cancel()
            await client.close()

    async def _end_with_awake_time(self, client: Client) -> None:
        """The steps of a connection have limits of their own, but together they are minutes."""
        while True:
            await asyncio.sleep_ms(_TICK_MS)
            if not self.is_awake():
                await asyncio.sleep_ms(_GRACE_MS)
            if not self.is_awake():
                client.give_up("the awake time is over")
                return

    async def _open(self, device: "Device") -> "Stream":
        identity = device.identity
        try:
            if self.wifi is not None:
                # Before the connection counts: without Wi-Fi an address on trial proves nothing.
                await asyncio.wait_for_ms(self.wifi.join(_USER), self._limit_ms())
            # The name is resolved anew each time: a broker may move.
            identity.connecting()
            return await asyncio.wait_for_ms(self._board.open_stream(identity), self._limit_ms())
        except asyncio.TimeoutError:
            raise LinkError("connecting takes too long")
        except (OSError, ValueError) as failure:
            # ValueError: a key or certificate that TLS cannot read.
            raise LinkError("connecting failed: %s" % failure)

    def _limit_ms(self) -> int:
        return min(_CONNECT_MS, self._awake_left_ms() + _GRACE_MS)

    async def _converse(self, device: "Device", client: Client) -> None:
        topic = topics.up(device.identity.device_id)
        conversation = Conversation(device, self._board.random(_NONCE_SIZE), self._log)
        await client.publish(topic, conversation.hello(self._board.monotonic_ms()))
        while self.is_awake():
            self._alive(STEP_MS)
            self._stirred.clear()
            if client.error is not None:
                raise client.error
            self._take_inbox(conversation)
            conversation.window = self._open_window()
            message = conversation.next_message(self._board.monotonic_ms())
            if message is not None:
                await client.publish(topic, message)
            elif not self._inbox:
                await self._next_stir()

    def _take_inbox(self, conversation: Conversation) -> None:
        while self._inbox:
            outcome = conversation.receive(self._inbox.pop(0), self._board.monotonic_ms())
            if outcome == WELCOME:
                self.state = CONNECTED
                self._log("welcomed")
            if outcome == COMMAND:
                self.wake()
            if outcome != IGNORED:
                self._notice(outcome)
                continue
            self._ignored += 1
            if self._ignored > _MAX_IGNORED:
                raise LinkError("too many messages that are not the cloud's")

    async def _next_stir(self) -> None:
        try:
            await asyncio.wait_for_ms(self._stirred.wait(), _TICK_MS)
        except asyncio.TimeoutError:
            pass

    def _receive(self, payload: bytes) -> None:
        if len(self._inbox) >= _MAX_INBOX:
            raise LinkError("more messages than a cloud sends")
        self._inbox.append(payload)
        self._stirred.set()
