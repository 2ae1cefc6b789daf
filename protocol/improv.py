"""Improv Serial, version 1 (SPEC 11.4): how a browser or Home Assistant sets the Wi-Fi by cable.

Packets: `IMPROV`, version, type, length, data, checksum, and LF for whoever reads lines. Every
inner length is checked against the outer one. Pure: time is an argument.
"""

from protocol.errors import ImprovError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

# What a packet can be: 1, 2 and 4 are said by a device, 3 by its client.
CURRENT_STATE = 1
ERROR_STATE = 2
RPC = 3
RPC_RESULT = 4

READY = 2
PROVISIONING = 3
PROVISIONED = 4

NO_ERROR = 0
INVALID_RPC = 1
UNKNOWN_RPC = 2
UNABLE_TO_CONNECT = 3
BAD_HOSTNAME = 5
UNKNOWN_ERROR = 0xFF

WIFI_SETTINGS = 1
GET_STATE = 2
DEVICE_INFO = 3
SCAN = 4
HOSTNAME = 5

#: A packet whose sender is silent for longer than this will not be finished (ESPHome's rule).
SILENCE_MS = 100
MAX_DATA = 255
#: A name of a network in IEEE 802.11; a key of WPA is at most 64 hexadecimal digits.
MAX_SSID = 32
MAX_PASSWORD = 64
#: A label of RFC 1123 (section 2.1, RFC 1034 section 3.5).
MAX_HOSTNAME = 63

_BEGIN = b"IMPROV\x01"
_TYPE_AT = 7
_LENGTH_AT = 8
_DATA_AT = 9
# Header, version, type, length and checksum: all but the data.
_AROUND = 10
_LF = 10
_STATES = (READY, PROVISIONING, PROVISIONED)
_ERRORS = (NO_ERROR, INVALID_RPC, UNKNOWN_RPC, UNABLE_TO_CONNECT, BAD_HOSTNAME, UNKNOWN_ERROR)
_HOSTNAME = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-"


class Packet:
    """A packet that came: its type `kind`, and `data`, which its reader has still to check."""

    __slots__ = ("data", "kind")

    def __init__(self, kind: int, data: bytes) -> None:
        self.kind = kind
        self.data = data


def encode(kind: int, data: bytes) -> bytes:
    """Return a packet and the LF after it. Raises `ImprovError` when there is too much data."""
    if len(data) > MAX_DATA:
        raise ImprovError("improv-length")
    packet = _BEGIN + bytes((kind, len(data))) + data
    return packet + bytes((_checksum(packet), _LF))


def state(value: int) -> bytes:
    """Return the packet that says the state, one of `READY`, `PROVISIONING`, `PROVISIONED`."""
    return encode(CURRENT_STATE, bytes((_one_of(value, _STATES, "improv-state"),)))


def error(value: int) -> bytes:
    """Return the packet that says the error, `NO_ERROR` or one of the others."""
    return encode(ERROR_STATE, bytes((_one_of(value, _ERRORS, "improv-error"),)))


def rpc(command: int, payload: bytes = b"") -> bytes:
    """Return the packet of a client that asks for something."""
    return encode(RPC, bytes((command, _length(payload))) + payload)


def wifi_settings(ssid: bytes, password: bytes) -> bytes:
    """Return the packet of a client that sets name and password of a network."""
    _checked_wifi(ssid, password)
    return rpc(WIFI_SETTINGS, _strings((ssid, password)))


def result(command: int, strings: "Sequence[bytes]") -> bytes:
    """Return the packet that answers an RPC with strings in UTF-8, none among them allowed."""
    payload = _strings(strings)
    return encode(RPC_RESULT, bytes((command, _length(payload))) + payload)


def parse_state(packet: Packet) -> int:
    """Return the state that a packet says; `ImprovError` when it says none."""
    return _parse_value(packet, CURRENT_STATE, _STATES, "improv-state")


def parse_error(packet: Packet) -> int:
    """Return the error that a packet says; `ImprovError` when it says none."""
    return _parse_value(packet, ERROR_STATE, _ERRORS, "improv-error")


def parse_rpc(packet: Packet) -> tuple[int, bytes]:
    """Return command and payload of an RPC; `ImprovError` when its lengths do not agree."""
    return _parse_command(packet, RPC)


def parse_wifi_settings(payload: bytes) -> tuple[bytes, bytes]:
    """Return name and password from the payload of an RPC; `ImprovError` for anything but two."""
    strings = _parse_strings(payload)
    if len(strings) != 2:
        raise ImprovError("improv-wifi")
    return _checked_wifi(strings[0], strings[1])


def parse_hostname(payload: bytes) -> str:
    """Return a hostname from the payload of an RPC; `ImprovError` unless RFC 1123 allows it.

    One label: letters, digits and hyphens, none of these first or last, at most `MAX_HOSTNAME`.
    """
    name = "".join([chr(byte) for byte in payload])
    if not 0 < len(name) <= MAX_HOSTNAME or any(each not in _HOSTNAME for each in name):
        raise ImprovError("improv-hostname")
    if name[0] == "-" or name[-1] == "-":
        raise ImprovError("improv-hostname")
    return name


