"""Improv's decoder against a second one that sees whole streams: any bytes in any pieces."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from protocol import improv
from protocol.improv import Decoder, Packet

_HEAD = re.compile(rb"IMPROV\x01([\x01-\x04])(.)", re.DOTALL)
#: As long as the longest packet: behind it nothing is left undecided.
_FILL = bytes(265)

_packets = st.builds(improv.encode, st.integers(min_value=1, max_value=4), st.binary(max_size=255))
_begun = st.builds(
    lambda packet, size: packet[:size], _packets, st.integers(min_value=0, max_value=264)
)
_broken = st.builds(
    lambda packet, at, byte: packet[: at % len(packet)] + byte + packet[at % len(packet) + 1 :],
    _packets,
    st.integers(min_value=0, max_value=264),
    st.binary(min_size=1, max_size=1),
)
_lies = st.builds(lambda size: b"IMPROV\x01\x03" + bytes((size,)), st.integers(0, 255))
_noise = st.one_of(st.binary(max_size=40), st.text("IMPROV\x01\x03\n", max_size=30).map(str.encode))
_streams = st.lists(st.one_of(_packets, _begun, _broken, _lies, _noise), max_size=8).map(b"".join)


def _second(stream: bytes) -> list[tuple[int, bytes]]:
    """Leftmost whole packets: at each place a regular expression and a sum decide."""
    found = []
    at = 0
    while (head := _HEAD.search(stream, at)) is not None:
        begin = head.start()
        end = begin + 10 + head[2][0]
        whole = stream[begin:end]
        if begin + 10 + head[2][0] <= len(stream) and sum(whole[:-1]) % 256 == whole[-1]:
            found.append((head[1][0], whole[9:-1]))
            at = end
        else:
            at = begin + 1
    return found


def _packets_in(found: list[Packet | bytes]) -> list[tuple[int, bytes]]:
    return [(each.kind, each.data) for each in found if isinstance(each, Packet)]


@given(stream=_streams, cuts=st.lists(st.integers(1, 300), max_size=40))
def test_the_same_packets_are_found_in_any_stream_in_any_pieces(
    stream: bytes, cuts: list[int]
) -> None:
    stream += _FILL
    decoder = Decoder()
    found: list[Packet | bytes] = []
    at = 0
    for size in [*cuts, len(stream)]:
        found += decoder.feed(stream[at : at + size], 0)
        at += size
    assert _packets_in(found) == _second(stream)
    whole = Decoder().feed(stream, 0)
    pieces = [b"".join(each for each in side if isinstance(each, bytes)) for side in (found, whole)]
    assert pieces[0] == pieces[1]


@given(lines=st.lists(st.text(st.characters(min_codepoint=32, max_codepoint=126)), max_size=5))
def test_lines_of_a_console_come_out_as_they_went_in(lines: list[str]) -> None:
    text = "".join(line + "\n" for line in lines).encode()
    found = Decoder().feed(text, 0)
    assert b"".join(each for each in found if isinstance(each, bytes)) == text
    assert _packets_in(found) == []


@given(packets=st.lists(_packets, max_size=6), lines=st.lists(st.integers(0, 999), max_size=6))
def test_packets_and_lines_leave_each_other_alone(packets: list[bytes], lines: list[int]) -> None:
    stream, text = b"", b""
    for place in range(max(len(packets), len(lines))):
        line = b"%d about\n" % lines[place] if place < len(lines) else b""
        stream += line + (packets[place] if place < len(packets) else b"")
        text += line
    found = Decoder().feed(stream, 0)
    assert b"".join(each for each in found if isinstance(each, bytes)) == text
    assert [improv.encode(*each) for each in _packets_in(found)] == packets


@given(ssid=st.binary(min_size=1, max_size=32), password=st.binary(max_size=64))
def test_wifi_settings_come_back(ssid: bytes, password: bytes) -> None:
    (packet,) = Decoder().feed(improv.wifi_settings(ssid, password), 0)
    assert isinstance(packet, Packet)
    command, payload = improv.parse_rpc(packet)
    assert command == improv.WIFI_SETTINGS
    assert improv.parse_wifi_settings(payload) == (ssid, password)


@given(command=st.integers(0, 255), strings=st.lists(st.binary(max_size=60), max_size=4))
def test_results_come_back(command: int, strings: list[bytes]) -> None:
    (packet,) = Decoder().feed(improv.result(command, strings), 0)
    assert isinstance(packet, Packet)
    assert improv.parse_result(packet) == (command, strings)
