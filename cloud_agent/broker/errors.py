"""What can go wrong with a broker. Messages hold no client id, topic or payload."""

from __future__ import annotations

from cloud_agent.errors import BusyError, TareError


class BrokerError(TareError):
    """The broker cannot be started or does not answer."""

    kind = "broker"


class PortInUseError(BusyError):
    """Another program has the broker's port."""

    kind = "port-in-use"


class PortUnknownError(BrokerError):
    """Someone else's broker is to be used, and nobody has said at which port."""

    kind = "port-unknown"


class PacketRefusedError(BrokerError):
    """A client sent a packet that the guard does not let through."""

    kind = "packet-refused"
