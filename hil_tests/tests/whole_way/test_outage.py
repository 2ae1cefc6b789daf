"""What the scale does while the other side is not there, or is not who it should be: it keeps the
readings, sends nothing, and delivers when all is well again.
"""

from __future__ import annotations

import os
import secrets
import signal
import time
from pathlib import Path

import pytest

from cloud_agent.devices.pki import Authority, TlsFiles
from hil_tests.rig import peer
from hil_tests.rig.listening import Notes, listener
from hil_tests.rig.making import MakeStation, broker_kinds
from hil_tests.rig.station import Station
from hil_tests.rig.waiting import until
from protocol import answer, envelope, frame, message_types, topics

# MQTT 3.1.1 section 3.1: the first byte of CONNECT, which the client sends first.
_MQTT_CONNECT = 0x10
_WATCH_S = 3


@pytest.mark.parametrize("kind", broker_kinds())
def test_readings_taken_while_the_broker_is_down_arrive_when_it_is_back(
    make_station: MakeStation, kind: str
) -> None:
    station = make_station(kind)
    saved = [station.scale.weigh(71_500)]
    station.settle()
    station.cloud.broker.stop()
    saved += [station.scale.weigh(71_500 + 200 * number) for number in range(1, 4)]
    assert station.scale.kept == 3
    assert len(station.cloud.readings()) == 1
    station.cloud.start_broker()
    station.settle()
    station.verify_exactly_once(saved)


def test_the_server_stops_and_starts_its_own_broker(make_station: MakeStation) -> None:
    station = make_station("embedded", together=True)
    station.cloud.ask("broker.stop")
    saved = [station.scale.weigh(71_700), station.scale.weigh(71_900)]
    assert station.scale.kept == 2
    station.cloud.ask("broker.start")
    station.settle()
    station.verify_exactly_once(saved)


def test_the_server_starts_its_broker_again_when_that_was_killed(
    make_station: MakeStation,
) -> None:
    station = make_station("embedded", together=True)
    killed = station.cloud.status()["broker_pid"]
    os.kill(killed, signal.SIGKILL)
    saved = [station.scale.weigh(71_700), station.scale.weigh(71_900)]
    until(lambda: station.cloud.status()["connected"], "the broker is back", timeout_s=30)
    assert station.cloud.status()["broker_pid"] not in {killed, None}
    station.settle()
    station.verify_exactly_once(saved)


def test_a_broker_with_a_certificate_of_another_authority_hears_nothing(
    station: Station, tmp_path: Path
) -> None:
    stranger = Authority.open(tmp_path / "another-ca").server_files
    _assert_hears_nothing(station, stranger)


def test_a_broker_with_a_certificate_for_another_name_hears_nothing(station: Station) -> None:
    """Of our authority, but the agent's: not the name that the scale was told."""
    _assert_hears_nothing(station, station.cloud.authority.agent_files)


def _assert_hears_nothing(station: Station, tls: TlsFiles) -> None:
    # The agent would knock there too, and refuse it as the scale does.
    station.cloud.stop()
    saved = station.scale.weigh(72_300)
    notes = _listen(station, tls, connections=2)
    assert notes.refused_by_peer == notes.connections
    assert notes.received == b""
    assert station.scale.kept == 1
    # The control: at the same place, with the right certificate, the same scale speaks.
    notes = _listen(station, station.cloud.authority.server_files, connections=1)
    assert notes.received[0] == _MQTT_CONNECT
    assert station.device.encode() in notes.received
    station.cloud.start()
    station.settle()
    station.verify_exactly_once([saved])


def _listen(station: Station, tls: TlsFiles, *, connections: int) -> Notes:
    """Puts a listener in the broker's place and wakes the scale until it came often enough."""
    with listener(station.cloud.endpoint.port, tls) as notes:

        def came() -> bool:
            station.scale.ask("wake")
            return notes.refused_by_peer + bool(notes.received) >= connections

        until(came, "the scale tries to connect", timeout_s=30, poll_s=0.2)
    return notes


def test_without_a_welcome_nothing_but_hello_is_sent(station: Station) -> None:
    scale, topic = station.scale, topics.down(station.device)
    station.cloud.agent.stop()
    scale.cut_power()
    scale.power_on()
    saved = [scale.weigh(72_000), scale.weigh(72_200)]
    port, authority = station.cloud.endpoint.port, station.cloud.authority
    with peer.in_place_of_the_agent(port, authority) as agent:
        scale.cut_power()
        scale.power_on()
        message = agent.message()
        assert message is not None
        hello = frame.parse(envelope.parse_sign1(message.payload).payload)
        assert isinstance(hello, frame.Hello)
        assert hello.next_sequence - hello.oldest == len(saved)
        # Right nonce, right form, another key: no welcome.
        agent.publish(topic, _forged_welcome(station, hello.nonce), qos=0)
        deadline_s = time.monotonic() + _WATCH_S
        while (left_s := deadline_s - time.monotonic()) > 0:
            more = agent.message(left_s)
            assert more is None or peer.type_of(more.payload) == message_types.HELLO
    assert scale.kept == len(saved)
    assert "# welcomed" not in scale.said(scale.capture.read_bytes().rfind(b"firmware"))
    station.cloud.start_agent()
    station.settle()
    station.verify_exactly_once(saved)


def _forged_welcome(station: Station, nonce: bytes) -> bytes:
    welcome = answer.Welcome(nonce=nonce, time_s=int(time.time()), settled=1_000_000, claim_epoch=1)
    kid = topics.kid_of(station.device)
    key = secrets.token_bytes(32)
    return envelope.seal_mac0(message_types.WELCOME, kid, welcome.encode(), 1, key)
