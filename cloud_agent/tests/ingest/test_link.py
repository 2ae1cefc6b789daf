"""The link to the broker against a broker that misbehaves in every way that we know of."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
import pytest_asyncio

from cloud_agent.devices.pki import Authority
from cloud_agent.ingest import link as link_module
from cloud_agent.ingest.errors import LinkError
from cloud_agent.ingest.link import Delivery, Link
from cloud_agent.tests.broker.wire import packet, publish_packet

pytestmark = pytest.mark.asyncio

CONNACK = b"\x20\x02\x00\x00"
TOPIC = "tare/1/0123456789abcdef/up"
SOON_S = 10.0
NOT_YET_S = 0.3


class Peer:
    """One connection of the link, as the fake broker sees it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self.writer = writer

    async def packet(self) -> tuple[int, bytes]:
        """The next packet: its type and body."""
        first = (await self._reader.readexactly(1))[0]
        size = shift = 0
        while True:
            byte = (await self._reader.readexactly(1))[0]
            size |= (byte & 0x7F) << shift
            shift += 7
            if not byte & 0x80:
                return first >> 4, await self._reader.readexactly(size)

    async def accept(self) -> None:
        """CONNECT and SUBSCRIBE as they should go."""
        assert (await self.packet())[0] == 1
        self.writer.write(CONNACK)
        kind, body = await self.packet()
        assert kind == 8
        self.writer.write(packet(0x90, body[:2] + b"\x01"))

    def publish(self, number: int) -> None:
        mid = number % 65535 + 1
        self.writer.write(publish_packet(TOPIC, b"%d" % number, qos=1, mid=mid))

    async def acknowledged(self) -> int:
        """The number in the next PUBACK."""
        kind, body = await self.packet()
        assert kind == 4
        return int.from_bytes(body, "big")


Script = Callable[[Peer], Awaitable[None]]


class FakeBroker:
    """Runs one script for each connection, the last one for all further ones."""

    def __init__(self, authority: Authority, *scripts: Script) -> None:
        self._authority = authority
        self._scripts = list(scripts)
        self.connections = 0
        self.faults: list[BaseException] = []
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> int:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        files = self._authority.server_files
        context.load_cert_chain(files.certificate, files.key)
        context.load_verify_locations(files.ca)
        context.verify_mode = ssl.CERT_REQUIRED
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=context)
        return int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        script = self._scripts[min(self.connections, len(self._scripts) - 1)]
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            await script(Peer(reader, writer))
        except AssertionError as error:
            self.faults.append(error)
        except (OSError, EOFError, asyncio.CancelledError):
            pass
        finally:
            writer.transport.abort()


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority.open(tmp_path / "ca")


@pytest_asyncio.fixture
async def linked(
    authority: Authority,
) -> AsyncIterator[Callable[..., Awaitable[tuple[Link, FakeBroker]]]]:
    """Makes a link to a fake broker that follows the given scripts."""
    async with contextlib.AsyncExitStack() as stack:

        async def make(*scripts: Script, ca: Authority | None = None) -> tuple[Link, FakeBroker]:
            broker = FakeBroker(ca or authority, *scripts)
            port = await broker.start()
            stack.push_async_callback(broker.stop)
            link = Link(host="127.0.0.1", port=port, tls=authority.agent_files)
            stack.push_async_callback(link.close)
            link.start()
            return link, broker

        yield make


Linked = Callable[..., Awaitable[tuple[Link, FakeBroker]]]


async def _stay(peer: Peer) -> None:
    """Says nothing more, but lets the link leave."""
    while True:
        kind, body = await peer.packet()
        if kind == 10:
            peer.writer.write(packet(0xB0, body[:2]))


async def _accept_and_stay(peer: Peer) -> None:
    await peer.accept()
    await _stay(peer)


async def test_messages_come_in_order_and_are_acknowledged_in_order(linked: Linked) -> None:
    acknowledged: list[int] = []

    async def script(peer: Peer) -> None:
        await peer.accept()
        for number in range(50):
            peer.publish(number)
        while len(acknowledged) < 50:
            acknowledged.append(await peer.acknowledged())
        await _stay(peer)

    link, _ = await linked(script)
    deliveries: list[Delivery] = []
    while len(deliveries) < 50:
        deliveries += await asyncio.wait_for(link.receive(20, 0.02), SOON_S)
    assert [item.payload for item in deliveries] == [b"%d" % n for n in range(50)]
    await asyncio.sleep(NOT_YET_S)
    assert acknowledged == []  # nothing before it is asked for
    link.acknowledge(deliveries)
    await asyncio.sleep(NOT_YET_S)
    assert acknowledged == list(range(1, 51))


async def test_lost_connection_is_made_again(linked: Linked) -> None:
    async def leaves(peer: Peer) -> None:
        await peer.accept()

    link, broker = await linked(leaves, _accept_and_stay)
    await _until(lambda: link.generation == 2 and link.connected)
    assert broker.faults == []


async def test_ack_for_an_old_connection_is_dropped(linked: Linked) -> None:
    """Its number may by now be another message's, which would be lost."""
    second = asyncio.Event()
    heard: list[int] = []

    async def first_peer(peer: Peer) -> None:
        await peer.accept()
        peer.publish(0)
        await asyncio.sleep(NOT_YET_S)

    async def second_peer(peer: Peer) -> None:
        await peer.accept()
        peer.publish(0)  # the same number, and not the same message
        second.set()
        heard.append(await peer.acknowledged())
        await _stay(peer)

    link, _ = await linked(first_peer, second_peer)
    old = await asyncio.wait_for(link.receive(1, 0), SOON_S)
    await asyncio.wait_for(second.wait(), SOON_S)
    new = await asyncio.wait_for(link.receive(1, 0), SOON_S)
    link.acknowledge(old)
    await asyncio.sleep(NOT_YET_S)
    assert heard == []
    link.acknowledge(new)
    await asyncio.sleep(NOT_YET_S)
    assert heard == [1]


