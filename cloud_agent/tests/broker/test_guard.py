"""The guard before aMQTT: what passes, what does not, however the bytes arrive."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud_agent.broker.errors import PacketRefusedError
from cloud_agent.broker.guard import Guard
from cloud_agent.broker.rules import MAX_PACKET, Peer, Role
from cloud_agent.tests.broker.wire import connect_packet, packet, publish_packet, text

ME = "0123456789abcdef"
PEER = Peer(Role.DEVICE, ME)
GOOD = [
    connect_packet(ME),
    publish_packet("t", b"x" * 300, qos=1),
    packet(0x82, b"\x00\x01" + text("t") + b"\x00"),
    packet(0x40, b"\x00\x01"),
    packet(0xC0, b""),
    packet(0xE0, b""),
]


@given(st.lists(st.integers(1, 200), max_size=40))
def test_good_packets_pass_unchanged_however_they_are_cut(cuts: list[int]) -> None:
    guard, stream, out = Guard(PEER), b"".join(GOOD), b""
    for size in [*cuts, len(stream)]:
        out += guard.feed(stream[:size])
        stream = stream[size:]
    assert out == b"".join(GOOD)


@given(st.binary(max_size=200))
def test_any_bytes_are_passed_or_refused_and_never_grow(data: bytes) -> None:
    guard = Guard(PEER)
    try:
        out = guard.feed(connect_packet(ME) + data)
    except PacketRefusedError:
        return
    assert (connect_packet(ME) + data).startswith(out)


@pytest.mark.parametrize(
    "first",
    [
        publish_packet("t", b""),
        connect_packet("fedcba9876543210"),
        connect_packet(ME.upper()),
        connect_packet(""),
        connect_packet(ME, flags=0),  # a session that would stay
        connect_packet(ME, flags=0b110, rest=text("t") + text("will")),
        connect_packet(ME, flags=0x82, rest=text("user")),
        connect_packet(ME, flags=3),  # the reserved bit
        connect_packet(ME, keepalive_s=0),
        connect_packet(ME, keepalive_s=65535),
        connect_packet(ME, rest=b"\x00"),
        packet(0x10, b"\x00\x04MQTT\x05" + b"\x02\x00\x3c" + text(ME)),
        packet(0x10, b"\x00\x06MQIsdp\x03\x02\x00\x3c" + text(ME)),
        packet(0x10, b"\x00\x04MQTT\x04"),
    ],
)
def test_first_packets_that_are_refused(first: bytes) -> None:
    with pytest.raises(PacketRefusedError):
        Guard(PEER).feed(first)


@pytest.mark.parametrize(
    "later",
    [
        connect_packet(ME),
        publish_packet("t", b"", retain=True),
        publish_packet("t", b"", qos=2),
        packet(0x20, b"\x00\x00"),
        packet(0x62, b"\x00\x01"),
        packet(0x00, b""),
        packet(0xF0, b""),
    ],
)
def test_later_packets_that_are_refused(later: bytes) -> None:
    guard = Guard(PEER)
    guard.feed(connect_packet(ME))
    with pytest.raises(PacketRefusedError):
        guard.feed(later)


def test_size_is_refused_from_the_length_alone() -> None:
    guard = Guard(PEER)
    guard.feed(connect_packet(ME))
    largest = publish_packet("t", bytes(MAX_PACKET - 6))
    assert len(largest) == MAX_PACKET
    assert guard.feed(largest) == largest
    with pytest.raises(PacketRefusedError):
        guard.feed(publish_packet("t", bytes(MAX_PACKET - 5))[:3])
