"""The embedded broker, a process of its own: `python -m cloud_agent.broker.embedded`.
It reads one line of settings (JSON) from standard input and ends when that closes, so it never
outlives its parent. It opens one TLS port, and keeps nothing on disk.

aMQTT speaks MQTT; what it does not check is done around it: TLS and certificates here, packets in
`guard`, topics by the plugin `CertificateRules`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import resource
import ssl
import sys
from typing import Any

# Amqtt has no types.
from amqtt.adapters import ReaderAdapter, StreamWriterAdapter  # type: ignore[import-untyped]
from amqtt.broker import Broker  # type: ignore[import-untyped]  # amqtt has no types
from amqtt.contexts import (  # type: ignore[import-untyped]  # amqtt has no types
    Action,
    BrokerConfig,
    ListenerConfig,
    ListenerType,
)
from amqtt.plugins.base import (  # type: ignore[import-untyped]  # amqtt has no types
    BaseAuthPlugin,
    BaseTopicPlugin,
)
from amqtt.session import Session  # type: ignore[import-untyped]  # amqtt has no types

from cloud_agent.broker import rules
from cloud_agent.broker.errors import PacketRefusedError
from cloud_agent.broker.guard import Guard
from cloud_agent.broker.leash import die_with_parent
from cloud_agent.broker.settings import EmbeddedSettings

log = logging.getLogger("tare.broker")

_HANDSHAKE_S = 10
_CONNECT_S = 10
_TAKE_OVER_S = 5
# MQTT 3.1.1 section 3.2.2.3: connection refused, not authorized.
_CONNACK_REFUSED = b"\x20\x02\x00\x05"
_READ_SIZE = 4096


# A base without types.
class CertificateRules(BaseAuthPlugin, BaseTopicPlugin):  # type: ignore[misc]
    """aMQTT's questions, answered from the certificate alone. No answer is ever "do not know"."""

    async def authenticate(self, *, session: Session) -> bool:
        """Whether the connection may be made: its client id is the certificate's name."""
        peer = _peer(session.ssl_object)
        return peer is not None and session.client_id == peer.name

    async def topic_filtering(
        self,
        *,
        session: Session | None = None,
        topic: str | None = None,
        action: Action | None = None,
    ) -> bool:
        """Whether the peer may publish on, subscribe to or be sent `topic`."""
        if session is None or topic is None:
            return False
        peer = _peer(session.ssl_object)
        if peer is None or session.client_id != peer.name:
            return False
        if action == Action.PUBLISH:
            return rules.may_publish(peer, topic)
        if action == Action.SUBSCRIBE:
            return rules.may_subscribe(peer, topic)
        return action == Action.RECEIVE and rules.may_receive(peer, topic)


class _GuardedReader(ReaderAdapter):  # type: ignore[misc]  # a base without types
    """What aMQTT reads from: only whole packets that the guard has approved."""

    def __init__(self, reader: asyncio.StreamReader, guard: Guard) -> None:
        self._reader = reader
        self._guard = guard
        self._approved = bytearray()

    async def fill(self) -> None:
        """Waits until an approved packet is there. Raises PacketRefusedError, ConnectionError."""
        while not self._approved:
            data = await self._reader.read(_READ_SIZE)
            if not data:
                raise ConnectionResetError("closed by the peer")
            self._approved += self._guard.feed(data)

    async def read(self, n: int = -1) -> bytes:
        """As aMQTT wants it: exactly `n` bytes. A refusal looks like a closed connection to it."""
        try:
            await self.fill()
        except PacketRefusedError as error:
            log.warning("connection closed: %s", error)
            raise ConnectionResetError("packet refused") from error
        size = len(self._approved) if n < 0 else n
        if size > len(self._approved):
            # Packets are approved whole: asking beyond the end is a malformed inner length.
            raise ConnectionResetError("malformed packet")
        data = bytes(self._approved[:size])
        del self._approved[:size]
        return data

    def feed_eof(self) -> None:
        """No more is wanted."""
        self._reader.feed_eof()


class _PatientWriter(StreamWriterAdapter):  # type: ignore[misc]  # a base without types
    """What aMQTT writes to: waits for a slow reader, and cuts off one that has stopped reading."""

    def __init__(self, writer: asyncio.StreamWriter, stalled_s: float) -> None:
        super().__init__(writer)
        self._stream = writer
        self._stalled_s = stalled_s

    async def drain(self) -> None:
        """As aMQTT wants it: returns when there is room again. Raises ConnectionError."""
        try:
            await asyncio.wait_for(super().drain(), self._stalled_s)
        except TimeoutError as error:
            log.warning("connection closed: it takes nothing")
            self._stream.transport.abort()
            raise ConnectionResetError("stalled") from error