async def test_full_queue_stops_the_reading_and_nothing_is_lost(linked: Linked) -> None:
    count = 3000
    sent = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.accept()
        for number in range(count):
            peer.publish(number)
            await peer.writer.drain()
        sent.set()
        await _stay(peer)

    link, _ = await linked(script)
    await link.wait_connected(SOON_S)
    await asyncio.sleep(1.0)
    held = link._queue.qsize()
    # One TLS record may hold a few messages more than the limit.
    assert link_module._QUEUE_SIZE <= held < link_module._QUEUE_SIZE + 200
    received: list[bytes] = []
    while len(received) < count:
        batch = await asyncio.wait_for(link.receive(200, 0.02), SOON_S)
        received += [item.payload for item in batch]
        link.acknowledge(batch)
    assert received == [b"%d" % number for number in range(count)]
    assert sent.is_set()


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(b"\x20\x02\x00\x05", id="refused"),
        pytest.param(b"\xff\xff\xff\xff\xff", id="garbage"),
        pytest.param(b"\x20\x00", id="connack-too-short"),
        pytest.param(b"\x30\x7f\x00\x01t", id="half-a-message"),
        pytest.param(b"", id="closed"),
    ],
)
async def test_bad_greeting_is_no_connection(linked: Linked, answer: bytes) -> None:
    async def bad(peer: Peer) -> None:
        await peer.packet()
        peer.writer.write(answer)
        await peer.writer.drain()
        if answer:
            await asyncio.sleep(NOT_YET_S)

    link, _ = await linked(bad, _accept_and_stay)
    await link.wait_connected(SOON_S)
    assert link.generation == 1  # the first one never counted


async def test_refused_subscription_is_no_connection(linked: Linked) -> None:
    async def refuses(peer: Peer) -> None:
        await peer.packet()
        peer.writer.write(CONNACK)
        _, body = await peer.packet()
        peer.writer.write(packet(0x90, body[:2] + b"\x80"))
        await _stay(peer)

    link, _ = await linked(refuses)
    with pytest.raises(LinkError):
        await link.wait_connected(1.0)


async def test_garbage_in_mid_stream_ends_this_connection_only(linked: Linked) -> None:
    async def garbage(peer: Peer) -> None:
        await peer.accept()
        peer.publish(7)
        peer.writer.write(b"\x30\xff\xff\xff\xff\xff")
        await _stay(peer)

    link, _ = await linked(garbage, _accept_and_stay)
    (delivery,) = await asyncio.wait_for(link.receive(1, 0), SOON_S)
    assert delivery.payload == b"7"
    await _until(lambda: link.generation == 2)


async def test_topic_that_is_no_text_is_delivered_as_none(linked: Linked) -> None:
    async def script(peer: Peer) -> None:
        await peer.accept()
        peer.writer.write(packet(0x32, b"\x00\x02\xff\xfe\x00\x01payload"))
        peer.publish(1)
        await _stay(peer)

    link, _ = await linked(script)
    topics: list[str] = []
    while len(topics) < 2:
        topics += [item.topic for item in await asyncio.wait_for(link.receive(2, 0), SOON_S)]
    assert topics == ["", TOPIC]


async def test_broker_of_another_authority_is_not_believed(linked: Linked, tmp_path: Path) -> None:
    foreign = Authority.open(tmp_path / "foreign")
    link, broker = await linked(_accept_and_stay, ca=foreign)
    with pytest.raises(LinkError):
        await link.wait_connected(1.0)
    assert broker.connections == 0


async def test_silent_broker_is_left(linked: Linked, monkeypatch: pytest.MonkeyPatch) -> None:
    """It keeps the connection open and says nothing more, not even to a ping."""
    monkeypatch.setattr(link_module, "_SILENT_S", 0.5)
    monkeypatch.setattr(link_module, "_MISC_S", 0.1)
    link, _ = await linked(_accept_and_stay)
    await link.wait_connected(SOON_S)
    await _until(lambda: link.generation >= 2)


async def test_answer_without_a_connection_is_not_sent(linked: Linked) -> None:
    async def never(peer: Peer) -> None:
        await _stay(peer)

    link, _ = await linked(never)
    assert not link.publish(TOPIC, b"")


async def test_what_came_before_the_stop_can_still_be_stored(linked: Linked) -> None:
    heard: list[int] = []

    async def script(peer: Peer) -> None:
        await peer.accept()
        peer.publish(0)
        kind, body = await peer.packet()
        assert kind == 10  # UNSUBSCRIBE comes before the ack
        peer.writer.write(packet(0xB0, body[:2]))
        heard.append(await peer.acknowledged())
        assert (await peer.packet())[0] == 14

    link, broker = await linked(script)
    await link.wait_connected(SOON_S)
    await asyncio.sleep(NOT_YET_S)
    await link.quiesce()
    batch = await asyncio.wait_for(link.receive(5, 0), SOON_S)
    link.acknowledge(batch)
    await asyncio.wait_for(link.drained(), SOON_S)
    await link.close()
    await asyncio.sleep(NOT_YET_S)
    assert heard == [1]
    assert broker.faults == []


async def _until(is_so: Callable[[], bool]) -> None:
    deadline = asyncio.get_running_loop().time() + SOON_S
    while not is_so():
        assert asyncio.get_running_loop().time() < deadline
        await asyncio.sleep(0.02)
