"""Ports of this machine: whether something listens, and a listener that only takes notes."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

from cloud_agent.devices.pki import TlsFiles

_HOST = "127.0.0.1"
_WAIT_S = 10


def accepts(port: int) -> bool:
    """Whether something accepts connections on this port."""
    try:
        socket.create_connection((_HOST, port), timeout=1).close()
    except OSError:
        return False
    return True


@dataclass
class Notes:
    """What a listener saw: how many connections came, and what was said inside TLS."""

    connections: int = 0
    refused_by_peer: int = 0
    received: bytearray = field(default_factory=bytearray)


@contextlib.contextmanager
def listener(port: int, tls: TlsFiles) -> Iterator[Notes]:
    """A TLS server in the broker's place that answers nothing and notes every byte."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tls.certificate, tls.key)
    context.load_verify_locations(tls.ca)
    # It takes any client: a device that sends to it must be seen, whoever issued its certificate.
    context.verify_mode = ssl.CERT_NONE
    notes = Notes()
    over = threading.Event()
    with socket.create_server((_HOST, port)) as server:
        server.settimeout(0.1)
        thread = threading.Thread(target=_serve, args=(server, context, notes, over))
        thread.start()
        try:
            yield notes
        finally:
            over.set()
            thread.join()


def _serve(
    server: socket.socket, context: ssl.SSLContext, notes: Notes, over: threading.Event
) -> None:
    while not over.is_set():
        try:
            plain, _ = server.accept()
        except TimeoutError:
            continue
        notes.connections += 1
        with plain:
            plain.settimeout(_WAIT_S)
            try:
                _note(context, plain, notes, over)
            except ssl.SSLError:
                notes.refused_by_peer += 1
            except OSError:
                continue


def _note(
    context: ssl.SSLContext, plain: socket.socket, notes: Notes, over: threading.Event
) -> None:
    with context.wrap_socket(plain, server_side=True) as secure:
        secure.settimeout(0.1)
        while not over.is_set():
            try:
                data = secure.recv(4096)
            except TimeoutError:
                continue
            if not data:
                return
            notes.received += data
