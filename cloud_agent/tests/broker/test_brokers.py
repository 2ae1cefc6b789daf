"""Claims about the broker, each against the embedded one and Mosquitto, over real TLS."""

from __future__ import annotations

import contextlib
import os
import signal
import ssl
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from cloud_agent.broker import mosquitto
from cloud_agent.broker.errors import BrokerError
from cloud_agent.broker.rules import AGENT_NAME, MAX_PACKET, SERVER_NAME
from cloud_agent.broker.settings import settle_endpoint
from cloud_agent.broker.supervisor import BrokerProcess, launch_for
from cloud_agent.devices.pki import Authority, TlsFiles
from cloud_agent.tests.broker.conftest import (
    DEVICE_A,
    DEVICE_B,
    LoopThread,
    RunningBroker,
    start_broker,
)
from cloud_agent.tests.broker.wire import (
    Closed,
    Message,
    Wire,
    connect,
    connect_packet,
    open_tls,
    packet,
    publish_packet,
    text,
)

UP_A, DOWN_A = f"tare/1/{DEVICE_A}/up", f"tare/1/{DEVICE_A}/down"
UP_B, DOWN_B = f"tare/1/{DEVICE_B}/up", f"tare/1/{DEVICE_B}/down"
NOTHING_S = 0.4  # how long is waited for what must not come


@pytest.fixture
def agent(broker: RunningBroker) -> Iterator[Wire]:
    wire = connect(broker.port, broker.authority.agent_files, AGENT_NAME)
    assert wire.subscribe("tare/1/+/up", qos=1) == 1
    yield wire
    wire.close()


@pytest.fixture
def device(broker: RunningBroker) -> Iterator[Wire]:
    wire = connect(broker.port, broker.device(DEVICE_A), DEVICE_A)
    assert wire.subscribe(DOWN_A) == 0
    yield wire
    wire.close()


def test_device_and_agent_hear_each_other(agent: Wire, device: Wire) -> None:
    device.publish(UP_A, b"up")
    assert agent.message() == Message(UP_A, b"up", 1, retained=False)
    agent.publish(DOWN_A, b"down", qos=0)
    assert device.message() == Message(DOWN_A, b"down", 0, retained=False)


@pytest.mark.parametrize("topic", [UP_B, DOWN_A, DOWN_B, "tare/2/x/up", "other", "$SYS/x"])
def test_device_cannot_publish_on_any_other_topic(
    broker: RunningBroker, agent: Wire, topic: str
) -> None:
    victim = connect(broker.port, broker.device(DEVICE_B), DEVICE_B)
    victim.subscribe(DOWN_B)
    evil = connect(broker.port, broker.device(DEVICE_A), DEVICE_A)
    evil.send(publish_packet(topic, b"evil", qos=1))
    assert agent.message(NOTHING_S) is None
    assert victim.message(NOTHING_S) is None
    evil.close()
    victim.close()


@pytest.mark.parametrize("topic_filter", [DOWN_B, "tare/1/+/down", "tare/1/#", "#", UP_A, UP_B])
def test_device_hears_nothing_of_others(
    broker: RunningBroker, agent: Wire, device: Wire, topic_filter: str
) -> None:
    device.subscribe(topic_filter)
    other = connect(broker.port, broker.device(DEVICE_B), DEVICE_B)
    other.publish(UP_B, b"up")
    assert agent.message() is not None  # the control: it did pass through the broker
    agent.publish(DOWN_B, b"for b", qos=0)
    assert device.message(NOTHING_S) is None
    other.close()


def test_agent_cannot_speak_as_a_device(broker: RunningBroker, agent: Wire) -> None:
    agent.send(publish_packet(UP_A, b"forged", qos=1))
    assert agent.message(NOTHING_S) is None


def test_another_client_id_gives_nothing(broker: RunningBroker, agent: Wire, device: Wire) -> None:
    """B, calling itself A, neither disturbs A, nor hears or speaks for it."""
    files = broker.device(DEVICE_B)
    liar = open_tls(broker.port, files)
    liar.send(connect_packet(DEVICE_A))
    try:
        liar.expect(2)
        liar.subscribe(DOWN_A)
        liar.send(publish_packet(UP_A, b"evil"))
    except Closed:
        pass
    assert agent.message(NOTHING_S) is None
    agent.publish(DOWN_A, b"for a", qos=0)
    assert device.message() == Message(DOWN_A, b"for a", 0, retained=False)
    assert liar.messages == []
    liar.close()


