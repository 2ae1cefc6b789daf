"""The MQTT client against a scripted broker: it waits bounded, resends, and fails cleanly."""

import asyncio
import random

from memory_stream import MemoryStream

from tare.errors import LinkError
from tare.mqtt import Client

_CONNACK = b"\x20\x02\x00\x00"
_SUBACK = b"\x90\x03\x00\x01\x00"


class _Bench:
    def __init__(self, timeout_ms=40, keepalive_s=60):
        self.stream = MemoryStream()
        self.messages = []
        self.lost = 0
        self.client = Client(
            self.stream, self.messages.append, self._count_lost, timeout_ms, keepalive_s
        )

    def _count_lost(self):
        self.lost += 1

    async def connect(self):
        self.stream.give(_CONNACK)
        await self.client.connect("device")
        self.stream.give(_SUBACK)
        await self.client.subscribe("t")
        self.stream.take()

    async def fails(self, waiting):
        try:
            await waiting
        except LinkError as error:
            assert self.stream.closed
            assert self.client.error is not None
            assert self.lost == 1
            return str(error)
        raise AssertionError("did not fail")


async def test_connect_and_subscribe():
    bench = _Bench()
    bench.stream.give(_CONNACK)
    await bench.client.connect("device")
    assert bench.stream.take() == b"\x10\x12\x00\x04MQTT\x04\x02\x00\x3c\x00\x06device"
    bench.stream.give(_SUBACK)
    await bench.client.subscribe("t")
    assert bench.stream.take() == b"\x82\x06\x00\x01\x00\x01t\x00"
    await bench.client.disconnect()
    assert bench.stream.take() == b"\xe0\x00"
    assert bench.stream.closed


async def test_silence_refusal_and_nonsense_instead_of_connack():
    for script in (b"", b"\x20\x02\x00\x05", b"\x20\x02\x01\x00", b"\xd0\x00", b"\x20\xff\xff\xff"):
        bench = _Bench()
        bench.stream.give(script)
        await bench.fails(bench.client.connect("device"))


async def test_a_publish_waits_for_its_own_puback():
    bench = _Bench(timeout_ms=500)
    await bench.connect()
    sending = asyncio.create_task(bench.client.publish("t", b"x"))
    await asyncio.sleep_ms(5)
    bench.stream.give(b"\x40\x02\x00\x63")
    await asyncio.sleep_ms(20)
    assert not sending.done()
    bench.stream.give(b"\x40\x02\x00\x02")
    await asyncio.wait_for_ms(sending, 100)
    assert bench.stream.take() == b"\x32\x06\x00\x01t\x00\x02x"
    await bench.client.close()


async def test_a_publish_is_sent_again_with_dup_and_then_given_up():
    bench = _Bench(timeout_ms=15)
    await bench.connect()
    assert await bench.fails(bench.client.publish("t", b"x")) == "no acknowledgement"
    first = b"\x32\x06\x00\x01t\x00\x02x"
    again = b"\x3a\x06\x00\x01t\x00\x02x"
    assert bench.stream.take() == first + 4 * again
    await bench.fails(bench.client.publish("t", b"y"))
    await bench.client.close()


async def test_messages_for_the_topic_arrive_and_others_do_not():
    bench = _Bench()
    await bench.connect()
    bench.stream.give(b"\x30\x05\x00\x01thi" + b"\x30\x04\x00\x01uX" + b"\x31\x04\x00\x01tR")
    await asyncio.sleep_ms(20)
    assert bench.messages == [b"hi"]
    await bench.client.close()


async def test_a_broker_that_closes_ends_everything_that_waits():
    bench = _Bench(timeout_ms=1_000)
    await bench.connect()
    sending = asyncio.create_task(bench.client.publish("t", b"x"))
    await asyncio.sleep_ms(5)
    bench.stream.end()
    assert "closed" in await bench.fails(asyncio.wait_for_ms(sending, 500))
    await bench.client.close()


async def test_a_packet_cut_at_any_byte_fails_in_time():
    whole = b"\x30\x05\x00\x01thi"
    for size in range(1, len(whole)):
        bench = _Bench(timeout_ms=20)
        await bench.connect()
        bench.stream.give(whole[:size])
        await asyncio.sleep_ms(60)
        assert bench.client.error is not None, size
        assert bench.messages == []
        await bench.client.close()