def parse_result(packet: Packet) -> tuple[int, list[bytes]]:
    """Return command and strings of an answer; `ImprovError` when its lengths do not agree."""
    command, payload = _parse_command(packet, RPC_RESULT)
    return command, _parse_strings(payload)


class Decoder:
    """Finds the packets in a stream of bytes that belong to others, too.

    It holds what may become a packet, never more than one. `damaged` counts packets that were
    whole but for their checksum.
    """

    def __init__(self) -> None:
        self.damaged = 0
        self._held = bytearray()
        # So many of the bytes held are of a damaged packet: nobody else's, whatever they spell.
        self._dark = 0
        self._heard_ms = 0
        self._ended = False

    def feed(self, data: bytes, now_ms: int) -> "list[Packet | bytes]":
        """Take bytes that came at `now_ms` (monotonic); return packets and others' bytes in order.

        The LF behind a packet is part of it. Bytes that only began like a packet are given back;
        of a packet that was damaged, or broken off by silence, nothing is, save packets inside a
        damaged one.
        """
        found: list[Packet | bytes] = []
        if self._held and now_ms - self._heard_ms > SILENCE_MS:
            self._give_up(found)
        self._heard_ms = now_ms
        for byte in data:
            self._held.append(byte)
            while self._held and self._advance(found):
                pass
        return found

    def _advance(self, found: "list[Packet | bytes]") -> bool:
        """Do one step with what is held; False when it takes more bytes to tell."""
        held = self._held
        size = len(held)
        if self._ended and not self._dark:
            self._ended = False
            if held[0] == _LF:
                self._held = held[1:]
                return True
        if any(held[at] != _BEGIN[at] for at in range(min(size, _TYPE_AT))):
            self._skip(found)
            return True
        if size > _TYPE_AT and not CURRENT_STATE <= held[_TYPE_AT] <= RPC_RESULT:
            self._dark = max(self._dark, _LENGTH_AT)
            self._skip(found)
            return True
        if size <= _LENGTH_AT or size < _AROUND + held[_LENGTH_AT]:
            return False
        # More is held than this packet when it was found inside a damaged one.
        end = _AROUND + held[_LENGTH_AT]
        self._ended = True
        if held[end - 1] == _checksum(held[: end - 1]):
            found.append(Packet(held[_TYPE_AT], bytes(held[_DATA_AT : end - 1])))
            self._held = held[end:]
            self._dark = max(0, self._dark - end)
        else:
            self.damaged += 1
            self._dark = max(self._dark, end)
            self._skip(found)
        return True

    def _skip(self, found: "list[Packet | bytes]") -> None:
        """Let go of what is before the next byte with which a packet may begin."""
        held = self._held
        at = 1
        while at < len(held) and held[at] != _BEGIN[0]:
            at += 1
        _give_back(found, held[self._dark : at])
        self._dark = max(0, self._dark - at)
        self._held = held[at:]

    def _give_up(self, found: "list[Packet | bytes]") -> None:
        if len(self._held) < len(_BEGIN):
            _give_back(found, self._held[self._dark :])
        self._held = bytearray()
        self._dark = 0


def _give_back(found: "list[Packet | bytes]", data: bytearray) -> None:
    if not data:
        return
    if found and isinstance(found[-1], bytes):
        found[-1] += bytes(data)
    else:
        found.append(bytes(data))


def _checksum(data: bytes | bytearray) -> int:
    """All bytes before it, the header among them, modulo 256."""
    return sum(data) & 0xFF


def _one_of(value: int, known: tuple[int, ...], reason: str) -> int:
    if value not in known:
        raise ImprovError(reason)
    return value


def _length(payload: bytes) -> int:
    # Command and length precede it, and all together is the data of a packet.
    if len(payload) > MAX_DATA - 2:
        raise ImprovError("improv-length")
    return len(payload)


def _strings(strings: "Sequence[bytes]") -> bytes:
    payload = b""
    for each in strings:
        payload += bytes((_length(each),)) + each
    return payload


def _parse_value(packet: Packet, kind: int, known: tuple[int, ...], reason: str) -> int:
    if packet.kind != kind or len(packet.data) != 1:
        raise ImprovError(reason)
    return _one_of(packet.data[0], known, reason)


def _parse_command(packet: Packet, kind: int) -> tuple[int, bytes]:
    if packet.kind != kind:
        raise ImprovError("improv-type")
    data = packet.data
    if len(data) < 2 or data[1] != len(data) - 2:
        raise ImprovError("improv-length")
    return data[0], data[2:]


def _parse_strings(payload: bytes) -> list[bytes]:
    strings: list[bytes] = []
    at = 0
    while at < len(payload):
        end = at + 1 + payload[at]
        if end > len(payload):
            raise ImprovError("improv-length")
        strings.append(payload[at + 1 : end])
        at = end
    return strings


def _checked_wifi(ssid: bytes, password: bytes) -> tuple[bytes, bytes]:
    if not 0 < len(ssid) <= MAX_SSID or len(password) > MAX_PASSWORD:
        raise ImprovError("improv-wifi")
    return ssid, password