def _refused(port: int, tls: TlsFiles, *, with_certificate: bool = True) -> bool:
    """TLS 1.3 tells a client that it is refused only when it reads."""
    try:
        wire = open_tls(port, tls, with_certificate=with_certificate)
    except (ssl.SSLError, OSError):
        return True
    try:
        wire.send(connect_packet(DEVICE_A))
        return wire.is_closed()
    except Closed:
        return True
    finally:
        wire.close()


def test_no_certificate_no_connection(broker: RunningBroker) -> None:
    assert _refused(broker.port, broker.device(DEVICE_A), with_certificate=False)


def test_certificate_of_another_authority_is_refused(broker: RunningBroker, tmp_path: Path) -> None:
    foreign = Authority.open(tmp_path / "foreign")
    assert _refused(broker.port, broker.device(DEVICE_A, foreign))


def test_the_brokers_own_certificate_is_no_clients(broker: RunningBroker) -> None:
    assert _refused(broker.port, broker.authority.server_files)


def test_tls_1_1_is_refused(broker: RunningBroker) -> None:
    done = subprocess.run(
        ["openssl", "s_client", "-connect", f"127.0.0.1:{broker.port}", "-tls1_1",
         "-cipher", "ALL:@SECLEVEL=0", "-servername", SERVER_NAME],
        input=b"", capture_output=True, timeout=20, check=False,
    )  # fmt: skip
    assert b"Protocol  : TLSv1.1" not in done.stdout or b"Cipher    : 0000" in done.stdout
    assert done.returncode != 0


def test_nothing_is_retained(broker: RunningBroker, agent: Wire) -> None:
    evil = connect(broker.port, broker.device(DEVICE_A), DEVICE_A)
    evil.send(publish_packet(UP_A, b"kept?", retain=True))
    assert evil.is_closed()
    evil.close()
    agent.messages.clear()
    agent.message(NOTHING_S)
    agent.subscribe("tare/1/+/up", qos=1)
    assert agent.message(NOTHING_S) is None


def test_a_will_reaches_no_other_topic(broker: RunningBroker, agent: Wire) -> None:
    wire = open_tls(broker.port, broker.device(DEVICE_A))
    wire.send(connect_packet(DEVICE_A, flags=0b0110, rest=text(UP_B) + text(b"will")))
    with contextlib.suppress(Closed):
        wire.expect(2)
    wire.close()
    assert agent.message(NOTHING_S) is None


def test_nothing_waits_for_an_absent_agent(broker: RunningBroker, device: Wire) -> None:
    wire = connect(broker.port, broker.authority.agent_files, AGENT_NAME)
    wire.subscribe("tare/1/+/up", qos=1)
    wire.close()
    time.sleep(0.2)
    device.publish(UP_A, b"while away")
    wire = connect(broker.port, broker.authority.agent_files, AGENT_NAME)
    wire.subscribe("tare/1/+/up", qos=1)
    assert wire.message(NOTHING_S) is None
    wire.close()


def test_a_new_connection_ends_the_old_one(
    broker: RunningBroker, agent: Wire, device: Wire
) -> None:
    again = connect(broker.port, broker.device(DEVICE_A), DEVICE_A)
    assert device.is_closed()
    again.subscribe(DOWN_A)
    agent.publish(DOWN_A, b"to the new one", qos=0)
    assert again.message() is not None
    again.close()


@pytest.mark.parametrize(
    "data",
    [
        publish_packet(UP_A, bytes(MAX_PACKET), qos=1),
        # A length of 256 MiB is announced and never sent: nothing is allocated for it.
        b"\x30\xff\xff\xff\x7f" + text(UP_A),
        b"\x30\xff\xff\xff\xff\x01",
        b"\xf0\x00",
        b"\x00\x00",
        connect_packet(DEVICE_A),
    ],
    ids=["too-large", "huge", "malformed-length", "reserved", "zero", "second-connect"],
)
def test_a_bad_packet_ends_its_connection_only(
    broker: RunningBroker, agent: Wire, data: bytes
) -> None:
    pid = broker.process.pid
    evil = connect(broker.port, broker.device(DEVICE_A), DEVICE_A)
    evil.send(data)
    assert evil.is_closed()
    evil.close()
    good = connect(broker.port, broker.device(DEVICE_B), DEVICE_B)
    good.publish(UP_B, b"still here")
    assert agent.message() == Message(UP_B, b"still here", 1, retained=False)
    good.close()
    assert broker.process.pid == pid


def test_the_largest_packet_passes(agent: Wire, device: Wire) -> None:
    size = MAX_PACKET - len(publish_packet(UP_A, b"", qos=1)) - 1  # one more digit of length
    device.publish(UP_A, bytes(size))
    message = agent.message()
    assert message is not None
    assert len(message.payload) == size


