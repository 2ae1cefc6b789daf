"""Who may say what on the broker (SPEC 7), stated once and used for every broker. Pure.

1. A peer is what its certificate says: a device (16 hex characters) or an agent.
2. A device publishes on its own `up` and subscribes to its own `down`, nothing else.
3. An agent subscribes to every `up` and publishes on any device's `down`, nothing else.
4. Nothing is retained, no will is taken, no session outlives its connection.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

# SPEC 9.4: one fixed name in the broker's certificate, whatever its address.
SERVER_NAME = "broker.tare.internal"
AGENT_NAME = "agent"

# A message of 1,024 bytes at most is right (SPEC 3.6). One of up to four times that still reaches
# the agent, which refuses it and notes the reason; what is larger goes no further than the broker.
MAX_PACKET = 4096 + 256

# A connection that says nothing for longer is dead; a device asks for less.
MAX_KEEPALIVE_S = 1200

_DEVICE_ID = re.compile(r"[0-9a-f]{16}")
_UP = re.compile(r"tare/1/([0-9a-f]{16})/up")
_DOWN = re.compile(r"tare/1/([0-9a-f]{16})/down")
_ALL_UP = "tare/1/+/up"


class Role(Enum):
    """What a certificate was issued for."""

    DEVICE = "device"
    AGENT = "agent"


@dataclass(frozen=True, slots=True)
class Peer:
    """Who is at the other end, as its certificate says; `name` is also the MQTT client id."""

    role: Role
    name: str


def spiffe_device(device_id: str) -> str:
    """The URI in a device's certificate."""
    return f"spiffe://tare/device/{device_id}"


def spiffe_agent(name: str) -> str:
    """The URI in an agent's certificate."""
    return f"spiffe://tare/agent/{name}"


def peer_of(certificate: Mapping[str, Any] | None) -> Peer | None:
    """Reads a verified certificate as `ssl.SSLObject.getpeercert` gives it.

    None unless it has exactly one common name and exactly one URI, and both name the same peer.
    """
    if not certificate:
        return None
    names = [
        value
        for group in certificate.get("subject", ())
        for kind, value in group
        if kind == "commonName"
    ]
    alternatives = certificate.get("subjectAltName", ())
    if len(names) != 1 or len(alternatives) != 1 or alternatives[0][0] != "URI":
        return None
    return _peer(names[0], alternatives[0][1])


def _peer(name: str, uri: str) -> Peer | None:
    if uri == spiffe_device(name) and _DEVICE_ID.fullmatch(name):
        return Peer(Role.DEVICE, name)
    if uri == spiffe_agent(name) and name == AGENT_NAME:
        return Peer(Role.AGENT, name)
    return None


def may_publish(peer: Peer, topic: str) -> bool:
    """Whether `peer` may publish on `topic`."""
    if peer.role is Role.AGENT:
        return _DOWN.fullmatch(topic) is not None
    return topic == f"tare/1/{peer.name}/up"


def may_subscribe(peer: Peer, topic_filter: str) -> bool:
    """Whether `peer` may subscribe to `topic_filter`."""
    if peer.role is Role.AGENT:
        return topic_filter == _ALL_UP
    return topic_filter == f"tare/1/{peer.name}/down"


def may_receive(peer: Peer, topic: str) -> bool:
    """Whether a message on `topic` may go to `peer`, whatever it has subscribed to."""
    if peer.role is Role.AGENT:
        return _UP.fullmatch(topic) is not None
    return topic == f"tare/1/{peer.name}/down"
