"""An MQTT 3.1.1 client over a stream that is open already: clean session, QoS 1 up, QoS 0 down.

Nothing waits for ever: each step has a time limit, and the first failure of any kind closes the
connection and is what every caller then gets, as a `LinkError`. Touches only its stream.
"""
# ruff: noqa: D102 - a stream's methods are asyncio's

import asyncio

from tare import mqtt_packet
from tare.errors import LinkError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from typing import Any, Protocol

    class Stream(Protocol):
        """A connected stream with asyncio's methods."""

        async def readexactly(self, n: int) -> bytes: ...
        def write(self, buf: bytes) -> None: ...
        async def drain(self) -> None: ...
        def close(self) -> None: ...
        async def wait_closed(self) -> None: ...


# MicroPython's TLS says ValueError when it does not accept a certificate.
_STREAM_ERRORS = (OSError, ValueError)
_RESENDS = 4
_MAX_IDENTIFIER = 0xFFFF


class Client:
    """One connection. `received(payload)` is called for each message on the subscribed topic.

    `lost()` is called once when the connection has failed; `error` then says why.
    """

    def __init__(
        self,
        stream: "Stream",
        received: "Callable[[bytes], None]",
        lost: "Callable[[], None]",
        timeout_ms: int = 10_000,
        keepalive_s: int = 60,
    ) -> None:
        self.error: LinkError | None = None
        self._stream = stream
        self._received = received
        self._lost = lost
        self._timeout_ms = timeout_ms
        self._keepalive_s = keepalive_s
        self._sending = asyncio.Lock()
        self._waiting: dict[tuple[int, int], asyncio.Event] = {}
        self._identifier = 0
        self._topic = ""
        self._heard = 0
        self._tasks: list[asyncio.Task[None]] = []

    async def connect(self, client_id: str) -> None:
        """Begin the session; on failure the stream is closed."""
        try:
            await self._send(mqtt_packet.connect(client_id, self._keepalive_s))
            _expect_connack(await self._within(self._read_packet()))
        except LinkError as error:
            self._fail(error)
            raise
        self._tasks = [asyncio.create_task(self._listen()), asyncio.create_task(self._ping())]

    async def subscribe(self, topic: str) -> None:
        """Ask for a topic and wait until it is granted."""
        self._topic = topic
        identifier = self._next_identifier()
        packet = mqtt_packet.subscribe(topic, identifier)
        await self._exchange((mqtt_packet.SUBACK, identifier), [packet])

    async def publish(self, topic: str, payload: bytes) -> None:
        """Send with QoS 1 until the broker has it; the same packet again when it stays silent."""
        identifier = self._next_identifier()
        first = mqtt_packet.publish(topic, payload, identifier, again=False)
        again = mqtt_packet.publish(topic, payload, identifier, again=True)
        await self._exchange((mqtt_packet.PUBACK, identifier), [first] + [again] * _RESENDS)

    async def disconnect(self) -> None:
        """Take leave, as far as that still works, and close."""
        try:
            await self._send(mqtt_packet.DISCONNECT)
        except LinkError:
            pass
        await self.close()

    async def close(self) -> None:
        """Close without a word; what waits gets an error."""
        self._fail(LinkError("closed"))
        for task in self._tasks:
            task.cancel()
        try:
            await asyncio.wait_for_ms(self._stream.wait_closed(), self._timeout_ms)
        except (OSError, ValueError, asyncio.TimeoutError):
            pass

    def give_up(self, why: str) -> None:
        """Fail whatever is under way; `close` is still the caller's."""
        self._fail(LinkError(why))

    async def _exchange(self, awaited: tuple[int, int], packets: list[bytes]) -> None:
        answered = self._waiting[awaited] = asyncio.Event()
        try:
            for packet in packets:
                await self._send(packet)
                if await self._answered(answered):
                    return
        finally:
            del self._waiting[awaited]
        error = LinkError("no acknowledgement")
        self._fail(error)
        raise error

    async def _answered(self, answered: asyncio.Event) -> bool:
        try:
            await asyncio.wait_for_ms(answered.wait(), self._timeout_ms)
        except asyncio.TimeoutError:
            return False
        if self.error is not None:
            raise self.error
        return True

    def _next_identifier(self) -> int:
        self._identifier = self._identifier % _MAX_IDENTIFIER + 1
        return self._identifier

    async def _send(self, packet: bytes) -> None:
        async with self._sending:
            if self.error is not None:  # perhaps only since this one waits for its turn
                raise self.error
            try:
                self._stream.write(packet)
                await asyncio.wait_for_ms(self._stream.drain(), self._timeout_ms)
            except asyncio.TimeoutError:
                error = LinkError("sending takes too long")
            except _STREAM_ERRORS as failure:
                error = LinkError("sending failed: %s" % failure)
            else:
                return
        self._fail(error)
        raise error

    async def _listen(self) -> None:
        try:
            while True:
                self._handle(await self._read_packet())
        except LinkError as error:
            self._fail(error)

    async def _ping(self) -> None:
        """A broker that says nothing at all for half a keepalive and an answer's time is gone."""
        try:
            while True:
                await asyncio.sleep(self._keepalive_s / 2)
                heard = self._heard
                await self._send(mqtt_packet.PINGREQ)
                await asyncio.sleep_ms(self._timeout_ms)
                if self._heard == heard:
                    self._fail(LinkError("ping not answered"))
                    return
        except LinkError as error:
            self._fail(error)

    def _handle(self, packet: mqtt_packet.Packet) -> None:
        self._heard += 1
        if packet.kind == mqtt_packet.PUBLISH:
            # Nothing is ever retained for us: what is comes from a broker that is set up wrong.
            if packet.topic == self._topic and not packet.retained:
                self._received(packet.payload)
        elif packet.kind in {mqtt_packet.PUBACK, mqtt_packet.SUBACK}:
            waiting = self._waiting.get((packet.kind, packet.identifier))
            if waiting is not None:  # else a late answer to what was sent twice
                waiting.set()
        elif packet.kind == mqtt_packet.CONNACK:
            raise LinkError("second answer to connect")

    async def _read_packet(self) -> mqtt_packet.Packet:
        """Wait for the first byte as long as it takes, for the others only a bounded time."""
        first = (await self._read(1))[0]
        return await self._within(self._read_rest(first))

    async def _read_rest(self, first: int) -> mqtt_packet.Packet:
        length = mqtt_packet.Length()
        while length.value is None:
            length.feed((await self._read(1))[0])
        body = await self._read(length.value) if length.value else b""
        return mqtt_packet.parse(first, body)

    async def _read(self, size: int) -> bytes:
        try:
            return await self._stream.readexactly(size)
        except EOFError:
            raise LinkError("the broker closed the connection")
        except _STREAM_ERRORS as failure:
            raise LinkError("receiving failed: %s" % failure)

    async def _within(
        self, reading: "Coroutine[Any, Any, mqtt_packet.Packet]"
    ) -> mqtt_packet.Packet:
        try:
            return await asyncio.wait_for_ms(reading, self._timeout_ms)
        except asyncio.TimeoutError:
            raise LinkError("the broker takes too long")

    def _fail(self, error: LinkError) -> None:
        if self.error is not None:
            return
        self.error = error
        self._stream.close()
        for waiting in self._waiting.values():
            waiting.set()
        self._lost()


def _expect_connack(packet: mqtt_packet.Packet) -> None:
    if packet.kind != mqtt_packet.CONNACK:
        raise LinkError("no answer to connect")