def test_first_packet_must_be_connect(broker: RunningBroker) -> None:
    wire = open_tls(broker.port, broker.device(DEVICE_A))
    wire.send(packet(0x82, b"\x00\x01" + text("#") + b"\x00"))
    assert wire.is_closed()
    wire.close()


def test_killed_broker_is_started_again(
    broker: RunningBroker, tmp_path: Path, loop_thread: LoopThread
) -> None:
    running = start_broker(broker.process.name, tmp_path, loop_thread)
    try:
        before = running.process.pid
        assert before is not None
        os.kill(before, signal.SIGKILL)
        deadline = time.monotonic() + 20
        while running.process.pid in {before, None}:
            assert time.monotonic() < deadline, "not started again"
            time.sleep(0.05)
        files = running.device(DEVICE_A)
        while True:
            try:
                connect(running.port, files, DEVICE_A).close()
                break
            except (OSError, Closed):
                assert time.monotonic() < deadline, "does not listen again"
                time.sleep(0.1)
    finally:
        loop_thread.run(running.process.stop())
    assert running.process.pid is None


_PARENT = """\
import asyncio, sys
from pathlib import Path
from cloud_agent.broker.settings import settle_endpoint
from cloud_agent.broker.supervisor import BrokerProcess, launch_for
from cloud_agent.broker.settings import settle_endpoint
from cloud_agent.broker.supervisor import BrokerProcess, launch_for
from cloud_agent.devices.pki import Authority

async def main():
    folder = Path(sys.argv[2])
    endpoint = settle_endpoint(folder / "broker")
    files = Authority.open(folder / "ca").server_files
    process = BrokerProcess(launch_for(sys.argv[1], folder / "broker", endpoint, files), endpoint)
    await process.start()
    print(process.pid, flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's part in it is Linux's")
def test_broker_ends_with_its_killed_parent(broker: RunningBroker, tmp_path: Path) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(_PARENT), broker.process.name, str(tmp_path)],
        stdout=subprocess.PIPE,
    )
    with parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        os.kill(child, 0)  # the control: it is there
        parent.kill()
    deadline = time.monotonic() + 10
    while _alive(child):
        assert time.monotonic() < deadline, "the broker outlives its parent"
        time.sleep(0.05)


def _alive(pid: int) -> bool:
    try:
        # A zombie whose new parent has not looked yet is dead too.
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_embedded_broker_has_a_memory_limit(broker: RunningBroker) -> None:
    if broker.process.name != "embedded":
        pytest.skip("Mosquitto limits its packets and queues itself")
    limits = Path(f"/proc/{broker.process.pid}/limits").read_text().splitlines()
    (line,) = (line for line in limits if line.startswith("Max address space"))
    assert int(line.split()[3]) == 768 * 1024 * 1024


def test_embedded_broker_cuts_off_who_takes_nothing(
    tmp_path: Path, loop_thread: LoopThread
) -> None:
    """What waits for a device that has stopped reading would fill the memory."""
    running = start_broker("embedded", tmp_path, loop_thread, stalled_s=0.5)
    try:
        agent = connect(running.port, running.authority.agent_files, AGENT_NAME)
        device = connect(running.port, running.device(DEVICE_A), DEVICE_A)
        device.subscribe(DOWN_A)
        payload = bytes(4000)
        for _ in range(5000):  # more than the kernel's buffers hold
            agent.send(publish_packet(DOWN_A, payload))
        time.sleep(1.5)
        assert device.is_closed()
        other = connect(running.port, running.device(DEVICE_B), DEVICE_B)
        agent.subscribe("tare/1/+/up", qos=1)
        other.publish(UP_B, b"unharmed")
        assert agent.message() == Message(UP_B, b"unharmed", 1, retained=False)
        for wire in (agent, device, other):
            wire.close()
    finally:
        loop_thread.run(running.process.stop())


def test_broker_that_cannot_start_is_an_error(tmp_path: Path, loop_thread: LoopThread) -> None:
    with pytest.raises(BrokerError, match="ended at once"):
        start_broker("embedded", tmp_path, loop_thread, certificate=str(tmp_path / "none"))


@pytest.mark.skipif(mosquitto.find() is None, reason="Mosquitto is not installed")
def test_mosquitto_that_cannot_start_says_why(tmp_path: Path, loop_thread: LoopThread) -> None:
    authority = Authority.open(tmp_path / "ca")
    files = replace(authority.server_files, certificate=tmp_path / "none")
    endpoint = settle_endpoint(tmp_path / "broker")
    launch = launch_for("mosquitto", tmp_path / "broker", endpoint, files)
    with pytest.raises(BrokerError, match=r"ended at once, with code 1: .*Error"):
        loop_thread.run(BrokerProcess(launch, endpoint).start())
