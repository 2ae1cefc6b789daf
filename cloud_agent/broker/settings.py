"""Where the broker and the pages listen. Touches only its files in the data folder.

The port is chosen once and kept, because devices were told it when they were enrolled.
"""

from __future__ import annotations

import errno
import json
import socket
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from cloud_agent.broker.errors import BrokerError, PortInUseError, PortUnknownError
from cloud_agent.files import write_private

_FILE = "endpoint.json"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """`bind`: the address the broker listens on. `host`: the one that devices are told."""

    bind: str
    host: str
    port: int


@dataclass(frozen=True, slots=True)
class EmbeddedSettings:
    """What the parent tells the embedded broker, as one line of JSON."""

    bind: str
    port: int
    ca: str
    certificate: str
    key: str
    parent: int
    max_connections: int = 512
    # Measured: 34 MiB of address space when idle. The rest is for bursts, and for systems that map
    # more beforehand.
    memory_limit: int = 768 * 1024 * 1024
    # Who takes nothing for so long is cut off: what waits for it is kept in memory.
    stalled_s: float = 20.0

    def line(self) -> bytes:
        """The line that goes to the child's standard input."""
        return json.dumps(asdict(self)).encode() + b"\n"


def settle_endpoint(
    folder: Path,
    *,
    bind: str | None = None,
    host: str | None = None,
    port: int | None = None,
    ours: bool = True,
) -> Endpoint:
    """Returns where to listen: what is given, else what was kept, else loopback and a free port.

    The result is kept in `folder`. `ours`: the port must be free, because we start the broker;
    otherwise someone else's broker has it. Raises PortInUseError, PortUnknownError, BrokerError.
    """
    kept = kept_endpoint(folder)
    chosen_bind = bind or (kept.bind if kept else "127.0.0.1")
    chosen_host = host or (kept.host if kept and not bind else _host_for(chosen_bind))
    chosen_port = port or (kept.port if kept else 0)
    endpoint = Endpoint(chosen_bind, chosen_host, chosen_port)
    if ours:
        endpoint = replace(endpoint, port=_try_port(endpoint))
    elif not endpoint.port:
        raise PortUnknownError("which port does the broker have? Say it with --port")
    if endpoint != kept:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        content = json.dumps(asdict(endpoint)).encode()
        write_private(folder / _FILE, content, replace=True)
    return endpoint


def settle_web(folder: Path, port: int | None) -> Endpoint:
    """Where the pages are: on this machine, at the port that is given, kept, or free. A proxy with
    TLS in front of it makes them reachable (`TARE_PUBLIC_URL`).
    """
    try:
        return settle_endpoint(folder, port=port)
    except PortInUseError as error:
        raise PortInUseError(
            "the port of the pages is taken by another program: choose another with --web-port"
        ) from error


def _host_for(bind: str) -> str:
    # A wildcard is no address that a device could connect to; the machine's name may be one.
    return socket.gethostname() if bind in {"0.0.0.0", "::", ""} else bind  # noqa: S104 - compared


def _try_port(endpoint: Endpoint) -> int:
    """Opens the port for a moment: the message of a child that failed to would come too late."""
    family = socket.AF_INET6 if ":" in endpoint.bind else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((endpoint.bind, endpoint.port))
        except OSError as error:
            raise _explain(error, endpoint) from error
        return int(probe.getsockname()[1])


def _explain(error: OSError, endpoint: Endpoint) -> BrokerError | PortInUseError:
    if error.errno == errno.EADDRINUSE:
        return PortInUseError(
            f"port {endpoint.port} is taken by another program: stop it, or choose another with"
            " --port (enrolled devices know the old one)"
        )
    return BrokerError(f"cannot listen on {endpoint.bind} port {endpoint.port}: {error.strerror}")


def kept_endpoint(folder: Path) -> Endpoint | None:
    """What `settle_endpoint` kept there, if anything. Raises `BrokerError` for a damaged file."""
    path = folder / _FILE
    try:
        raw = json.loads(path.read_text())
        return Endpoint(bind=str(raw["bind"]), host=str(raw["host"]), port=int(raw["port"]))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BrokerError(f"{path} is damaged; devices were told the port in it") from error
