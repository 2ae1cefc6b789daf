"""Keys, certificates and addresses are renewed over the air, and readings go on arriving."""

from __future__ import annotations

import json
import socket

import pytest

from hil_tests.rig.forwarder import forwarder
from hil_tests.rig.making import MakeStation, broker_kinds
from hil_tests.rig.station import Station
from hil_tests.rig.waiting import until
from tools.demo.flash_image import Stolen, steal

_OBEYS_S = 30
# Three connections that fail, with 1, 2 and 4 s between them, times 0.5 to 1.5.
_GIVES_UP_S = 60


def _renew(station: Station, *what: str) -> None:
    said = station.cloud.tare("device", "renew", station.device, *what)
    assert "Ordered" in said
    station.scale.ask("wake")
    until(lambda: _waiting(station) == 0, "the order is done", timeout_s=_OBEYS_S)


def _waiting(station: Station) -> int:
    (device,) = json.loads(station.cloud.tare("device", "list", "--json"))
    return int(device["orders_waiting"])


def _identity(station: Station) -> Stolen:
    return steal(station.scale.flash)


def _connect_anew(station: Station) -> None:
    station.scale.cut_power()
    station.scale.power_on()
    station.settle()


@pytest.mark.parametrize("kind", broker_kinds())
def test_mac_key_and_certificate_are_renewed_and_readings_arrive(
    make_station: MakeStation, kind: str
) -> None:
    station = make_station(kind)
    keys = [_identity(station).mac_key]
    saved = []
    for number in range(2):
        _renew(station, "--mac-key")
        keys.append(_identity(station).mac_key)
        saved.append(station.scale.weigh(71_000 + 500 * number))
        station.settle()
        _connect_anew(station)
    assert len(set(keys)) == 3
    assert _identity(station).mac_key == keys[-1]

    before = _identity(station).certificate
    _renew(station, "--certificate")
    assert _identity(station).certificate != before
    _connect_anew(station)
    saved.append(station.scale.weigh(72_200))
    station.settle()
    station.verify_exactly_once(saved)


def test_the_broker_moves_and_a_wrong_address_is_given_up(make_station: MakeStation) -> None:
    station = make_station("embedded")
    home = station.cloud.endpoint.port
    with forwarder(home) as moved:
        port = moved.server_address[1]
        _renew(station, "--address", f"127.0.0.1:{port}")
        assert _identity(station).port == home, "on trial"
        _connect_anew(station)
        saved = [station.scale.weigh(71_000)]
        station.settle()
        assert _identity(station).port == port, "kept: a welcome came that way"
        assert moved.connections > 0

        with socket.socket() as nobody:
            nobody.bind(("127.0.0.1", 0))  # and never listens
            dead = nobody.getsockname()[1]
            _renew(station, "--address", f"127.0.0.1:{dead}")
            station.scale.cut_power()
            station.scale.power_on()
            saved.append(station.scale.weigh(72_000))
            before = moved.connections
            station.settle(timeout_s=_GIVES_UP_S)
        assert moved.connections > before
        assert _identity(station).port == port, "the wrong one was given up"
        station.verify_exactly_once(saved)
