"""A second implementation of SPEC.md, written from that page alone with cbor2 and cryptography.

It shares no code with `protocol`, on purpose and by a test: where the two differ on a message, one
of them is wrong or the page is not clear. It says why it refuses in the words of SPEC 13.
"""

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import cbor2
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from protocol.tests import second_grammar
from protocol.tests.second_grammar import GrammarError

N = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
PURPOSES = {
    1: "tare/1/hello",
    2: "tare/1/claim-window",
    3: "tare/1/readings",
    4: "tare/1/receipts",
    5: "tare/1/voids",
    16: "tare/1/welcome",
    17: "tare/1/ack",
    32: "tare/1/command",
    48: "tare/1/enrol-request",
    49: "tare/1/enrol-answer",
}
SIGNED, MACED = 18, 17
_DEPTH = 8
_SHA256 = hashes.SHA256()
_SIGNING = ec.ECDSA(_SHA256, deterministic_signing=True)
_VERIFYING = ec.ECDSA(_SHA256)


class RefusedError(Exception):
    """`args[0]` is a reason of SPEC 13."""


# Encoding (SPEC 1)


def encode(item: Any) -> bytes:
    """Deterministic CBOR. cbor2 writes scalars in shortest form; map order it knows as of 2013."""
    if isinstance(item, list):
        return _head(4, len(item)) + b"".join(map(encode, item))
    if isinstance(item, dict):
        pairs = sorted((encode(key), encode(value)) for key, value in item.items())
        return _head(5, len(item)) + b"".join(key + value for key, value in pairs)
    return cbor2.dumps(item)


def _head(major: int, count: int) -> bytes:
    """An array or a map has the head of an integer, with another major type."""
    number = cbor2.dumps(count)
    return bytes((number[0] | major << 5,)) + number[1:]


def decode(data: bytes, reason: str = "malformed") -> Any:
    """The one item that `data` is; refused with `reason` unless it is deterministic (SPEC 1.2)."""
    try:
        item = cbor2.loads(
            data, max_depth=_DEPTH, allow_indefinite=False, allow_duplicate_keys=False
        )
        # Before it is written again: what is no plain item could come out the same.
        if _is_plain(item) and encode(item) == data:
            return item
    except (cbor2.CBORError, ValueError, TypeError, OverflowError):
        pass
    raise RefusedError(reason)


def _is_plain(item: Any) -> bool:
    if isinstance(item, list):
        return all(map(_is_plain, item))
    if isinstance(item, dict):
        keys = all(type(key) in {int, str, bytes} and _is_plain(key) for key in item)
        return keys and all(map(_is_plain, item.values()))
    if type(item) is int:
        return -(2**64) <= item < 2**64
    return item is None or type(item) in {bool, bytes, str}


# Keys and seals (SPEC 2, 3)


def raw_key(key: ec.EllipticCurvePublicKey) -> bytes:
    """A public key as SPEC 1.4 wants it."""
    numbers = key.public_numbers()
    return numbers.x.to_bytes(32, "big") + numbers.y.to_bytes(32, "big")


def point(raw: bytes) -> ec.EllipticCurvePublicKey:
    """The key of 64 bytes; ValueError when it is not on the curve."""
    return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), b"\x04" + raw)


def kid_of(raw: bytes) -> bytes:
    """SPEC 2.1: the thumbprint's first 8 bytes."""
    return hashlib.sha256(encode({1: 2, -1: 1, -2: raw[:32], -3: raw[32:]})).digest()[:8]


def structure(
    context: str, protected: bytes, message_type: int, device: bytes, load: bytes
) -> bytes:
    """What a seal covers (RFC 9052 sections 4.4 and 6.3) with the external data of SPEC 3.4."""
    return encode([context, protected, encode([PURPOSES[message_type], device]), load])


def signed_header(kid: bytes) -> bytes:
    """SPEC 3.2."""
    return encode({1: -9, 4: kid})


def mac_header(generation: int) -> bytes:
    """SPEC 3.3."""
    return encode({1: 5, 4: generation.to_bytes(2, "big")})


def sign(key: ec.EllipticCurvePrivateKey, data: bytes) -> bytes:
    """64 bytes, r then s, low s (SPEC 3.5); the nonce is RFC 6979's without extra."""
    r, s = utils.decode_dss_signature(key.sign(data, _SIGNING))
    return r.to_bytes(32, "big") + min(s, N - s).to_bytes(32, "big")


def seal_signed(
    item: list[Any], device: bytes, key: ec.EllipticCurvePrivateKey, kid: bytes
) -> bytes:
    """A COSE_Sign1 around a payload for or from `device`."""
    header, load = signed_header(kid), encode(item)
    seal = sign(key, structure("Signature1", header, item[0], device, load))
    return b"\xd2" + encode([header, {}, load, seal])


def seal_maced(item: list[Any], device: bytes, key: bytes, generation: int) -> bytes:
    """A COSE_Mac0 around an answer for `device`."""
    header, load = mac_header(generation), encode(item)
    covered = structure("MAC0", header, item[0], device, load)
    return b"\xd1" + encode([header, {}, load, hmac.digest(key, covered, "sha256")])


def mac_key(shared_x: bytes, challenge: bytes, device: bytes, generation: int) -> bytes:
    """SPEC 10.2."""
    info = encode(["tare/1/mac-key", device, generation])
    return HKDF(_SHA256, 32, challenge, info).derive(shared_x)


# Reading


@dataclass(frozen=True)
class Envelope:
    """The four parts, nothing proven; `kid` is the device's, the key's, or the generation's."""

    header: bytes
    kid: bytes
    load: bytes
    seal: bytes


