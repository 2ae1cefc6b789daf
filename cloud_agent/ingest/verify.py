"""Decides whether an uplink message is from whom it says, unchanged and well formed (SPEC 13).
Touches nothing: the topic, the bytes and a way to find a key are its arguments.

Rules, in this order; the first that fails ends it with its reason:
 1. the topic is `tare/1/<16 hex>/up`                                topic
 2. 1 .. 1,024 bytes                                                 size
 3. deterministic CBOR                                               malformed
 4. a COSE_Sign1 envelope, exactly as SPEC 3 narrows it              envelope
 5. the kid is of a device that was enrolled here; one whose
    enrolment is not confirmed yet may only say hello                unknown-key
 6. the device is not revoked                                        revoked
 7. the kid is the device id in the topic                            wrong-topic
 8. the payload is deterministic CBOR, an array, of type 1 .. 5      type
 9. the signature holds, with low s, under the purpose of this type  signature
10. the grammar of the message                                       payload

    outcome = verify(topic, data, devices.get)
    if isinstance(outcome, Refused): ...  # note outcome.reason; no answer is sent
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, encode_dss_signature

from cloud_agent.ingest.errors import MalformedError
from cloud_agent.ingest.strict import strict_decode
from protocol import answer, cbor, cose, envelope, frame, message_types, topics
from protocol.errors import AuthenticityError, CoseError, MessageError

UplinkMessage = frame.Hello | frame.ClaimWindow | frame.Readings | frame.Receipts | frame.Voids

_TAG_SIGN1 = 0xC0 | cose.TAG_SIGN1
_TAGS = (_TAG_SIGN1, 0xC0 | cose.TAG_MAC0)
_PREHASHED = ec.ECDSA(Prehashed(hashes.SHA256()))


class Reason(StrEnum):
    """Why a message is refused. The values are stored and shown."""

    TOPIC = "topic"
    SIZE = "size"
    MALFORMED = "malformed"
    ENVELOPE = "envelope"
    UNKNOWN_KEY = "unknown-key"
    REVOKED = "revoked"
    WRONG_TOPIC = "wrong-topic"
    TYPE = "type"
    SIGNATURE = "signature"
    PAYLOAD = "payload"
    # Not rules of SPEC 13. A fault of ours while a good message was handled:
    INTERNAL = "internal"
    # Records of a good message that were dropped (SPEC 5.2).
    ERASED = "erased"
    CLAIM_ENDED = "claim-ended"
    OUT_OF_RANGE = "out-of-range"
    CONSENT_WITHDRAWN = "consent-withdrawn"


DROPS = {
    answer.DROP_ERASED: Reason.ERASED,
    answer.DROP_CLAIM_ENDED: Reason.CLAIM_ENDED,
    answer.DROP_OUT_OF_RANGE: Reason.OUT_OF_RANGE,
    answer.DROP_CONSENT_WITHDRAWN: Reason.CONSENT_WITHDRAWN,
}


@dataclass(frozen=True, slots=True)
class KnownDevice:
    """What has to be known of a device to verify its messages."""

    id: str
    public_key: ec.EllipticCurvePublicKey
    enrolled: bool
    revoked: bool


@dataclass(frozen=True, slots=True)
class Verified:
    """A message of this device. `signed` is the whole of it, as it arrived."""

    device: str
    message: UplinkMessage
    signed: bytes


@dataclass(frozen=True, slots=True)
class Refused:
    """Why not, and the kid where it could be read (a hint, nothing proven)."""

    reason: Reason
    kid: bytes | None = None


class _RuleError(Exception):
    def __init__(self, reason: Reason) -> None:
        super().__init__(reason)
        self.reason = reason


FindDevice = Callable[[bytes], KnownDevice | None]


def verify(topic: str, data: bytes, find: FindDevice) -> Verified | Refused:
    """Applies the rules; `find` gives the device of a kid, or None."""
    kid: bytes | None = None
    try:
        sender = _sender(topic)
        message = _envelope(data)
        kid = message.kid
        device = _device(message, find)
        if device.id != sender:
            return Refused(Reason.WRONG_TOPIC, kid)
        item, message_type = _payload(message.payload)
        if not device.enrolled and message_type != message_types.HELLO:
            return Refused(Reason.UNKNOWN_KEY, kid)
        _check_signature(message, message_type, device)
        return Verified(device.id, _parse(item), data)
    except _RuleError as error:
        return Refused(error.reason, kid)


def _sender(topic: str) -> str:
    try:
        return topics.sender(topic)
    except MessageError as error:
        raise _RuleError(Reason.TOPIC) from error


def _envelope(data: bytes) -> cose.Message:
    if not 0 < len(data) <= message_types.MAX_SIZE:
        raise _RuleError(Reason.SIZE)
    tagged = data[0] in _TAGS
    item = _decode(data[1:] if tagged else data, Reason.MALFORMED)
    if data[0] != _TAG_SIGN1 or not isinstance(item, list) or len(item) != 4:
        raise _RuleError(Reason.ENVELOPE)
    protected, unprotected, payload, signature = item
    if unprotected != {} or not all(
        isinstance(part, bytes) for part in (protected, payload, signature)
    ):
        raise _RuleError(Reason.ENVELOPE)
    # The only protected header there is: compared as bytes, so nothing else can be in it.
    kid = protected[-cose.KID_SIZE :]
    header: dict[object, object] = {cose.LABEL_ALG: cose.ALG_ESP256, cose.LABEL_KID: kid}
    if protected != cbor.encode(header) or len(kid) != cose.KID_SIZE:
        raise _RuleError(Reason.ENVELOPE)
    if len(signature) != cose.SIGNATURE_SIZE:
        raise _RuleError(Reason.ENVELOPE)
    return cose.Message(protected, header, {}, payload, signature)


def _device(message: cose.Message, find: FindDevice) -> KnownDevice:
    device = find(message.kid) if message.kid is not None else None
    if device is None:
        raise _RuleError(Reason.UNKNOWN_KEY)
    if device.revoked:
        raise _RuleError(Reason.REVOKED)
    return device


def _payload(payload: bytes) -> tuple[object, int]:
    item = _decode(payload, Reason.TYPE)
    try:
        return item, message_types.type_of(item, message_types.UPLINK)
    except MessageError as error:
        raise _RuleError(Reason.TYPE) from error


def _check_signature(message: cose.Message, message_type: int, device: KnownDevice) -> None:
    def holds(digest: bytes, signature: bytes) -> bool:
        return signature_holds(device.public_key, digest, signature)

    try:
        envelope.verify_sign1(message, message_type, topics.kid_of(device.id), holds)
    except (AuthenticityError, CoseError) as error:
        raise _RuleError(Reason.SIGNATURE) from error


def signature_holds(key: ec.EllipticCurvePublicKey, digest: bytes, signature: bytes) -> bool:
    """Whether r || s (64 bytes) is the key's signature over a SHA-256 digest."""
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
    try:
        key.verify(encode_dss_signature(r, s), digest, _PREHASHED)
    except InvalidSignature:
        return False
    return True


def _parse(item: object) -> UplinkMessage:
    try:
        return frame.parse(item)
    except MessageError as error:
        raise _RuleError(Reason.PAYLOAD) from error


def _decode(data: bytes, reason: Reason) -> object:
    try:
        return strict_decode(data)
    except MalformedError as error:
        raise _RuleError(reason) from error
