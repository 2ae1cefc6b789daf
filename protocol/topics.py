"""Topics and device ids (SPEC 2.1, 7): `up`, `down`, `device_id`, `kid_of`, `sender`. Pure."""

from protocol.errors import MessageError

_PREFIX = "tare/1/"
_UP = "/up"
_DOWN = "/down"
_ID_SIZE = 16
#: What a cloud agent subscribes to.
ALL_UP = _PREFIX + "+" + _UP


def device_id(kid: bytes) -> str:
    """Return the device id of an identity key's kid (8 bytes)."""
    if len(kid) != _ID_SIZE // 2:
        raise MessageError("kid-size")
    return kid.hex()


def kid_of(device: str) -> bytes:
    """Return the kid of a device id; `MessageError` unless it is 16 lower-case hex digits."""
    # Not bytes.fromhex alone: it takes capitals and blanks as well.
    if len(device) != _ID_SIZE or any(digit not in "0123456789abcdef" for digit in device):
        raise MessageError("device-id")
    return bytes.fromhex(device)


def up(device: str) -> str:
    """Return the topic that this device publishes to."""
    kid_of(device)
    return _PREFIX + device + _UP


def down(device: str) -> str:
    """Return the topic that this device subscribes to."""
    kid_of(device)
    return _PREFIX + device + _DOWN


def sender(topic: str) -> str:
    """Return the device id of an uplink topic; `MessageError("topic")` for any other topic."""
    device = topic[len(_PREFIX) : len(_PREFIX) + _ID_SIZE]
    try:
        if up(device) == topic:
            return device
    except MessageError:
        pass
    raise MessageError("topic")