async def test_malformed_packets_after_connect_end_the_connection():
    for script in (
        b"\x20\x02\x00\x00",
        b"\x36\x04\x00\x01t\x00",
        b"\xf0\x00",
        b"\x30\xff\xff\x03",
        b"\x90\x03\x00\x01\x80",
        b"\x30\x00",
    ):
        bench = _Bench()
        await bench.connect()
        bench.stream.give(script)
        await asyncio.sleep_ms(10)
        assert bench.client.error is not None, script
        assert bench.lost == 1
        await bench.client.close()


async def test_a_broker_that_ends_after_any_byte_is_a_link_error():
    script = _CONNACK + _SUBACK + b"\x40\x02\x00\x02"
    for size in range(len(script)):
        bench = _Bench(timeout_ms=500)
        bench.stream.give(script[:size])
        bench.stream.end()
        try:
            await bench.client.connect("device")
            await bench.client.subscribe("t")
            await bench.client.publish("t", b"x")
        except LinkError:
            assert bench.lost == 1, size
        else:
            raise AssertionError(size)
        await bench.client.close()


async def test_bytes_that_trickle_in_for_ever_do_not_hold_it():
    bench = _Bench(timeout_ms=50)
    trickle = asyncio.create_task(_trickle(bench.stream, b"\x20\x02\x00\x00"))
    await bench.fails(asyncio.wait_for_ms(bench.client.connect("device"), 500))
    trickle.cancel()
    bench = _Bench(timeout_ms=50)
    await bench.connect()
    trickle = asyncio.create_task(_trickle(bench.stream, b"\x30\x50\x00\x01t" + bytes(80)))
    await asyncio.sleep_ms(150)
    assert str(bench.client.error) == "the broker takes too long"
    trickle.cancel()


async def _trickle(stream, data):
    for byte in data:
        stream.give(bytes((byte,)))
        await asyncio.sleep_ms(20)


async def test_random_packets_end_the_connection_or_change_nothing():
    random.seed(12)
    for _ in range(300):
        bench = _Bench()
        await bench.connect()
        sending = asyncio.create_task(bench.client.publish("t", b"x"))
        body = bytes(random.randrange(256) for _ in range(random.randrange(6)))
        bench.stream.give(bytes((random.randrange(256), len(body))) + body)
        for _ in range(8):
            await asyncio.sleep_ms(0)
        acknowledged = sending.done() and bench.client.error is None
        assert not acknowledged or body == b"\x00\x02"
        await bench.client.close()
        try:
            await sending
        except LinkError:
            pass


async def test_who_waited_for_a_turn_sends_nothing_into_a_dead_connection():
    bench = _Bench(timeout_ms=30)
    await bench.connect()

    async def stuck():
        await asyncio.sleep(60)

    bench.stream.drain = stuck
    both = [asyncio.create_task(bench.client.publish("t", data)) for data in (b"x", b"y")]
    for sending in both:
        assert "sending takes too long" in await bench.fails(asyncio.wait_for_ms(sending, 45))
    assert b"y" not in bench.stream.take()
    await bench.client.close()


async def test_a_ping_goes_out_and_silence_after_it_is_an_outage():
    bench = _Bench(timeout_ms=30, keepalive_s=1)
    await bench.connect()
    await asyncio.sleep_ms(510)
    assert bench.stream.take() == b"\xc0\x00"
    bench.stream.give(b"\xd0\x00")
    await asyncio.sleep_ms(60)
    assert bench.client.error is None
    await asyncio.sleep_ms(600)
    assert str(bench.client.error) == "ping not answered"
    await bench.client.close()


async def test_a_broken_pipe_is_a_link_error():
    bench = _Bench()
    await bench.connect()
    bench.stream.broken = True
    assert "sending failed" in await bench.fails(bench.client.publish("t", b"x"))
    await bench.client.close()


async def test_packet_identifiers_wrap_and_are_never_zero():
    bench = _Bench()
    await bench.connect()
    bench.client._identifier = 0xFFFE
    for expected in (b"\xff\xff", b"\x00\x01"):
        sending = asyncio.create_task(bench.client.publish("t", b""))
        await asyncio.sleep_ms(5)
        assert bench.stream.take()[-2:] == expected
        bench.stream.give(b"\x40\x02" + expected)
        await asyncio.wait_for_ms(sending, 100)
    await bench.client.close()
