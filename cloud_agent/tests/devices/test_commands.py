"""`tare serve`, `tare broker` and `tare device` as a person uses them: words and exit codes."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cloud_agent.broker import mosquitto
from cloud_agent.service import Service
from cloud_agent.tests.ingest.server_process import ServerProcess

FAILED, USAGE, REFUSED, BUSY = 1, 2, 3, 4


def tare(*arguments: str | Path, data: Path) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "cloud_agent.cli", *map(str, arguments), "--data", str(data)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "COLUMNS": "100"},
    )
    assert "Traceback" not in done.stderr + done.stdout
    return done


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def server(data: Path) -> Iterator[ServerProcess]:
    running = ServerProcess(data)
    yield running
    running.stop()


def test_second_server_is_told_so(server: ServerProcess, data: Path) -> None:
    done = tare("serve", data=data)
    assert done.returncode == BUSY
    assert "in use" in done.stderr


def test_taken_port_is_told_so(data: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        done = tare("serve", "--port", str(taken.getsockname()[1]), data=data)
    assert done.returncode == BUSY
    assert "taken by another program" in done.stderr


def test_broker_of_someone_else_needs_a_port(data: Path) -> None:
    done = tare("serve", "--broker", "none", data=data)
    assert done.returncode == FAILED
    assert "--port" in done.stderr


def test_damaged_authority_is_told_so(data: Path) -> None:
    ServerProcess(data).stop()
    (data / "ca" / "server.key").unlink()
    done = tare("serve", data=data)
    assert done.returncode == FAILED
    assert "server.key" in done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_ends_the_server_well(data: Path, number: signal.Signals) -> None:
    running = ServerProcess(data)
    os.kill(running.pid, number)
    assert running.ended() == 0


def test_broker_is_shown_stopped_and_started(server: ServerProcess, data: Path) -> None:
    assert "running" in tare("broker", "status", data=data).stdout
    assert "stopped" in tare("broker", "stop", data=data).stdout
    done = tare("broker", "start", "--json", data=data)
    assert json.loads(done.stdout)["connected"] is True


def test_broker_commands_want_a_server(data: Path) -> None:
    done = tare("broker", "status", data=data)
    assert done.returncode == REFUSED
    assert "tare serve" in done.stderr


def test_no_device_is_listed_in_words(data: Path) -> None:
    Service.open(data).close()
    done = tare("device", "list", data=data)
    assert done.returncode == 0
    assert "tare device enroll" in done.stdout
    assert json.loads(tare("device", "list", "--json", data=data).stdout) == []


def test_port_without_a_device(data: Path) -> None:
    done = tare("device", "enroll", "--port", "/dev/no-such-port", data=data)
    assert done.returncode == FAILED
    assert "/dev/no-such-port: there is no such port" in done.stderr


@pytest.mark.skipif(mosquitto.find() is None, reason="Mosquitto is not installed")
def test_mosquitto_with_the_written_configuration_serves(data: Path, tmp_path: Path) -> None:
    done = tare("broker", "mosquitto-config", "--out", tmp_path / "own", data=data)
    assert done.returncode == 0
    program = mosquitto.find()
    assert program is not None
    with subprocess.Popen([program, "-c", done.stdout.strip()], stderr=subprocess.DEVNULL) as own:
        try:
            _wait_listening(
                int(json.loads((data / "broker" / "endpoint.json").read_text())["port"])
            )
            running = ServerProcess(data, broker="none")
            running.open_account()
            device = running.claimed_device(tmp_path)
            device.disconnect()
            done = tare("broker", "stop", data=data)
            assert done.returncode == REFUSED
            # A second time while it runs: the port is in use, and rightly so.
            assert tare("broker", "mosquitto-config", data=data).returncode == 0
            assert running.stop() == 0
        finally:
            own.terminate()


def _wait_listening(port: int) -> None:
    deadline = time.monotonic() + 10
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        else:
            return