def open_envelope(data: bytes, tag: int, most: int = 1024) -> Envelope:
    """SPEC 13, rules 2 to 4, for either kind of envelope."""
    if not 0 < len(data) <= most:
        raise RefusedError("size")
    tagged = data[0] in {0xC0 | SIGNED, 0xC0 | MACED}
    parts = decode(data[1:] if tagged else data)
    kid_size, seal_size = (8, 64) if tag == SIGNED else (2, 32)
    if data[0] != 0xC0 | tag or not isinstance(parts, list) or len(parts) != 4:
        raise RefusedError("envelope")
    header, unprotected, load, seal = parts
    if unprotected != {} or not all(type(part) is bytes for part in (header, load, seal)):
        raise RefusedError("envelope")
    kid = header[-kid_size:]
    expected = signed_header(kid) if tag == SIGNED else encode({1: 5, 4: kid})
    if header != expected or len(seal) != seal_size or kid == b"\x00\x00":
        raise RefusedError("envelope")
    return Envelope(header, kid, load, seal)


def check_signature(
    envelope: Envelope, message_type: int, device: bytes, key: ec.EllipticCurvePublicKey
) -> None:
    """SPEC 3.5 and rule 9."""
    r, s = int.from_bytes(envelope.seal[:32], "big"), int.from_bytes(envelope.seal[32:], "big")
    covered = structure("Signature1", envelope.header, message_type, device, envelope.load)
    if not (0 < r < N and 0 < s <= N // 2):
        raise RefusedError("signature")
    try:
        key.verify(utils.encode_dss_signature(r, s), covered, _VERIFYING)
    except InvalidSignature as error:
        raise RefusedError("signature") from error


@dataclass(frozen=True)
class Known:
    """What the cloud has of a device (SPEC 13, rules 5 to 7)."""

    key: ec.EllipticCurvePublicKey
    confirmed: bool = True
    revoked: bool = False


def read_uplink(topic: str, data: bytes, devices: Mapping[bytes, Known]) -> list[Any]:
    """The payload of an uplink message that passes all rules of SPEC 13, in their order."""
    words = topic.split("/")
    if len(words) != 4 or words[:2] != ["tare", "1"] or words[3] != "up" or not _is_id(words[2]):
        raise RefusedError("topic")
    envelope = open_envelope(data, SIGNED)
    device = devices.get(envelope.kid)
    if device is None:
        raise RefusedError("unknown-key")
    if device.revoked:
        raise RefusedError("revoked")
    if envelope.kid.hex() != words[2]:
        raise RefusedError("wrong-topic")
    item = decode(envelope.load, "type")
    number = _type_of(item, (1, 2, 3, 4, 5))
    if number != 1 and not device.confirmed:
        raise RefusedError("unknown-key")
    check_signature(envelope, number, envelope.kid, device.key)
    return _checked(item)


def read_answer(data: bytes, device: bytes, key: bytes, generation: int) -> list[Any]:
    """The payload of a welcome or ack for `device`."""
    envelope = open_envelope(data, MACED)
    if envelope.header != mac_header(generation):
        raise RefusedError("unknown-key")
    item = decode(envelope.load, "type")
    return _maced(envelope, item, _type_of(item, (16, 17)), device, key)


def read_command(data: bytes, device: bytes, key: ec.EllipticCurvePublicKey) -> list[Any]:
    """The payload of a command for `device` under the command key."""
    envelope = open_envelope(data, SIGNED)
    if envelope.kid != kid_of(raw_key(key)):
        raise RefusedError("unknown-key")
    check_signature(envelope, 32, device, key)
    item = decode(envelope.load, "type")
    _type_of(item, (32,))
    return _checked(item)


def read_enrol_request(data: bytes) -> list[Any]:
    """The payload of an enrolment request, proven by the key inside it."""
    envelope = open_envelope(data, SIGNED, 4096)
    item = decode(envelope.load, "type")
    _type_of(item, (48,))
    _checked(item)
    if envelope.kid != kid_of(item[2]):
        raise RefusedError("unknown-key")
    check_signature(envelope, 48, envelope.kid, point(item[2]))
    return list(item)


def read_enrol_answer(data: bytes, device: bytes, key: bytes) -> list[Any]:
    """The payload of an enrolment answer under the first MAC key."""
    envelope = open_envelope(data, MACED, 4096)
    if envelope.header != mac_header(1):
        raise RefusedError("unknown-key")
    item = decode(envelope.load, "type")
    return _maced(envelope, item, _type_of(item, (49,)), device, key)


def _maced(envelope: Envelope, item: Any, number: int, device: bytes, key: bytes) -> list[Any]:
    covered = structure("MAC0", envelope.header, number, device, envelope.load)
    if not hmac.compare_digest(hmac.digest(key, covered, "sha256"), envelope.seal):
        raise RefusedError("signature")
    return _checked(item)


def _type_of(item: Any, allowed: tuple[int, ...]) -> int:
    if isinstance(item, list) and item and type(item[0]) is int and item[0] in allowed:
        return item[0]
    raise RefusedError("type")


def _checked(item: Any) -> list[Any]:
    try:
        second_grammar.check(item, _is_point)
    except GrammarError as error:
        raise RefusedError("payload") from error
    return list(item)


def _is_point(raw: bytes) -> bool:
    try:
        point(raw)
    except ValueError:
        return False
    return True


def _is_id(text: str) -> bool:
    return len(text) == 16 and set(text) <= set("0123456789abcdef")
