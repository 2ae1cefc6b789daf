"""MQTT 3.1.1 packets, as few as a device needs: bytes to packets and back. Pure.

Sent: CONNECT, PUBLISH with QoS 1, SUBSCRIBE with QoS 0, PINGREQ, DISCONNECT. Taken: CONNACK,
PUBLISH with QoS 0, PUBACK, SUBACK, PINGRESP. Whatever else a broker sends is a `LinkError`.
"""

import struct

from tare.errors import LinkError

CONNACK = 2
PUBLISH = 3
PUBACK = 4
SUBACK = 9
PINGRESP = 13

PINGREQ = b"\xc0\x00"
DISCONNECT = b"\xe0\x00"
#: The largest rest of a packet that is taken: a downlink of 1,024 bytes, its topic, and change.
MAX_REMAINING = 1200

_REFUSALS = (
    "",
    "protocol version",
    "client id",
    "server unavailable",
    "user name or password",
    "not authorised",
)
_CLEAN_SESSION = 2


class Packet:
    """A packet from the broker: `kind`, and what that kind has."""

    __slots__ = ("identifier", "kind", "payload", "retained", "topic")

    def __init__(self, kind: int) -> None:
        self.kind = kind
        self.identifier = 0
        self.topic = ""
        self.payload = b""
        self.retained = False


def connect(client_id: str, keepalive_s: int) -> bytes:
    """Begin a clean session without will, user name or password: the certificate says who."""
    body = b"\x00\x04MQTT\x04" + struct.pack(">BH", _CLEAN_SESSION, keepalive_s)
    return _packet(0x10, body + _text(client_id))


def publish(topic: str, payload: bytes, identifier: int, *, again: bool) -> bytes:
    """A message with QoS 1, never retained; `again` sets DUP."""
    first = 0x3A if again else 0x32
    return _packet(first, _text(topic) + struct.pack(">H", identifier) + payload)


def subscribe(topic: str, identifier: int) -> bytes:
    """Ask for a topic with QoS 0."""
    return _packet(0x82, struct.pack(">H", identifier) + _text(topic) + b"\x00")


def parse(first: int, body: bytes) -> Packet:
    """Return the packet of a first byte and all that follows the length."""
    kind, flags = first >> 4, first & 15
    if kind == PUBLISH:
        return _parse_publish(flags, body)
    sizes = {CONNACK: 2, PUBACK: 2, SUBACK: 3, PINGRESP: 0}
    if flags or sizes.get(kind) != len(body):
        raise LinkError("packet not allowed")
    packet = Packet(kind)
    if kind == CONNACK:
        _check_connack(body)
    elif kind in {PUBACK, SUBACK}:
        packet.identifier = struct.unpack(">H", body[:2])[0]
        if kind == SUBACK and body[2] != 0:
            raise LinkError("subscription refused")
    return packet


class Length:
    """The length of a packet, fed byte by byte; `value` is None until it is complete."""

    def __init__(self) -> None:
        self.value: int | None = None
        self._partial = 0
        self._shift = 0

    def feed(self, byte: int) -> None:
        """Take the next byte; `LinkError` as soon as the packet is too long or the form wrong."""
        if self._shift > 21 or (byte == 0 and self._shift):
            raise LinkError("packet length malformed")
        self._partial |= (byte & 0x7F) << self._shift
        self._shift += 7
        if self._partial > MAX_REMAINING:
            raise LinkError("packet too long")
        if not byte & 0x80:
            self.value = self._partial


def _check_connack(body: bytes) -> None:
    if body[1]:
        reason = _REFUSALS[body[1]] if body[1] < len(_REFUSALS) else "unknown reason"
        raise LinkError("connection refused: " + reason)
    if body[0]:
        raise LinkError("a session that should not be there")


def _parse_publish(flags: int, body: bytes) -> Packet:
    if flags & 0x0E:
        raise LinkError("message with a quality of service that was not asked for")
    if len(body) < 2:
        raise LinkError("message without topic")
    size = struct.unpack(">H", body[:2])[0]
    if len(body) < 2 + size:
        raise LinkError("message without topic")
    packet = Packet(PUBLISH)
    try:
        packet.topic = str(body[2 : 2 + size], "utf-8")
    except UnicodeError:
        raise LinkError("topic is not text")
    packet.payload = body[2 + size :]
    packet.retained = bool(flags & 1)
    return packet


def _packet(first: int, body: bytes) -> bytes:
    head = bytes((first,))
    rest = len(body)
    while True:
        byte, rest = rest & 0x7F, rest >> 7
        head += bytes((byte | 0x80 if rest else byte,))
        if not rest:
            return head + body


def _text(text: str) -> bytes:
    raw = text.encode()
    return struct.pack(">H", len(raw)) + raw
