"""The link: connects when woken, converses, backs off with jitter, and goes to sleep in time."""

import asyncio
import gc
import time

import memory_cloud
from memory_stream import MemoryStream

from protocol import topics
from sim.memory_folder import MemoryFolder
from sim.nor import Memory, Nor
from tare import flash as flash_map
from tare import link as link_rules
from tare import mqtt_packet
from tare.clock import Clock
from tare.commands import Commands
from tare.journal import Journal
from tare.link import Link
from tare.settings import Settings
from tare.state import BootState, State
from tare.sync import ClaimWindow, Device

_AWAKE_MS = 300


class _Broker(MemoryStream):
    """A broker with the cloud behind it, at the other end of one connection."""

    def __init__(self, cloud, topic):
        super().__init__()
        self._cloud = cloud
        self._topic = topic.encode()
        self.mute = False
        self.silent_from = None

    def write(self, data):
        super().write(data)
        if data[0] == self.silent_from:
            return
        if data[0] == 0x10:
            self.give(b"\x20\x02\x00\x00")
        elif data[0] == 0x82:
            self.give(b"\x90\x03" + data[2:4] + b"\x00")
        elif data[0] & 0xF0 == 0x30:
            self._publish(data)

    def _publish(self, data):
        at = 3 if data[1] & 0x80 else 2
        size = int.from_bytes(data[at : at + 2], "big")
        at += 2 + size
        self.give(b"\x40\x02" + data[at : at + 2])
        reply = None if self.mute else self._cloud.take(data[at + 2 :])
        if reply is not None:
            body = len(self._topic).to_bytes(2, "big") + self._topic + reply
            self.give(mqtt_packet._packet(0x30, body))


class _Board:
    """A board whose network is a script: what `streams` holds, one a connection."""

    awake_ms = _AWAKE_MS

    def __init__(self):
        self.streams = []
        self.tries = []

    def monotonic_ms(self):
        return time.ticks_ms()

    def random(self, size):
        return bytes(range(size))

    async def open_stream(self, _identity):
        self.tries.append(time.ticks_ms())
        if not self.streams:
            raise OSError(111)
        stream = self.streams.pop(0)
        if stream is None:
            await asyncio.sleep(60)
        return stream


class _Bench:
    def __init__(self, connections=1):
        identity = memory_cloud.Identity()
        self.cloud = memory_cloud.Cloud(identity.kid, identity.signer.public_key)
        identity.command_key = self.cloud.command_key()
        flash = Nor(Memory(14 * flash_map.SECTOR))
        state = State(flash)
        state.claim_epoch = 7
        boot = BootState(flash)
        boot.clock_epoch = 1
        self.journal = Journal(flash, flash_map.JOURNAL_FIRST, 6)
        self.board = _Board()
        topic = topics.down(identity.device_id)
        self.brokers = [_Broker(self.cloud, topic) for _ in range(connections)]
        self.board.streams = list(self.brokers)
        self.log = []
        self.notices = []
        self.due_ms = None
        self.promises_broken = 0
        self.link = Link(self.board, self.log.append, self.notices.append, self._alive)
        self.device = Device(
            model="test",
            identity=identity,
            journal=self.journal,
            state=state,
            boot=boot,
            clock=Clock(1, time.ticks_ms()),
            commands=Commands(state, self.journal, Settings(MemoryFolder(), print), None),
        )

    def _alive(self, within_ms):
        now_ms = time.ticks_ms()
        if self.due_ms is not None and time.ticks_diff(now_ms, self.due_ms) > 0:
            self.promises_broken += 1
        self.due_ms = time.ticks_add(now_ms, within_ms)

    def reading(self):
        return self.journal.append_reading(7, 0, 1, [1, 17, [70_000]])

    async def run(self, duration_ms):
        task = asyncio.create_task(self.link.run(self.device))
        await asyncio.sleep_ms(duration_ms)
        task.cancel()
        try:
            await task
        except asyncio.CancelledError:
            pass


async def test_a_reading_is_delivered_and_the_link_goes_to_sleep():
    bench = _Bench()
    bench.reading()
    bench.link.wake()
    await bench.run(_AWAKE_MS + 1_500)
    assert bench.journal.kept == 0
    assert bench.link.state == link_rules.ASLEEP
    assert bench.brokers[0].closed
    assert bench.brokers[0].written[-2:] == b"\xe0\x00", "it took leave"
    assert len(bench.board.tries) == 1
    assert bench.notices[0] == "welcome"


async def test_it_sleeps_until_woken():
    bench = _Bench()
    bench.reading()
    await bench.run(200)
    assert bench.board.tries == []
    assert time.ticks_diff(bench.due_ms, time.ticks_ms()) > link_rules._RETRY_MS, "it may sleep"


async def test_a_lost_connection_is_made_again():
    bench = _Bench(connections=2)
    bench.brokers[0].end()
    bench.reading()
    bench.board.awake_ms = 4_000
    bench.link.wake()
    await bench.run(2_500)
    assert len(bench.board.tries) == 2
    assert bench.journal.kept == 0


async def test_attempts_grow_rarer_and_end_with_the_waking():
    first, link_rules._FIRST_BACKOFF_MS = link_rules._FIRST_BACKOFF_MS, 20
    step, link_rules.STEP_MS = link_rules.STEP_MS, 90
    try:
        bench = _Bench(connections=0)
        bench.reading()
        bench.board.awake_ms = 700
        bench.link.wake()
        await bench.run(1_200)
    finally:
        link_rules._FIRST_BACKOFF_MS, link_rules.STEP_MS = first, step
    assert bench.promises_broken == 0, "the supervisor would call it stuck"
    tries = bench.board.tries
    waits = [time.ticks_diff(tries[place], tries[place - 1]) for place in range(1, len(tries))]
    assert 3 <= len(waits) <= 8, waits
    assert max(waits) > 3 * min(waits), waits
    assert time.ticks_diff(tries[-1], tries[0]) <= 750, "nothing after the waking"
    assert bench.link.state == link_rules.ASLEEP
    assert bench.journal.kept == 1


