"""Nothing is acknowledged before it is durable. A kill cannot show that (the kernel keeps what was
written): a trace of the system calls can. It shows a sync of the write-ahead log before every
write to the broker that follows a message, and goes red where SQLite does not sync.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from cloud_agent.tests.broker.wire import Closed
from cloud_agent.tests.ingest.device import Device, weight
from cloud_agent.tests.ingest.server_process import ServerProcess, wait_until
from protocol import answer

FRAMES = 20
_CALLS = "trace=read,recvfrom,write,sendto,fsync,fdatasync"


def _strace() -> str:
    """The command, or a skip with the reason."""
    found = shutil.which("strace")
    if found is None:
        pytest.skip("strace is not installed (tools/dev.py test installs it as root)")
    tried = subprocess.run([found, "-o", "/dev/null", "true"], capture_output=True, check=False)
    if tried.returncode:
        pytest.skip(f"tracing is not permitted here: {tried.stderr.decode().strip()}")
    return found


class Trace:
    """What matters of a trace, in order: received, synced, sent; asked (on the control socket)."""

    _LINE = re.compile(r"^(\d+) +(\w+)\(\d+<((?:[^>]|(?<=-)>)*)>(.*)$")
    _RESUMED = re.compile(r"^(\d+) +<\.\.\. (\w+) resumed>(.*)$")

    def __init__(self, text: str, port: int) -> None:
        self._remote = f":{port}]"
        self._unfinished: dict[str, tuple[str, str]] = {}
        self.events = [event for line in text.splitlines() if (event := self._event(line))]

    def _event(self, line: str) -> str | None:
        if found := self._LINE.match(line):
            thread, call, target, rest = found.groups()
            if "<unfinished" in rest:
                self._unfinished[thread] = (call, target)
                # A write has left, for all we know, when it has begun; the others are done
                # when they return.
                return self._kind(call, target, "= 1") if call in {"write", "sendto"} else None
            return self._kind(call, target, rest)
        if (found := self._RESUMED.match(line)) and found[1] in self._unfinished:
            call, target = self._unfinished.pop(found[1])
            return None if call in {"write", "sendto"} else self._kind(call, target, found[3])
        return None

    def _kind(self, call: str, target: str, rest: str) -> str | None:
        result = rest.rpartition("= ")[2]
        if call in {"fsync", "fdatasync"}:
            return "synced" if target.endswith("tare.db-wal") and result.startswith("0") else None
        if "control.sock" in target:
            return "asked" if call == "recvfrom" and result[:1] in "123456789" else None
        # strace shows a socket as TCP:[here->there]; there is the broker's port.
        if "TCP" not in target or not target.endswith(self._remote):
            return None
        if call in {"write", "sendto"}:
            return "sent"
        return "received" if result[:1].isdigit() and not result.startswith("0") else None

    def answers(self) -> tuple[int, int]:
        """How many answers followed a message, and how many of them without a sync between;
        between the last two questions on the control socket, when nothing else was going on.
        """
        *_, start, end = [n for n, event in enumerate(self.events) if event == "asked"]
        count = early = 0
        waiting = synced = False
        for event in self.events[start + 1 : end]:
            if event == "received":
                waiting, synced = True, False
            elif event == "synced":
                synced = True
            elif waiting:
                count += 1
                early += not synced
                waiting = False
        return count, early


def _traced(tmp_path: Path, synchronous: str) -> tuple[int, int]:
    """Delivers readings one by one under a trace; returns its answers and the early ones."""
    strace = _strace()
    record = tmp_path / "trace"
    before = (strace, "-f", "-yy", "-s", "0", "-e", _CALLS, "-e", "signal=none", "-o", str(record))
    server = ServerProcess(tmp_path / "data", synchronous=synchronous, before=before)
    try:
        server.open_account()
        device = server.claimed_device(tmp_path)
        port = int(server.ask("server.status")["port"])
        for number in range(FRAMES):
            message = device.readings([weight(70_000 + number)])
            assert device.deliver(message).settled == message.last
        server.ask("server.status")
        device.disconnect()
    finally:
        server.stop()
    return Trace(record.read_text(), port).answers()


def test_a_sync_before_every_ack(tmp_path: Path) -> None:
    answers, early = _traced(tmp_path, "FULL")
    assert answers == FRAMES
    assert early == 0


def test_without_syncs_the_same_test_is_red(tmp_path: Path) -> None:
    answers, early = _traced(tmp_path, "NORMAL")
    assert answers == FRAMES
    assert early > FRAMES // 2


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "data"


def _deliver_until_acked(device: Device, number: int) -> None:
    """One reading, sent again over new connections until it is acknowledged."""
    message = device.readings([weight(50_000 + number)])

    def acked() -> bool:
        try:
            if device.wire is None:
                device.connect()
                device.hello()
            device.send(message)
            while (found := device.poll(1.0)) is not None:
                if isinstance(found, answer.Ack) and found.settled >= message.last:
                    return True
            device.disconnect()
        except (Closed, OSError, AssertionError):
            device.disconnect()
        return False

    wait_until(acked, 60)


def test_killed_agent_loses_and_doubles_nothing(folder: Path, tmp_path: Path) -> None:
    server = ServerProcess(folder)
    server.open_account()
    device = server.claimed_device(tmp_path)
    number = 0
    try:
        for round_ in range(5):
            for _ in range(3):
                _deliver_until_acked(device, number)
                number += 1
            # In the middle of one: sent, not yet acknowledged.
            message = device.readings([weight(50_000 + number)])
            device.send(message)
            device.next_sequence -= 1
            server.kill()
            device.disconnect()
            server = ServerProcess(folder)
            _deliver_until_acked(device, number)
            number += 1
            assert sorted(server.weights_g()) == [50_000 + n for n in range(number)], round_
    finally:
        device.disconnect()
        server.stop()


def test_stopped_server_ends_well_and_leaves_nothing_behind(folder: Path) -> None:
    server = ServerProcess(folder)
    status = server.ask("server.status")
    assert (folder / "ready.json").exists()
    assert server.stop() == 0
    assert not (folder / "ready.json").exists()
    assert not (folder / "control.sock").exists()
    assert not Path(f"/proc/{status['broker_pid']}").exists()
    assert not (folder / "tare.db-wal").exists()


def test_port_and_devices_outlive_a_kill(folder: Path) -> None:
    server = ServerProcess(folder)
    port = server.ask("server.status")["port"]
    server.kill()
    server = ServerProcess(folder)
    assert server.ask("server.status")["port"] == port
    server.stop()
