"""The wire of MQTT 3.1.1, byte by byte, and a clean refusal of everything else."""

import random

from tare import mqtt_packet
from tare.errors import LinkError


def _refused(first, body):
    try:
        mqtt_packet.parse(first, body)
    except LinkError:
        return True
    return False


def _length(data):
    length = mqtt_packet.Length()
    for byte in data:
        length.feed(byte)
    return length.value


def test_what_is_sent_is_exactly_the_standard():
    assert mqtt_packet.connect("ab", 60) == b"\x10\x0e\x00\x04MQTT\x04\x02\x00\x3c\x00\x02ab"
    assert mqtt_packet.publish("t", b"xy", 7, again=False) == b"\x32\x07\x00\x01t\x00\x07xy"
    assert mqtt_packet.publish("t", b"xy", 7, again=True)[0] == 0x3A
    assert mqtt_packet.subscribe("t", 258) == b"\x82\x06\x01\x02\x00\x01t\x00"
    assert mqtt_packet.publish("t", bytes(200), 1, again=False)[:3] == b"\x32\xcd\x01"


def test_what_a_broker_may_send_is_read():
    assert mqtt_packet.parse(0x20, b"\x00\x00").kind == mqtt_packet.CONNACK
    assert mqtt_packet.parse(0x40, b"\x01\x02").identifier == 258
    assert mqtt_packet.parse(0x90, b"\x00\x03\x00").identifier == 3
    assert mqtt_packet.parse(0xD0, b"").kind == mqtt_packet.PINGRESP
    packet = mqtt_packet.parse(0x30, b"\x00\x02ab" + b"payload")
    assert (packet.topic, packet.payload, packet.retained) == ("ab", b"payload", False)
    assert mqtt_packet.parse(0x31, b"\x00\x02ab").retained


def test_what_a_broker_may_not_send_is_refused():
    for first, body in [
        (0x20, b"\x00\x05"),
        (0x20, b"\x00\xff"),
        (0x20, b"\x01\x00"),
        (0x20, b"\x00"),
        (0x21, b"\x00\x00"),
        (0x40, b"\x01"),
        (0x90, b"\x00\x03\x80"),
        (0x90, b"\x00\x03\x01"),
        (0x90, b"\x00\x03\x00\x00"),
        (0xD0, b"x"),
        (0x32, b"\x00\x01a\x00\x01"),
        (0x34, b"\x00\x01a\x00\x01"),
        (0x38, b"\x00\x01a"),
        (0x30, b""),
        (0x30, b"\x00"),
        (0x30, b"\x00\x05abcd"),
        (0x50, b"\x00\x01"),
        (0x10, b""),
        (0x82, b""),
        (0xE0, b""),
        (0x00, b""),
        (0xF0, b""),
    ]:
        assert _refused(first, body), (first, body)


def test_lengths_are_read_and_bounded():
    assert _length(b"\x00") == 0
    assert _length(b"\x7f") == 127
    assert _length(b"\x80\x01") == 128
    assert _length(b"\x80") is None
    assert _length(b"\xb0\x09") == mqtt_packet.MAX_REMAINING
    for bad in (b"\xb1\x09", b"\x80\x00", b"\xff\xff\xff\x7f", b"\x80\x80\x80\x80\x01"):
        try:
            _length(bad)
        except LinkError:
            continue
        raise AssertionError(bad)


def test_random_packets_are_read_or_refused_and_nothing_else():
    random.seed(5)
    taken = 0
    for _ in range(5_000):
        first = random.randrange(256)
        body = bytes(random.randrange(256) for _ in range(random.randrange(12)))
        taken += not _refused(first, body)
    assert 0 < taken < 2_500
