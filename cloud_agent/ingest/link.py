"""The agent's connection to the broker: paho-mqtt on our event loop, behind `Link`. Nothing else
imports paho, so that it can be exchanged.

Why so: paho's own thread dies of any exception in a callback and then stays silent, and its
`select` fails beyond 1,024 open files; an ack names only a number, which after a reconnect is
another message's. So: our loop reads and writes; callbacks only put into a bounded queue, and a
full queue stops the reading; each connection is a new paho client, and a delivery is acknowledged
to the connection it came by or not at all; a watchdog ends a connection that says nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import socket
import ssl
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion

from cloud_agent.broker.rules import AGENT_NAME
from cloud_agent.devices.pki import TlsFiles
from cloud_agent.ingest.errors import LinkError
from cloud_agent.ingest.tls import NamedContext, client_context, no_delay
from protocol import topics

log = logging.getLogger("tare.link")

_KEEPALIVE_S = 20
_SILENT_S = 2.5 * _KEEPALIVE_S
_MISC_S = 1.0
_CONNECT_S = 10.0
# A broker that does not answer does not keep the server from stopping.
_STOP_S = 2.0
# Twice a batch: one is being stored while the next one fills.
_QUEUE_SIZE = 400
_MAX_UNSENT = 5000
_FIRST_PAUSE_S = 0.2
# Short: after a broker's restart the devices are back in seconds, and wait 10 s for an answer.
_LONGEST_PAUSE_S = 2.0
_QOS = 1


@dataclass(frozen=True, slots=True)
class Delivery:
    """One message from a device, still to be acknowledged to the broker."""

    topic: str
    payload: bytes
    mid: int
    connection: _Connection


class Link:
    """Stays connected until stopped. All methods belong to one event loop."""

    def __init__(self, *, host: str, port: int, tls: TlsFiles) -> None:
        self._host = host
        self._port = port
        self._context = client_context(tls)
        self._queue: asyncio.Queue[Delivery] = asyncio.Queue()
        self._connection: _Connection | None = None
        self._task: asyncio.Task[None] | None = None
        self._connected = asyncio.Event()
        self._quiet = False
        self.generation = 0

    @property
    def connected(self) -> bool:
        """Whether messages flow."""
        return self._connected.is_set()

    async def wait_connected(self, wait_s: float) -> None:
        """Returns when messages flow. Raises LinkError when they do not in time."""
        try:
            await asyncio.wait_for(self._connected.wait(), wait_s)
        except TimeoutError as error:
            raise LinkError(f"no connection to the broker in {wait_s:g} s") from error

    def start(self) -> None:
        """Begins to connect, and to connect again whenever the connection is lost."""
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="broker link")

    async def receive(self, most: int, gather_s: float) -> list[Delivery]:
        """Waits for a message, then returns up to `most` that come within `gather_s`."""
        deliveries = [await self._queue.get()]
        deadline = asyncio.get_running_loop().time() + gather_s
        while len(deliveries) < most:
            if self._queue.empty():
                left_s = deadline - asyncio.get_running_loop().time()
                if left_s <= 0:
                    break
                # Not wait_for(queue.get()): cancelled at the wrong moment, it loses a message.
                await asyncio.sleep(min(left_s, 0.002))
                continue
            deliveries.append(self._queue.get_nowait())
        if self._connection is not None:
            self._connection.resume()
        return deliveries

    async def drained(self) -> None:
        """Returns when everything that came has been received and acknowledged."""
        await self._queue.join()

    def acknowledge(self, deliveries: Iterable[Delivery]) -> None:
        """Tells the broker, in this order, that they are done; drops what came by an older one."""
        for delivery in deliveries:
            self._queue.task_done()
            if delivery.connection is self._connection:
                delivery.connection.acknowledge(delivery.mid)

    def publish(self, topic: str, payload: bytes) -> bool:
        """Sends an answer or command, QoS 0. False when it could not be: the device asks again."""
        return self._connection is not None and self._connection.publish(topic, payload)

    async def quiesce(self) -> None:
        """Asks the broker for no more messages; what came already can still be received."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            self._task = None
        if self._connection is not None and not self._quiet:
            self._quiet = True
            await self._connection.unsubscribe()

    async def close(self) -> None:
        """Sends what waits, then disconnects."""
        await self.quiesce()
        if self._connection is not None:
            await self._connection.disconnect()
            self._connection = None
        self._connected.clear()

    async def _run(self) -> None:
        pause_s = _FIRST_PAUSE_S
        while True:
            connection = _Connection(self._queue)
            try:
                await connection.open(self._host, self._port, self._context)
            except LinkError as error:
                log.info("not connected to the broker: %s", error)
            else:
                pause_s = _FIRST_PAUSE_S
                await self._use(connection)
            # Jitter: after a broker's restart not everyone should come at the same moment.
            await asyncio.sleep(pause_s * (0.5 + secrets.randbelow(1000) / 1000))
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)

    async def _use(self, connection: _Connection) -> None:
        self._connection = connection
        self.generation += 1
        self._connected.set()
        log.info("connected to the broker (connection %d)", self.generation)
        await connection.lost.wait()
        log.warning("connection to the broker lost: %s", connection.why)
        self._connected.clear()
        self._connection = None


