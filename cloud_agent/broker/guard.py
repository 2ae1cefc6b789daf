"""Reads a client's MQTT 3.1.1 packets before aMQTT does, and refuses what aMQTT would let pass.
Pure: bytes in, whole approved packets out.

aMQTT 0.12 takes packets of any size, deletes a session of the same client id before it has checked
the certificate, publishes wills without asking the topic rules, and keeps what is retained. So, in
this order:
1. The first packet is CONNECT, and no other one is.
2. No packet is larger than MAX_PACKET.
3. CONNECT: protocol MQTT level 4, client id = the certificate's name, a clean session, no will, no
   user name or password, keep alive 1 .. MAX_KEEPALIVE_S.
4. PUBLISH: QoS 0 or 1, not retained. Other packets: only those of QoS 0 and 1 that a client sends.
"""

from __future__ import annotations

from cloud_agent.broker.errors import PacketRefusedError
from cloud_agent.broker.rules import MAX_KEEPALIVE_S, MAX_PACKET, Peer

_CONNECT = 1
_PUBLISH = 3
_PUBACK = 4
_SUBSCRIBE = 8
_UNSUBSCRIBE = 10
_PINGREQ = 12
_DISCONNECT = 14
_ALLOWED_LATER = {_PUBLISH, _PUBACK, _SUBSCRIBE, _UNSUBSCRIBE, _PINGREQ, _DISCONNECT}

_RETAIN = 0x01
_QOS_2 = 0x04
_CLEAN_SESSION = 0x02
# "MQTT" with its length, then level 4 (MQTT 3.1.1 section 3.1.2).
_PROTOCOL = b"\x00\x04MQTT\x04"


class Guard:
    """Feeds on the bytes of one connection; `feed` returns the packets that may go on."""

    def __init__(self, peer: Peer) -> None:
        self._peer = peer
        self._pending = bytearray()
        self._connected = False

    def feed(self, data: bytes) -> bytes:
        """Takes what was read, and returns every packet that is now whole and allowed.

        Raises PacketRefusedError; the connection must then be closed.
        """
        self._pending += data
        approved = bytearray()
        while (packet := self._next_packet()) is not None:
            self._check(packet)
            approved += packet
        return bytes(approved)

    def _next_packet(self) -> bytes | None:
        size = self._packet_size()
        if size is None or size > len(self._pending):
            return None
        packet = bytes(self._pending[:size])
        del self._pending[:size]
        return packet

    def _packet_size(self) -> int | None:
        """The size of the next packet, checked as soon as its length is there; None until then."""
        remaining = 0
        for index in range(1, 5):
            if index >= len(self._pending):
                return None
            byte = self._pending[index]
            remaining |= (byte & 0x7F) << (7 * (index - 1))
            if not byte & 0x80:
                size = 1 + index + remaining
                if size > MAX_PACKET:
                    raise PacketRefusedError("packet too large")
                return size
        raise PacketRefusedError("malformed length")

    def _check(self, packet: bytes) -> None:
        kind, flags = packet[0] >> 4, packet[0] & 0x0F
        if not self._connected:
            if kind != _CONNECT:
                raise PacketRefusedError("first packet is no CONNECT")
            self._check_connect(packet)
            self._connected = True
        elif kind not in _ALLOWED_LATER:
            raise PacketRefusedError(f"packet of type {kind} not allowed")
        elif kind == _PUBLISH and flags & (_RETAIN | _QOS_2):
            raise PacketRefusedError("retained message or QoS above 1")

    def _check_connect(self, packet: bytes) -> None:
        body = _body(packet)
        if not body.startswith(_PROTOCOL) or len(body) < 12:
            raise PacketRefusedError("not MQTT 3.1.1")
        flags = body[7]
        if flags != _CLEAN_SESSION:
            raise PacketRefusedError("only a clean session without will, user name and password")
        if not 1 <= int.from_bytes(body[8:10], "big") <= MAX_KEEPALIVE_S:
            raise PacketRefusedError("keep alive out of range")
        name = self._peer.name.encode()
        if body[10:] != len(name).to_bytes(2, "big") + name:
            raise PacketRefusedError("client id is not the certificate's name")


def _body(packet: bytes) -> bytes:
    index = 1
    while packet[index] & 0x80:
        index += 1
    return packet[index + 1 :]
