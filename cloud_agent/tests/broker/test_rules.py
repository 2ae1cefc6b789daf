"""Topic rules and the reading of certificates, and the settings that a broker is started with."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

import pytest

from cloud_agent.broker import rules
from cloud_agent.broker.errors import BrokerError, PortInUseError
from cloud_agent.broker.rules import AGENT_NAME, Peer, Role
from cloud_agent.broker.settings import settle_endpoint
from cloud_agent.broker.supervisor import launch_for
from cloud_agent.devices.pki import Authority

ID = "0123456789abcdef"


def _certificate(name: str, *uris: str, kind: str = "URI") -> dict[str, Any]:
    return {
        "subject": ((("commonName", name),),),
        "subjectAltName": tuple((kind, uri) for uri in uris),
    }


def test_certificates_of_devices_and_agents_are_read() -> None:
    device = _certificate(ID, f"spiffe://tare/device/{ID}")
    agent = _certificate(AGENT_NAME, f"spiffe://tare/agent/{AGENT_NAME}")
    assert rules.peer_of(device) == Peer(Role.DEVICE, ID)
    assert rules.peer_of(agent) == Peer(Role.AGENT, AGENT_NAME)


@pytest.mark.parametrize(
    "certificate",
    [
        None,
        {},
        _certificate(ID),
        _certificate(ID, "spiffe://tare/device/fedcba9876543210"),
        _certificate(ID.upper(), f"spiffe://tare/device/{ID.upper()}"),
        _certificate("+", "spiffe://tare/device/+"),
        _certificate(ID, f"spiffe://tare/agent/{ID}"),
        _certificate(AGENT_NAME, f"spiffe://tare/device/{AGENT_NAME}"),
        _certificate(ID, f"spiffe://tare/device/{ID}", "spiffe://tare/agent/agent"),
        _certificate(ID, f"spiffe://tare/device/{ID}", kind="DNS"),
        {**_certificate(ID, f"spiffe://tare/device/{ID}"), "subject": ()},
        _certificate("broker.tare.internal", "broker.tare.internal", kind="DNS"),
    ],
)
def test_other_certificates_are_nobody(certificate: dict[str, Any] | None) -> None:
    assert rules.peer_of(certificate) is None


def test_port_is_chosen_once_and_kept(tmp_path: Path) -> None:
    first = settle_endpoint(tmp_path)
    assert first.port > 0
    assert (first.bind, first.host) == ("127.0.0.1", "127.0.0.1")
    assert settle_endpoint(tmp_path) == first


def test_a_given_port_replaces_the_kept_one(tmp_path: Path) -> None:
    first = settle_endpoint(tmp_path)
    other = settle_endpoint(tmp_path / "other")
    assert settle_endpoint(tmp_path, port=other.port).port == other.port != first.port
    assert settle_endpoint(tmp_path).port == other.port


def test_taken_port_is_said_in_words(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(PortInUseError, match="taken by another program"):
            settle_endpoint(tmp_path, port=taken.getsockname()[1])
    assert not list(tmp_path.iterdir())  # what does not work is not kept


def test_wildcard_address_is_not_what_devices_are_told(tmp_path: Path) -> None:
    endpoint = settle_endpoint(tmp_path, bind="0.0.0.0")  # noqa: S104 - what is tested
    assert endpoint.host == socket.gethostname()
    assert settle_endpoint(tmp_path, host="scale.home").host == "scale.home"


@pytest.mark.parametrize("text", ["", "{", "[]", json.dumps({"bind": "127.0.0.1"})])
def test_damaged_endpoint_file_is_an_error(tmp_path: Path, text: str) -> None:
    (tmp_path / "endpoint.json").write_text(text)
    with pytest.raises(BrokerError):
        settle_endpoint(tmp_path)


def test_mosquitto_that_is_wanted_and_absent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cloud_agent.broker.mosquitto.find", lambda: None)
    files = Authority.open(tmp_path / "ca").server_files
    endpoint = settle_endpoint(tmp_path)
    with pytest.raises(BrokerError, match="apt-get install mosquitto"):
        launch_for("mosquitto", tmp_path, endpoint, files)
    assert launch_for("auto", tmp_path, endpoint, files).name == "embedded"
