"""A small blocking MQTT client for tests, made by hand so that it can also send what no decent
client would. Speaks to 127.0.0.1 only; every wait has an end.
"""

from __future__ import annotations

import socket
import ssl
import time
from dataclasses import dataclass, field

from cloud_agent.broker.rules import SERVER_NAME
from cloud_agent.devices.pki import TlsFiles

WAIT_S = 10.0


def text(value: str | bytes) -> bytes:
    raw = value.encode() if isinstance(value, str) else value
    return len(raw).to_bytes(2, "big") + raw


def packet(first: int, body: bytes) -> bytes:
    size, head = len(body), bytearray([first])
    while True:
        size, digit = size >> 7, size & 0x7F
        head.append(digit | (0x80 if size else 0))
        if not size:
            return bytes(head) + body


def connect_packet(
    client_id: str, *, flags: int = 2, keepalive_s: int = 60, rest: bytes = b""
) -> bytes:
    head = b"\x00\x04MQTT\x04" + bytes([flags]) + keepalive_s.to_bytes(2, "big")
    return packet(0x10, head + text(client_id) + rest)


def publish_packet(
    topic: str, payload: bytes, *, qos: int = 0, mid: int = 1, retain: bool = False
) -> bytes:
    number = mid.to_bytes(2, "big") if qos else b""
    return packet(0x30 | qos << 1 | int(retain), text(topic) + number + payload)


@dataclass(frozen=True)
class Message:
    topic: str
    payload: bytes
    qos: int
    retained: bool


class Closed(Exception):  # noqa: N818 - a state, not an error
    """The broker closed the connection."""


@dataclass
class Wire:
    """One connection. Messages that arrive while something else is awaited are kept."""

    sock: ssl.SSLSocket
    pending: bytearray = field(default_factory=bytearray)
    messages: list[Message] = field(default_factory=list)

    def send(self, data: bytes) -> None:
        try:
            self.sock.sendall(data)
        except OSError as error:
            raise Closed from error

    def close(self) -> None:
        self.sock.close()

    def receive(self, wait_s: float = WAIT_S) -> tuple[int, bytes] | None:
        """The next packet as (first byte, body); None when there is none in time."""
        deadline = time.monotonic() + wait_s
        while (found := self._cut()) is None:
            self.sock.settimeout(max(0.001, deadline - time.monotonic()))
            try:
                data = self.sock.recv(65536)
            except TimeoutError:
                return None
            except OSError as error:
                raise Closed from error
            if not data:
                raise Closed
            self.pending += data
        return found

    def expect(self, kind: int, wait_s: float = WAIT_S) -> bytes:
        """The body of the next packet of this kind (the upper four bits)."""
        deadline = time.monotonic() + wait_s
        while True:
            found = self.receive(max(0.001, deadline - time.monotonic()))
            if found is None:
                raise TimeoutError(f"no packet of type {kind} in {wait_s} s")
            first, body = found
            if first >> 4 == kind:
                return body
            if first >> 4 == 3:
                self._keep(first, body)

    def subscribe(self, topic_filter: str, *, qos: int = 0) -> int:
        """Returns the granted QoS, or 0x80."""
        self.send(packet(0x82, b"\x00\x07" + text(topic_filter) + bytes([qos])))
        return self.expect(9)[2]

    def publish(self, topic: str, payload: bytes, *, qos: int = 1, mid: int = 1) -> None:
        """Publishes; at QoS 1 returns when the broker has acknowledged."""
        self.send(publish_packet(topic, payload, qos=qos, mid=mid))
        if qos:
            self.expect(4)

    def message(self, wait_s: float = WAIT_S) -> Message | None:
        """The next message; None when there is none in time."""
        deadline = time.monotonic() + wait_s
        while not self.messages:
            found = self.receive(max(0.001, deadline - time.monotonic()))
            if found is None:
                return None
            if found[0] >> 4 == 3:
                self._keep(*found)
        return self.messages.pop(0)

    def is_closed(self, wait_s: float = WAIT_S) -> bool:
        """Whether the broker closes the connection in time."""
        deadline = time.monotonic() + wait_s
        try:
            while time.monotonic() < deadline:
                self.receive(0.1)
        except Closed:
            return True
        return False

    def _cut(self) -> tuple[int, bytes] | None:
        size = 0
        for index in range(1, 5):
            if index >= len(self.pending):
                return None
            size |= (self.pending[index] & 0x7F) << (7 * (index - 1))
            if not self.pending[index] & 0x80:
                end = 1 + index + size
                if end > len(self.pending):
                    return None
                found = self.pending[0], bytes(self.pending[1 + index : end])
                del self.pending[:end]
                return found
        raise ValueError("malformed length from the broker")

    def _keep(self, first: int, body: bytes) -> None:
        qos, end = first >> 1 & 3, 2 + int.from_bytes(body[:2], "big")
        topic, rest = body[2:end].decode(), body[end:]
        if qos:
            self.send(packet(0x40, rest[:2]))
            rest = rest[2:]
        self.messages.append(Message(topic, rest, qos, bool(first & 1)))


def open_tls(port: int, tls: TlsFiles, *, with_certificate: bool = True) -> Wire:
    """A TLS connection that verifies the broker as a device does."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(tls.ca)
    if with_certificate:
        context.load_cert_chain(tls.certificate, tls.key)
    plain = socket.create_connection(("127.0.0.1", port), timeout=WAIT_S)
    try:
        return Wire(context.wrap_socket(plain, server_hostname=SERVER_NAME))
    except BaseException:
        plain.close()
        raise


def connect(port: int, tls: TlsFiles, client_id: str) -> Wire:
    """A connected client. Raises Closed when the broker refuses it."""
    wire = open_tls(port, tls)
    try:
        wire.send(connect_packet(client_id))
        if wire.expect(2)[1] != 0:
            raise Closed  # noqa: TRY301 - closes below as every other failure does
    except BaseException:
        wire.close()
        raise
    return wire