async def test_a_record_that_fits_into_no_message_costs_no_more_than_an_outage():
    first, link_rules._FIRST_BACKOFF_MS = link_rules._FIRST_BACKOFF_MS, 200
    try:
        bench = _Bench(connections=20)
        bench.journal.append_reading(7, 0, 1, [1, 17, ["?"]])
        bench.board.awake_ms = 700
        bench.link.wake()
        task = asyncio.create_task(bench.link.run(bench.device))
        await asyncio.sleep_ms(1_000)
    finally:
        link_rules._FIRST_BACKOFF_MS = first
    assert not task.done()
    assert 2 <= len(bench.board.tries) <= 7
    assert bench.link.state == link_rules.ASLEEP
    task.cancel()


async def test_two_hundred_connections_leave_no_memory_behind():
    first, link_rules._FIRST_BACKOFF_MS = link_rules._FIRST_BACKOFF_MS, 1
    try:
        bench = _Bench(connections=0)
        bench.board.awake_ms = 60_000
        bench.link.wake()
        task = asyncio.create_task(bench.link.run(bench.device))
        used = []
        for number in range(200):
            broker = _Broker(bench.cloud, topics.down(bench.device.identity.device_id))
            bench.board.streams.append(broker)
            bench.link.call()
            while bench.link.state != link_rules.CONNECTED:
                await asyncio.sleep_ms(1)
            broker.end()
            while bench.link.state == link_rules.CONNECTED:
                await asyncio.sleep_ms(1)
            bench.cloud.hellos.clear()
            bench.log.clear()
            bench.notices.clear()
            bench.board.tries.clear()
            if number % 50 == 49:
                gc.collect()
                used.append(gc.mem_alloc())
    finally:
        link_rules._FIRST_BACKOFF_MS = first
    task.cancel()
    assert max(used) - used[0] < 2_000, used


async def test_somebody_who_waits_ends_a_backoff():
    bench = _Bench(connections=0)
    bench.board.awake_ms = 5_000
    bench.link.wake()
    task = asyncio.create_task(bench.link.run(bench.device))
    await asyncio.sleep_ms(100)
    assert len(bench.board.tries) == 1
    bench.link.call()
    await asyncio.sleep_ms(100)
    assert len(bench.board.tries) == 2
    task.cancel()


async def test_a_connection_that_never_opens_does_not_keep_it_awake():
    limit, link_rules._CONNECT_MS = link_rules._CONNECT_MS, 150
    try:
        bench = _Bench()
        bench.board.streams = [None]
        bench.link.wake()
        await bench.run(_AWAKE_MS + 600)
    finally:
        link_rules._CONNECT_MS = limit
    assert any("too long" in line for line in bench.log)
    assert bench.link.state == link_rules.ASLEEP


async def test_a_silent_cloud_gets_nothing_and_does_not_keep_it_awake():
    bench = _Bench()
    bench.brokers[0].mute = True
    bench.reading()
    bench.link.wake()
    await bench.run(_AWAKE_MS + 1_500)
    assert bench.link.state == link_rules.ASLEEP
    assert bench.cloud.frames == []
    assert bench.journal.kept == 1


async def test_a_broker_that_stops_in_the_middle_does_not_keep_it_awake():
    grace, link_rules._GRACE_MS = link_rules._GRACE_MS, 100
    try:
        for silent_from in (0x10, 0x82, 0x32):
            bench = _Bench()
            bench.brokers[0].silent_from = silent_from
            bench.reading()
            bench.link.wake()
            await bench.run(_AWAKE_MS + link_rules._TICK_MS + 600)
            assert bench.link.state == link_rules.ASLEEP, silent_from
            assert bench.brokers[0].closed
            assert bench.journal.kept == 1
    finally:
        link_rules._GRACE_MS = grace


async def test_an_open_claim_window_keeps_it_awake_until_it_closes():
    bench = _Bench()
    bench.link.window = ClaimWindow(bytes(10), time.ticks_ms() + 1_500)
    bench.link.wake()
    task = asyncio.create_task(bench.link.run(bench.device))
    await asyncio.sleep_ms(_AWAKE_MS + 700)
    assert bench.link.state == link_rules.CONNECTED
    assert len(bench.cloud.windows) == 1
    await asyncio.sleep_ms(2_000)
    assert bench.link.state == link_rules.ASLEEP
    assert bench.link.window is None
    task.cancel()


async def test_a_reading_while_connected_goes_out_at_once():
    bench = _Bench()
    bench.board.awake_ms = 3_000
    bench.link.wake()
    task = asyncio.create_task(bench.link.run(bench.device))
    await asyncio.sleep_ms(300)
    bench.reading()
    bench.link.wake()
    await asyncio.sleep_ms(300)
    assert bench.journal.kept == 0
    assert len(bench.board.tries) == 1
    task.cancel()


async def test_a_flood_of_messages_ends_the_connection():
    bench = _Bench()
    bench.link.wake()
    task = asyncio.create_task(bench.link.run(bench.device))
    await asyncio.sleep_ms(200)
    topic = topics.down(bench.device.identity.device_id).encode()
    body = len(topic).to_bytes(2, "big") + topic + b"\xd2noise"
    bench.brokers[0].give((b"\x30" + bytes((len(body),)) + body) * 500)
    await asyncio.sleep_ms(300)
    assert bench.brokers[0].closed
    assert len(bench.log) < 60
    task.cancel()
