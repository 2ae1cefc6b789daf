"""Messages that are not what they say: refused with a reason, without an answer, and nothing of
them is kept. Seen from outside: a client on the broker, and `tare refused`.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from cloud_agent.privacy.scan import Pattern, files_below, scan
from cloud_agent.tests.broker.wire import Closed, Wire
from hil_tests.rig import peer
from hil_tests.rig.making import MakeStation, broker_kinds
from hil_tests.rig.station import Station
from hil_tests.rig.waiting import until
from protocol import envelope, topics

# An id that nobody was enrolled under.
_OTHER = "00c0ffee00c0ffee"
_NO_ANSWER_S = 1.0
# In the protected header: a map of two, label 1, algorithm -9.
_ALGORITHM = bytes([0xA2, 0x01, 0x28])


@dataclass(frozen=True)
class Recorded:
    """A station whose scale is off, and a frame that it sent."""

    station: Station
    signed: bytes


@pytest.fixture(scope="module", params=broker_kinds())
def recorded(request: pytest.FixtureRequest, make_shared_station: MakeStation) -> Recorded:
    """One for each broker: a refusal leaves nothing but its row."""
    station = make_shared_station(request.param)
    station.scale.weigh(72_900)
    station.settle()
    (signed,) = station.cloud.export().frames
    station.scale.cut_power()
    return Recorded(station, signed)


def test_a_flipped_bit_is_refused_wherever_it_is(recorded: Recorded, tmp_path: Path) -> None:
    station, signed = recorded.station, recorded.signed
    payload = envelope.parse_sign1(signed).payload
    places = {
        "malformed": 0,  # the tag
        "envelope": signed.index(_ALGORITHM) * 8 + 16,
        "unknown-key": signed.index(bytes.fromhex(station.device)) * 8 + 3,
        # The last byte of the payload is the last of the weight.
        "signature": (signed.index(payload) + len(payload)) * 8 - 1,
    }
    topic = topics.up(station.device)
    with _client(station, station.device, tmp_path) as client:
        for reason, bit in places.items():
            forged = peer.flipped(signed, bit)
            row = _refusal(station, client, topic, forged)
            assert (row["reason"], row["topic"], row["length"]) == (reason, topic, len(forged))
            _assert_nothing_kept(station, _around(forged, bit // 8))
        client.publish(topic, peer.flipped(signed, len(signed) * 8 - 1))
        assert client.message(_NO_ANSWER_S) is None
        # The control: the message as it was is answered, so the silence above means something.
        client.publish(topic, signed)
        assert client.message() is not None
    assert len(station.cloud.readings()) == 1


def test_a_key_that_nobody_enrolled_is_refused(recorded: Recorded, tmp_path: Path) -> None:
    station = recorded.station
    topic, now_s = topics.up(station.device), int(time.time())
    stranger = peer.stranger()
    with _client(station, station.device, tmp_path) as client:
        frame = peer.readings_frame(stranger, 2, now_s)
        row = _refusal(station, client, topic, frame)
        assert (row["reason"], row["kid"]) == ("unknown-key", stranger.kid.hex())
        _assert_nothing_kept(station, envelope.parse_sign1(frame).payload, frame[-64:])
        # The same signer under the name of the enrolled device.
        pretender = peer.stranger(pretends=topics.kid_of(station.device))
        frame = peer.readings_frame(pretender, 2, now_s)
        assert _refusal(station, client, topic, frame)["reason"] == "signature"
        assert client.message(_NO_ANSWER_S) is None
    assert len(station.cloud.readings()) == 1


def test_a_frame_on_another_devices_topic_is_refused(recorded: Recorded, tmp_path: Path) -> None:
    station, signed = recorded.station, recorded.signed
    with _client(station, _OTHER, tmp_path) as client:
        row = _refusal(station, client, topics.up(_OTHER), signed)
        assert (row["reason"], row["kid"]) == ("wrong-topic", station.device)
        assert client.message(_NO_ANSWER_S) is None


def test_the_broker_keeps_devices_to_their_own_topics(recorded: Recorded, tmp_path: Path) -> None:
    station, signed = recorded.station, recorded.signed
    before = station.cloud.status()
    with _client(station, _OTHER, tmp_path) as other:
        # A broker may answer, stay silent or hang up: what counts is who gets it.
        with suppress(Closed, TimeoutError):
            other.subscribe(topics.down(station.device))
            other.publish(topics.up(station.device), signed)
        with _client(station, station.device, tmp_path) as own:
            own.publish(topics.up(station.device), signed)
            assert own.message() is not None, "the control: its own frame is answered"
        after = station.cloud.status()
        with suppress(Closed):
            assert other.message(_NO_ANSWER_S) is None, "it overheard the answer"
    assert after["accepted"] == before["accepted"] + 1
    assert after["refused"] == before["refused"]


@contextmanager
def _client(station: Station, device: str, folder: Path) -> Iterator[Wire]:
    """A client under a device's id, that listens on its own `down`."""
    cloud = station.cloud
    with peer.device_client(cloud.endpoint.port, device, cloud.authority, folder) as client:
        client.subscribe(topics.down(device))
        yield client


def _refusal(station: Station, client: Wire, topic: str, message: bytes) -> dict[str, Any]:
    """Sends a message; the row of its refusal."""
    before = len(station.cloud.refused())
    client.publish(topic, message)
    rows = until(
        lambda: rows if len(rows := station.cloud.refused()) > before else None,
        "the refusal is noted",
        timeout_s=10,
    )
    assert len(rows) == before + 1
    newest = rows[-1]
    # All that there is of it.
    assert set(newest) == {"reason", "kid", "topic", "length", "received_utc"}
    return newest


def _assert_nothing_kept(station: Station, *parts: bytes) -> None:
    """No file of the cloud holds these parts of a message."""
    patterns = [Pattern(f"part {number}", part) for number, part in enumerate(parts)]
    folder = station.cloud.folder.root.parent
    assert scan([*files_below(folder / "data"), *files_below(folder / "logs")], patterns) == []
    # The control: the scanner finds what is there.
    planted = folder / f"planted-{secrets.token_hex(4)}"
    planted.write_bytes(b"before" + b"between".join(parts) + b"after")
    assert {hit.label for hit in scan([planted], patterns)} == {each.label for each in patterns}


def _around(message: bytes, place: int) -> bytes:
    """A stretch that is in no other message, because it has the changed byte in it."""
    start = max(0, min(place - 8, len(message) - 16))
    return message[start : start + 16]
