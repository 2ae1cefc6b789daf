"""The doors of both implementations, one for each kind of receiver: bytes in, or refused.

`FIRST` puts `protocol` together as its README says, with OpenSSL behind it as in the cloud;
`SECOND` is `second`. All are the doors of (or for) DEVICE, and raise what their side raises.
"""

from collections.abc import Callable
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils

from protocol import answer, cbor, command, cose, enrolment, envelope, frame, message_types, topics
from protocol.errors import CoseError
from protocol.tests import second
from protocol.tests.traffic import (
    ANSWER,
    CLOUD,
    COMMAND,
    DEVICE,
    ENROL_ANSWER,
    ENROL_REQUEST,
    GENERATION,
    MAC_KEYS,
    OTHER,
    UPLINK,
)

MAC_KEY = MAC_KEYS[DEVICE.kid]
_TOPIC = f"tare/1/{DEVICE.kid.hex()}/up"
_PREHASHED = ec.ECDSA(utils.Prehashed(hashes.SHA256()))
_KNOWN = {party.kid: second.Known(party.public) for party in (DEVICE, OTHER)}
_KEYS = {party.kid: party for party in (DEVICE, OTHER)}


def _holds(key: ec.EllipticCurvePublicKey) -> Callable[[bytes, bytes], bool]:
    """Verify as the cloud does: with OpenSSL, behind our envelope."""

    def holds(digest: bytes, seal: bytes) -> bool:
        r, s = int.from_bytes(seal[:32], "big"), int.from_bytes(seal[32:], "big")
        try:
            key.verify(utils.encode_dss_signature(r, s), digest, _PREHASHED)
        except InvalidSignature:
            return False
        return True

    return holds


# The readers of `protocol`, put together as its README says


def _uplink(data: bytes) -> Any:
    message = envelope.parse_sign1(data)
    party = _KEYS.get(message.kid or b"")
    if party is None or topics.device_id(party.kid) != topics.sender(_TOPIC):
        raise CoseError("unknown-key")
    item = cbor.decode(message.payload)
    number = message_types.type_of(item, message_types.UPLINK)
    envelope.verify_sign1(message, number, party.kid, _holds(party.public))
    return frame.parse(item)


def _answer(data: bytes) -> Any:
    return _open_mac0(data, message_types.ANSWERS, message_types.MAX_SIZE, answer.parse)


def _enrol_answer(data: bytes) -> Any:
    most = message_types.MAX_ENROLMENT_SIZE
    return _open_mac0(data, (message_types.ENROL_ANSWER,), most, enrolment.Answer.parse)


def _open_mac0(
    data: bytes, types: tuple[int, ...], most: int, parse: Callable[[object], Any]
) -> Any:
    message = envelope.parse_mac0(data, most)
    if envelope.generation_of(message) != GENERATION:
        raise CoseError("generation")
    item = cbor.decode(message.payload)
    number = message_types.type_of(item, types)
    envelope.verify_mac0(message, number, DEVICE.kid, MAC_KEY)
    return parse(item)


def _command(data: bytes) -> Any:
    message = envelope.parse_sign1(data)
    if message.kid != CLOUD.kid:
        raise CoseError("unknown-key")
    envelope.verify_sign1(message, message_types.COMMAND, DEVICE.kid, _holds(CLOUD.public))
    return command.Command.parse(message.payload)


def _enrol_request(data: bytes) -> Any:
    message = envelope.parse_sign1(data, message_types.MAX_ENROLMENT_SIZE)
    request = enrolment.Request.parse(message.payload)
    kid = cose.key_id(request.identity_key)
    if message.kid != kid:
        raise CoseError("unknown-key")
    holds = _holds(second.point(request.identity_key))
    envelope.verify_sign1(message, message_types.ENROL_REQUEST, kid, holds)
    return request


FIRST: dict[str, Callable[[bytes], Any]] = {
    UPLINK: _uplink,
    ANSWER: _answer,
    COMMAND: _command,
    ENROL_REQUEST: _enrol_request,
    ENROL_ANSWER: _enrol_answer,
}
SECOND: dict[str, Callable[[bytes], list[Any]]] = {
    UPLINK: lambda data: second.read_uplink(_TOPIC, data, _KNOWN),
    ANSWER: lambda data: second.read_answer(data, DEVICE.kid, MAC_KEY, GENERATION),
    COMMAND: lambda data: second.read_command(data, DEVICE.kid, CLOUD.public),
    ENROL_REQUEST: second.read_enrol_request,
    ENROL_ANSWER: lambda data: second.read_enrol_answer(data, DEVICE.kid, MAC_KEY),
}
