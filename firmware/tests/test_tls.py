"""The device talks to its own broker and to nobody else: real TLS on the loopback interface.

A server that only takes the handshake and one packet stands where the broker should be.
"""

from __future__ import annotations

import datetime as dt
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cloud_agent.devices.console_client import Console
from firmware.tests.cable import Authority, enrol
from tools.virtual_device import VirtualDevice

_NOW = dt.datetime.now(dt.UTC)
_DAY = dt.timedelta(days=1)


class Listener:
    """Takes connections; notes what the handshake gave and the first bytes after it."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._socket.settimeout(0.1)
        self.port: int = self._socket.getsockname()[1]
        self.context: ssl.SSLContext | None = None
        self.received: list[bytes] = []
        self.peers: list[object] = []
        self.refused: list[str] = []
        self.connections = 0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self, pem: Path, authority: Path) -> None:
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(pem)
        self.context.load_verify_locations(authority)
        self.context.verify_mode = ssl.CERT_REQUIRED
        self._thread.start()

    def close(self) -> None:
        self._ended.set()
        if self._thread.ident is not None:
            self._thread.join()
        self._socket.close()

    def _run(self) -> None:
        while not self._ended.is_set():
            try:
                raw, _ = self._socket.accept()
            except TimeoutError:
                continue
            self.connections += 1
            self._serve(raw)

    def _serve(self, raw: socket.socket) -> None:
        assert self.context is not None
        raw.settimeout(5)
        with raw:
            try:
                with self.context.wrap_socket(raw, server_side=True) as stream:
                    self.received.append(stream.recv(64))
                    self.peers.append(stream.getpeercert())
            except (ssl.SSLError, OSError) as error:
                self.refused.append(str(error))


@pytest.fixture
def listener() -> Iterator[Listener]:
    listener = Listener()
    yield listener
    listener.close()


@pytest.fixture
def authority() -> Authority:
    return Authority()


def _connect(
    listener: Listener, authority: Authority, pem: bytes, folder: Path, until: Callable[[], bool]
) -> str:
    """Enrols a device with `authority`, lets it meet the server; what it logged."""
    (folder / "server.pem").write_bytes(pem)
    (folder / "ca.pem").write_text(ssl.DER_cert_to_PEM_cert(authority.der))
    listener.start(folder / "server.pem", folder / "ca.pem")
    device = VirtualDevice(folder / "flash.img", options=["--fast"])
    with device, Console(device.port, timeout_s=20) as console:
        enrol(console, authority, listener.port)
        for _ in range(100):
            if until():
                break
            console.listen(0.1)
        lines = console.request("log")["lines"]
    return "\n".join(lines)


def test_the_right_server_gets_a_connect_and_sees_the_device_certificate(
    listener: Listener, authority: Authority, tmp_path: Path
) -> None:
    _connect(listener, authority, authority.server(), tmp_path, lambda: bool(listener.peers))
    assert listener.received[0][:8] == b"\x10\x1c\x00\x04MQTT"
    device_id = listener.received[0][14:30].decode()
    peer = listener.peers[0]
    assert isinstance(peer, dict)
    assert peer["subjectAltName"] == (("URI", f"spiffe://tare/device/{device_id}"),)


def test_a_server_that_never_answers_does_not_block_the_device(
    authority: Authority, tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        device = VirtualDevice(tmp_path / "flash.img", options=["--fast"])
        with device, Console(device.port, timeout_s=20) as console:
            enrol(console, authority, silent.getsockname()[1])
            silent.settimeout(10)
            connection, _ = silent.accept()
            with connection:
                for _ in range(10):
                    assert console.request("about", timeout_s=1)["link"] == "connecting"


_WRONG: dict[str, Callable[[Authority], bytes]] = {
    "of another authority": lambda _: Authority().server(),
    "for another name": lambda authority: authority.server(name="broker.example"),
    "for its address": lambda authority: authority.server(name="127.0.0.1"),
    "expired": lambda authority: authority.server(begin=_NOW - 9 * _DAY, end=_NOW - _DAY),
    "not yet valid": lambda authority: authority.server(begin=_NOW + _DAY, end=_NOW + 9 * _DAY),
}


@pytest.mark.parametrize("wrong", _WRONG)
def test_a_server_with_a_wrong_certificate_gets_not_one_byte(
    listener: Listener, authority: Authority, tmp_path: Path, wrong: str
) -> None:
    pem = _WRONG[wrong](authority)
    log = _connect(listener, authority, pem, tmp_path, lambda: listener.connections >= 2)
    assert listener.connections >= 2, "it tries again"
    assert [data for data in listener.received if data] == []
    assert "certificate" in log
    assert "welcomed" not in log