class _Server:
    """Accepts TLS connections and hands them to aMQTT, one for each certificate."""

    def __init__(self, settings: EmbeddedSettings) -> None:
        self._settings = settings
        self._broker = Broker(
            BrokerConfig(
                listeners={"default": ListenerConfig(type=ListenerType.EXTERNAL)},
                plugins={"cloud_agent.broker.embedded.CertificateRules": {}},
            )
        )
        self._open: dict[str, tuple[asyncio.StreamWriter, asyncio.Task[None]]] = {}

    async def run(self, stop: asyncio.Event) -> None:
        """Serves until `stop` is set."""
        await self._broker.start()
        server = await asyncio.start_server(
            self._connected,
            self._settings.bind,
            self._settings.port,
            ssl=_tls_context(self._settings),
            ssl_handshake_timeout=_HANDSHAKE_S,
            limit=rules.MAX_PACKET,
        )
        await stop.wait()
        server.close()
        for writer, _ in list(self._open.values()):
            writer.transport.abort()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._broker.shutdown(), _TAKE_OVER_S)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = _peer(writer.get_extra_info("ssl_object"))
        if peer is None or len(self._open) >= self._settings.max_connections:
            log.warning("connection closed: %s", "too many" if peer else "certificate not ours")
            writer.transport.abort()
            return
        guarded = _GuardedReader(reader, Guard(peer))
        try:
            await asyncio.wait_for(guarded.fill(), _CONNECT_S)
            await self._serve(peer, guarded, writer)
        except PacketRefusedError as error:
            log.warning("connection refused: %s", error)
            writer.write(_CONNACK_REFUSED)
        except (OSError, TimeoutError):
            log.info("connection lost")
        finally:
            writer.close()
            with contextlib.suppress(OSError, TimeoutError):
                await asyncio.wait_for(writer.wait_closed(), _TAKE_OVER_S)

    async def _serve(
        self, peer: rules.Peer, reader: _GuardedReader, writer: asyncio.StreamWriter
    ) -> None:
        """Lets aMQTT talk; an older connection of the same peer ends first (MQTT 3.1.4-2)."""
        task = asyncio.current_task()
        if task is None:
            return
        while older := self._open.get(peer.name):
            older[0].transport.abort()
            await asyncio.wait([older[1]], timeout=_TAKE_OVER_S)
            if self._open.get(peer.name) is older:
                del self._open[peer.name]
        self._open[peer.name] = (writer, task)
        try:
            patient = _PatientWriter(writer, self._settings.stalled_s)
            await self._broker.external_connected(reader, patient, "default")
        finally:
            if self._open.get(peer.name) == (writer, task):
                del self._open[peer.name]


def _peer(tls: ssl.SSLObject | None) -> rules.Peer | None:
    return rules.peer_of(tls.getpeercert()) if tls is not None else None


def _tls_context(settings: EmbeddedSettings) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(settings.certificate, settings.key)
    context.load_verify_locations(settings.ca)
    context.verify_mode = ssl.CERT_REQUIRED
    # A resumed session would skip the client's certificate check at little gain.
    context.options |= ssl.OP_NO_TICKET
    context.num_tickets = 0
    return context


async def _main(settings: EmbeddedSettings) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(_quiet)
    loop.add_reader(sys.stdin.fileno(), _on_input, stop)
    await _Server(settings).run(stop)


def _on_input(stop: asyncio.Event) -> None:
    """The parent never writes a second line: input means that it is gone, or wants an end."""
    asyncio.get_running_loop().remove_reader(sys.stdin.fileno())
    stop.set()


def _quiet(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """A handshake that fails, or a task that ends with a connection, is no news of ours."""
    log.info("%s (%s)", context.get("message"), type(context.get("exception")).__name__)


def main() -> None:
    """Starts the broker as the parent says."""
    # Unbuffered: what is read ahead here would be missing at the event loop's door.
    with open(0, "rb", buffering=0, closefd=False) as standard_input:
        settings = EmbeddedSettings(**json.loads(standard_input.readline()))
    die_with_parent(settings.parent)
    if sys.platform == "linux":  # others do not enforce it, or refuse to set it
        resource.setrlimit(resource.RLIMIT_AS, (settings.memory_limit, settings.memory_limit))
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    # aMQTT logs topics, client ids and, at debug, whole packets.
    logging.getLogger("amqtt").setLevel(logging.CRITICAL)
    asyncio.run(_main(settings))


if __name__ == "__main__":
    main()
