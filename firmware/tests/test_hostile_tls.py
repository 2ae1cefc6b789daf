"""TLS connections by the hundred to servers that are wrong, or end at any byte: real TLS, loopback.

The firmware's own door to the network and its MQTT client meet one server after the other.
"""

from __future__ import annotations

import datetime as dt
import os
import random
import socket
import ssl
import subprocess
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from firmware.tests.cable import Authority
from tools import micropython
from tools.environment import ROOT

_NOW = dt.datetime.now(dt.UTC)
_DAY = dt.timedelta(days=1)
_CONNACK = b"\x20\x02\x00\x00"
_CONNECT_KIND = 0x10
#: More than a server says in a whole connection; what a right one says is measured first.
_UNCUT = 100_000
_WRONG_EACH = 80
_GROWTH = 8_000


@dataclass
class Visit:
    """What a server saw of one connection: `sent` bytes of TLS, and what came through it."""

    sent: int = 0
    received: bytes = b""
    answered: bool = False


class Servers:
    """Takes connections in the order of `plan`: a context, and after how many bytes it ends."""

    def __init__(self, plan: list[tuple[ssl.SSLContext, int]]) -> None:
        self.visits: list[Visit] = []
        self._plan = plan
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._socket.settimeout(20)
        self.port: int = self._socket.getsockname()[1]
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._thread.join()
        self._socket.close()

    def _run(self) -> None:
        for context, most in self._plan:
            try:
                raw, _ = self._socket.accept()
            except TimeoutError:
                return
            visit = Visit()
            with raw:
                raw.settimeout(5)
                raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                try:
                    _serve(raw, context, most, visit)
                except (ssl.SSLError, OSError):
                    pass
            self.visits.append(visit)


def _serve(raw: socket.socket, context: ssl.SSLContext, most: int, visit: Visit) -> None:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    stream = context.wrap_bio(incoming, outgoing, server_side=True)
    while visit.sent < most:
        try:
            visit.received += stream.read(256)
            stream.write(_CONNACK)
            answered = True
        except ssl.SSLWantReadError:
            answered = False
        whole = outgoing.read()
        part = whole[: most - visit.sent]
        raw.sendall(part)
        visit.sent += len(part)
        visit.answered |= answered and part == whole
        data = raw.recv(4096) if part == whole else b""
        if not data:
            return
        incoming.write(data)


@pytest.fixture
def authority() -> Authority:
    return Authority()


@pytest.fixture
def folder(authority: Authority, tmp_path: Path) -> Path:
    """The device's side: its key, its certificate and the authority it believes."""
    key = ec.generate_private_key(ec.SECP256R1())
    der = serialization.Encoding.DER
    plain = serialization.NoEncryption()
    sec1 = serialization.PrivateFormat.TraditionalOpenSSL
    (tmp_path / "key.der").write_bytes(key.private_bytes(der, sec1, plain))
    (tmp_path / "device.der").write_bytes(authority.device("0" * 16, key.public_key()))
    (tmp_path / "ca.der").write_bytes(authority.der)
    (tmp_path / "ca.pem").write_text(ssl.DER_cert_to_PEM_cert(authority.der))
    return tmp_path


def _context(folder: Path, pem: bytes) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    (folder / "server.pem").write_bytes(pem)
    context.load_cert_chain(folder / "server.pem")
    context.load_verify_locations(folder / "ca.pem")
    context.verify_mode = ssl.CERT_REQUIRED
    return context


def _meet(
    folder: Path, plan: list[tuple[ssl.SSLContext, int]]
) -> Iterator[tuple[str, Visit, tuple[ssl.SSLContext, int]]]:
    """Lets the firmware connect once to each of the plan; what it says and what each saw."""
    servers = Servers(plan)
    path = [".frozen", str(ROOT), str(ROOT / "firmware")]
    script = str(Path(__file__).parent / "tls_attempts.py")
    done = subprocess.run(
        [*micropython.find_or_unpack(), script, str(folder), str(servers.port), str(len(plan))],
        env={**os.environ, "MICROPYPATH": ":".join(path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=250,
    )
    servers.close()
    assert done.returncode == 0, done.stdout[-500:] + done.stderr[-2000:]
    lines = done.stdout.splitlines()
    heap = [int(line.split()[1]) for line in lines if line.startswith("heap")]
    print("heap", heap)
    assert max(heap) - heap[0] < _GROWTH, heap
    said = [line for line in lines if not line.startswith("heap")]
    return iter(list(zip(said, servers.visits, plan, strict=True)))


def test_hundreds_of_wrong_certificates_get_not_one_byte_and_right_ones_everything(
    authority: Authority, folder: Path
) -> None:
    wrong = {
        "of another authority": Authority().server(),
        "signed by itself": Authority().own(),
        "for another name": authority.server(name="broker.example"),
        "for its address": authority.server(name="127.0.0.1"),
        "expired": authority.server(begin=_NOW - 9 * _DAY, end=_NOW - _DAY),
        "not yet valid": authority.server(begin=_NOW + _DAY, end=_NOW + 9 * _DAY),
        "ten years old": authority.server(begin=_NOW - 4000 * _DAY, end=_NOW - 3650 * _DAY),
    }
    # Right ones in between: the one that was there at enrolment, and the one that renewed it.
    right = {
        "right": authority.server(),
        "renewed": authority.server(begin=_NOW - _DAY, end=_NOW + 90 * _DAY),
    }
    contexts = {name: _context(folder, pem) for name, pem in (wrong | right).items()}
    names = {id(context): name for name, context in contexts.items()}
    order = [name for name in contexts for _ in range(_WRONG_EACH)]
    random.Random(4).shuffle(order)
    outcomes: Counter[tuple[str, bool]] = Counter()
    for said, visit, (context, _) in _meet(folder, [(contexts[name], _UNCUT) for name in order]):
        name = names[id(context)]
        outcomes[name, said == "ok"] += 1
        assert (said == "ok") == (name in right), (name, said)
        if name in wrong:
            assert visit.received == b"", f"said something to a server {name}"
        else:
            assert visit.received[0] == _CONNECT_KIND
    print(outcomes)
    assert sum(outcomes.values()) == len(order)


def test_a_connection_that_ends_after_any_byte_is_never_taken_for_whole(
    authority: Authority, folder: Path
) -> None:
    context = _context(folder, authority.server())
    whole = max(visit.sent for _, visit, _ in _meet(folder, [(context, _UNCUT)] * 4))
    print(whole, "bytes of a whole connection, each of them the last one once")
    plan = [(context, most) for most in range(whole + 1)] + [(context, _UNCUT)] * 3
    for said, visit, (_, most) in _meet(folder, plan):
        assert (said == "ok") == visit.answered, (most, said, visit)
        if most == _UNCUT:
            assert said == "ok", "it does not come back after bad connections"
