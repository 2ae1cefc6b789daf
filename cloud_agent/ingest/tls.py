"""How the agent's side of TLS is set up (SPEC 7, 9.4), and two things that paho leaves undone."""

from __future__ import annotations

import socket
import ssl
from typing import Any

from cloud_agent.broker.rules import SERVER_NAME
from cloud_agent.devices.pki import TlsFiles


class NamedContext(ssl.SSLContext):
    """Verifies the one server name of SPEC 9.4, whatever address is connected to.

    Keeps the last socket, because paho leaves it open when the handshake fails.
    """

    last: ssl.SSLSocket | None = None

    # Its many options are handed on.
    def wrap_socket(self, sock: socket.socket, **options: Any) -> ssl.SSLSocket:  # type: ignore[override]
        """As paho calls it, which would verify the address instead."""
        options["server_hostname"] = SERVER_NAME
        self.last = super().wrap_socket(sock, **options)
        return self.last


def client_context(tls: TlsFiles) -> NamedContext:
    """TLS as the agent speaks it to its broker: both sides have certificates of one authority."""
    context = NamedContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_verify_locations(tls.ca)
    context.load_cert_chain(tls.certificate, tls.key)
    return context


def no_delay(_client: Any, _userdata: Any, sock: Any) -> None:
    """For paho, which leaves it off: an answer should not wait for the next one."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
