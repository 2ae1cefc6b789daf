"""Improv over the virtual scale's port, as a browser uses it: scan, wrong password, right one."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cloud_agent.devices.console_client import Console
from firmware.tests.cable import Authority, enrol
from protocol import improv
from protocol.improv import Decoder, Packet
from tools.virtual_device import VirtualDevice

_GET_STATE = improv.rpc(improv.GET_STATE)
_PORTAL = "https://portal.example/claim"


class _Client:
    """A client on the port: what it hears, in order, console lines apart."""

    def __init__(self, port: str) -> None:
        self._port = os.open(port, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        self._decoder = Decoder()
        self._packets: list[Packet] = []
        self.text = b""

    def close(self) -> None:
        os.close(self._port)

    def send(self, data: bytes) -> None:
        assert os.write(self._port, data) == len(data)

    def hear(self, timeout_s: float) -> tuple[str, object] | None:
        """The next that the device says; None when it says nothing for so long."""
        deadline = time.monotonic() + timeout_s
        while not self._packets:
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                return None
            if select.select([self._port], [], [], left_s)[0]:
                # One time for all: the host may be slow, and its line is a good one.
                for item in self._decoder.feed(os.read(self._port, 4096), 0):
                    if isinstance(item, Packet):
                        self._packets.append(item)
                    else:
                        self.text += item
        packet = self._packets.pop(0)
        if packet.kind == improv.CURRENT_STATE:
            return "state", improv.parse_state(packet)
        if packet.kind == improv.ERROR_STATE:
            return "error", improv.parse_error(packet)
        return "result", improv.parse_result(packet)

    def ask(self, wire: bytes, *expected: tuple[str, object], timeout_s: float = 20) -> None:
        """Sends, and wants to hear exactly this."""
        self.send(wire)
        self.expect(*expected, timeout_s=timeout_s)

    def expect(self, *expected: tuple[str, object], timeout_s: float = 20) -> None:
        assert [self.hear(timeout_s) for _ in expected] == list(expected)

    def await_boot(self) -> object:
        """Asks for the state until the device answers, as clients do; returns it."""
        for _ in range(20):
            self.send(_GET_STATE)
            if self.hear(1) == ("error", 0):
                heard = self.hear(5)
                assert heard is not None
                return heard[1]
        raise AssertionError("the device does not answer")


@pytest.fixture
def flash(tmp_path: Path) -> Path:
    return tmp_path / "flash.img"


@pytest.fixture
def device(flash: Path) -> Iterator[VirtualDevice]:
    device = VirtualDevice(flash, options=["--fast", "--watchdog", "3"])
    with device:
        yield device


@pytest.fixture
def client(device: VirtualDevice) -> Iterator[_Client]:
    client = _Client(device.port)
    yield client
    client.close()


_NO_ERROR = ("error", improv.NO_ERROR)


def _quiet(client: _Client) -> None:
    """Everything that was asked while it booted has been answered."""
    while client.hear(0.5) is not None:
        pass


def test_from_unpacked_to_provisioned_and_through_a_power_cut(
    device: VirtualDevice, client: _Client, flash: Path
) -> None:
    assert client.await_boot() == improv.READY
    _quiet(client)
    client.send(b"1 portal " + _PORTAL.encode() + b"\n")

    client.ask(improv.rpc(improv.SCAN), _NO_ERROR)
    seen: dict[bytes, tuple[int, bytes]] = {}
    while True:
        heard = client.hear(10)
        assert heard is not None
        command, strings = heard[1]  # type: ignore[misc]
        assert (heard[0], command) == ("result", improv.SCAN)
        if not strings:
            break
        name, level, secured = strings
        assert name not in seen
        seen[name] = (int(level), secured)
    assert seen[b"home"][1] == b"YES"
    assert seen[b"cafe"][1] == b"NO"
    assert set(seen) <= {b"home", b"cafe", b"far-away", b"full"}
    levels = [level for level, _ in seen.values()]
    assert levels == sorted(levels, reverse=True)

    began = time.monotonic()
    client.ask(
        improv.wifi_settings(b"home", b"wrong battery"),
        _NO_ERROR,
        ("state", improv.PROVISIONING),
        ("error", improv.UNABLE_TO_CONNECT),
        ("state", improv.READY),
    )
    assert 3 < time.monotonic() - began < 15
    assert b"wrong battery" not in flash.read_bytes()

    client.ask(
        improv.wifi_settings(b"home", b"correct horse"),
        _NO_ERROR,
        ("state", improv.PROVISIONING),
        ("state", improv.PROVISIONED),
        ("result", (improv.WIFI_SETTINGS, [_PORTAL.encode()])),
    )
    assert b"correct horse" in flash.read_bytes()
    _quiet(client)
    assert b"# Wi-Fi was set\n" in client.text
    device.kill()
    device.start()
    assert client.await_boot() == improv.PROVISIONED
    client.expect(("result", (improv.GET_STATE, [_PORTAL.encode()])))
    said = device.recent_output()
    assert "correct horse" not in said


def test_console_and_improv_do_not_disturb_each_other(
    device: VirtualDevice, client: _Client
) -> None:
    client.await_boot()
    _quiet(client)
    # A packet in the midst of a line, noise that looks like one, a packet that breaks off.
    client.send(b"1 ab" + _GET_STATE + b"out\n")
    client.expect(_NO_ERROR, ("state", improv.READY))
    client.send(_GET_STATE[:9])
    time.sleep(0.4)
    client.send(b"2 settings\n" + _GET_STATE + b"3 IMPROV\n")
    client.expect(_NO_ERROR, ("state", improv.READY))
    _quiet(client)
    for reply in (b"= 1 ok {", b"= 2 ok {", b"= 3 error unknown-verb"):
        assert reply in client.text, client.text
    assert b"= 0 error" not in client.text
    # And the console client passes over packets that come between its lines.
    with Console(device.port, timeout_s=20) as console:
        client.send(improv.rpc(improv.DEVICE_INFO))
        for _ in range(5):
            assert console.request("about")["model"] == "virtual-scale"


def test_ctrl_c_stops_the_program_outside_the_window_and_the_watchdog_starts_it_anew(
    device: VirtualDevice, client: _Client
) -> None:
    client.await_boot()
    _quiet(client)
    client.send(b"1 wifi close\n")
    assert client.hear(0.5) is None
    assert b'= 1 ok {"' in client.text
    assert device.resets == 0
    client.send(_GET_STATE)
    assert client.await_boot() == improv.READY
    assert device.resets == 1


def test_the_link_goes_through_the_wifi_that_was_set(
    client: _Client, device: VirtualDevice
) -> None:
    client.await_boot()
    _quiet(client)
    client.ask(improv.rpc(improv.HOSTNAME, b"bath"), _NO_ERROR, ("result", (5, [b"bath"])))
    client.ask(
        improv.wifi_settings(b"home", b"correct horse"),
        _NO_ERROR,
        ("state", improv.PROVISIONING),
        ("state", improv.PROVISIONED),
        ("result", (improv.WIFI_SETTINGS, [b""])),
    )
    with socket.create_server(("127.0.0.1", 0)) as broker, Console(device.port) as console:
        broker.settimeout(20)
        # It connects as soon as it is enrolled; what it meets ends every connection at once.
        enrol(console, Authority(), broker.getsockname()[1])
        broker.accept()[0].close()
        wifi = console.request("wifi")
        assert (wifi["set"], wifi["joined"], wifi["hostname"]) == (True, True, "bath")
        console.request("air", "down", "home")
        assert console.request("wifi")["joined"] is False
        broker.settimeout(0.1)
        with contextlib.suppress(TimeoutError):
            while True:  # what was begun before
                broker.accept()[0].close()
        console.request("wake")
        broker.settimeout(6)
        with pytest.raises(TimeoutError):
            broker.accept()
        assert "link: the Wi-Fi cannot be joined" in console.request("log")["lines"]
        console.request("air", "up", "home")
        console.request("wake")
        broker.settimeout(30)
        broker.accept()[0].close()