class _Connection:
    """One paho client for one connection; never used again."""

    def __init__(self, queue: asyncio.Queue[Delivery]) -> None:
        self._queue = queue
        self._loop = asyncio.get_running_loop()
        self._client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=AGENT_NAME,
            clean_session=True,
            protocol=MQTTProtocolVersion.MQTTv311,
            manual_ack=True,
            reconnect_on_failure=False,
        )
        self._socket: socket.socket | None = None
        self._answer: asyncio.Future[int] | None = None
        self._misc: asyncio.Task[None] | None = None
        self._last_read_s = self._loop.time()
        self._unsent = 0
        self._paused = False
        self.lost = asyncio.Event()
        self.why = ""

    async def open(self, host: str, port: int, context: NamedContext) -> None:
        """Connects and subscribes. Raises LinkError."""
        client = self._client
        client.tls_set_context(context)
        client.connect_timeout = _CONNECT_S
        client.on_socket_open = no_delay
        try:
            # Blocks for name resolution and handshake; no one else uses the client meanwhile.
            await asyncio.to_thread(client.connect, host, port, _KEEPALIVE_S)
        except (OSError, ValueError) as error:
            if context.last is not None:
                context.last.close()
            raise LinkError(f"{type(error).__name__}") from error
        self._attach()
        try:
            await self._until(self._ask(), "CONNACK", accepted=(0,))
            client.subscribe(topics.ALL_UP, _QOS)
            await self._until(self._ask(), "SUBACK", accepted=(_QOS,))
        except BaseException:
            self._drop("opening failed")
            raise

    def acknowledge(self, mid: int) -> None:
        """PUBACK."""
        if not self.lost.is_set():
            self._client.ack(mid, _QOS)

    def publish(self, topic: str, payload: bytes) -> bool:
        """QoS 0; False when the connection is gone or too much waits for it."""
        if self.lost.is_set() or self._unsent >= _MAX_UNSENT:
            return False
        self._unsent += 1
        return self._client.publish(topic, payload, qos=0).rc == MQTTErrorCode.MQTT_ERR_SUCCESS

    def resume(self) -> None:
        """Reads again if a full queue had stopped it."""
        if self._paused and self._socket is not None and self._queue.qsize() < _QUEUE_SIZE // 2:
            self._paused = False
            self._last_read_s = self._loop.time()
            self._loop.add_reader(self._socket, self._readable)
            # What TLS has read already makes no socket readable.
            self._loop.call_soon(self._readable)

    async def unsubscribe(self) -> None:
        """Returns when the broker has confirmed, or the connection is gone."""
        if self.lost.is_set():
            return
        self._client.unsubscribe(topics.ALL_UP)
        with contextlib.suppress(LinkError):
            await self._until(self._ask(), "UNSUBACK", accepted=None, wait_s=_STOP_S)

    async def disconnect(self) -> None:
        """Sends what waits and DISCONNECT, then closes."""
        if not self.lost.is_set():
            self._client.disconnect()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.lost.wait(), _MISC_S)
        self._drop("closed by us")

    def _attach(self) -> None:
        """Lets our loop work the client, from here on in this thread only."""
        client = self._client
        sock = client.socket()
        if not isinstance(sock, socket.socket):
            raise LinkError("lost while connecting")
        self._socket = sock
        client.on_connect = self._on_connect
        client.on_subscribe = self._on_subscribe
        client.on_unsubscribe = self._on_unsubscribe
        client.on_message = self._on_message
        client.on_publish = self._on_publish
        client.on_disconnect = self._on_disconnect
        client.on_socket_close = self._on_socket_close
        client.on_socket_register_write = self._on_register_write
        client.on_socket_unregister_write = self._on_unregister_write
        self._loop.add_reader(sock, self._readable)
        if client.want_write():
            self._loop.add_writer(sock, self._writable)
        self._misc = self._loop.create_task(self._watch(), name="broker link watchdog")
        self._loop.call_soon(self._readable)

    def _ask(self) -> asyncio.Future[int]:
        self._answer = self._loop.create_future()
        return self._answer

    async def _until(
        self,
        asked: asyncio.Future[int],
        what: str,
        *,
        accepted: tuple[int, ...] | None,
        wait_s: float = _CONNECT_S,
    ) -> None:
        lost = self._loop.create_task(self.lost.wait())
        either: set[asyncio.Future[Any]] = {asked, lost}
        try:
            await asyncio.wait(either, timeout=wait_s, return_when="FIRST_COMPLETED")
        finally:
            lost.cancel()
        if not asked.done():
            raise LinkError(f"no {what}: {self.why or 'timeout'}")
        if accepted is not None and asked.result() not in accepted:
            raise LinkError(f"{what} with code {asked.result()}")

    def _reply(self, code: int) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(code)

    def _readable(self) -> None:
        """Reads until TLS has no more decrypted bytes: those make no socket readable."""
        sock = self._socket
        if sock is None or self._paused:
            return
        self._last_read_s = self._loop.time()
        while True:
            self._guarded(self._client.loop_read)
            if self._queue.qsize() >= _QUEUE_SIZE and self._socket is not None:
                self._paused = True
                self._loop.remove_reader(sock)
                return
            pending = sock.pending() if isinstance(sock, ssl.SSLSocket) and self._socket else 0
            if pending == 0:
                return

    def _writable(self) -> None:
        self._guarded(self._client.loop_write)

    def _guarded(self, work: Any) -> None:
        """Whatever paho throws ends this connection, never our loop."""
        try:
            code = work()
        except Exception as error:  # noqa: BLE001 - a fault of the library or of a callback
            self._drop(type(error).__name__)
            return
        if code != MQTTErrorCode.MQTT_ERR_SUCCESS:
            self._drop(f"code {int(code)}")

    async def _watch(self) -> None:
        while not self.lost.is_set():
            await asyncio.sleep(_MISC_S)
            self._guarded(self._client.loop_misc)
            silent_s = self._loop.time() - self._last_read_s
            if not self._paused and silent_s > _SILENT_S:
                self._drop("the broker is silent")

    def _drop(self, why: str) -> None:
        """Ends the connection once; whoever waits for `lost` goes on."""
        if not self.lost.is_set():
            self.why = why
            self.lost.set()
        if self._misc is not None and self._misc is not asyncio.current_task():
            self._misc.cancel()
        sock, self._socket = self._socket, None
        if sock is not None:
            self._forget(sock)
            sock.close()

    def _forget(self, sock: Any) -> None:
        if sock.fileno() >= 0:
            self._loop.remove_reader(sock)
            self._loop.remove_writer(sock)

    # paho's callbacks. They run inside loop_read, loop_write and loop_misc, in our thread.

    def _on_connect(self, *arguments: Any) -> None:
        self._reply(arguments[3].value)

    def _on_subscribe(self, *arguments: Any) -> None:
        self._reply(arguments[3][0].value)

    def _on_unsubscribe(self, *_: Any) -> None:
        self._reply(0)

    def _on_message(self, _client: Client, _userdata: Any, message: MQTTMessage) -> None:
        try:
            topic = message.topic
        except UnicodeDecodeError:
            topic = ""  # verified like any other, and refused by its first rule
        self._queue.put_nowait(Delivery(topic, bytes(message.payload), message.mid, self))

    def _on_publish(self, *_: Any) -> None:
        self._unsent -= 1

    def _on_disconnect(self, *_: Any) -> None:
        if not self.lost.is_set():
            self.why = "closed by the broker"
            self.lost.set()

    def _on_socket_close(self, _client: Client, _userdata: Any, sock: Any) -> None:
        self._forget(sock)
        self._socket = None

    def _on_register_write(self, _client: Client, _userdata: Any, sock: Any) -> None:
        self._loop.add_writer(sock, self._writable)

    def _on_unregister_write(self, _client: Client, _userdata: Any, sock: Any) -> None:
        if sock.fileno() >= 0:
            self._loop.remove_writer(sock)
