"""The envelope that Tare sends and takes (SPEC 3): the narrow profile of `cose`.

Sending: `seal_sign1`, `seal_mac0`. Receiving: `parse_sign1` or `parse_mac0` (nothing is
proven yet: the kid says which key to look up), then `verify_sign1` or `verify_mac0` with
the type that the payload names. `is_mac0` tells the two apart on the downlink. Pure.
"""

from protocol import cbor, cose, message_types, p256
from protocol.errors import AuthenticityError, CoseError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Protocol

    class Signer(Protocol):
        """What signs: see `protocol.signer`. Read-only, so that any object will do."""

        @property
        def kid(self) -> bytes:
            """8 bytes."""

        @property
        def public_key(self) -> bytes:
            """64 bytes."""

        def sign(self, digest: bytes) -> bytes:
            """SHA-256 digest in, low-s signature out, 64 bytes."""


_INITIAL_SIGN1 = 0xC0 | cose.TAG_SIGN1
_INITIAL_MAC0 = 0xC0 | cose.TAG_MAC0


def seal_sign1(message_type: int, device_kid: bytes, payload: bytes, signer: "Signer") -> bytes:
    """Return the signed message. Raises `CoseError` when it would exceed the type's size."""
    header = _sign1_header(signer.kid)
    aad = external_aad(message_type, device_kid)
    return _sized(message_type, cose.sign1(header, {}, payload, aad, signer.sign))


def seal_mac0(
    message_type: int, device_kid: bytes, payload: bytes, generation: int, key: bytes
) -> bytes:
    """Return the message under the device's MAC key of this generation (1 .. 65535)."""
    aad = external_aad(message_type, device_kid)
    return _sized(message_type, cose.mac0(_mac_header(generation), payload, aad, key))


def parse_sign1(data: bytes, max_size: int = message_types.MAX_SIZE) -> cose.Message:
    """Read a signed message; its `kid` has 8 bytes and names the key to verify it with.

    Raises `CborError` where the bytes are not deterministic CBOR and `CoseError` where the
    envelope is not the profile's. Low s is part of what `verify_sign1` checks.
    """
    message = _parse(data, max_size, _INITIAL_SIGN1, cose.parse_sign1)
    kid = message.kid
    if kid is None or len(kid) != cose.KID_SIZE:
        raise CoseError("header")
    _check_header(message, _sign1_header(kid))
    if len(message.seal) != cose.SIGNATURE_SIZE:
        raise CoseError("seal-size")
    return message


def parse_mac0(data: bytes, max_size: int = message_types.MAX_SIZE) -> cose.Message:
    """Read an answer; `generation_of` says which MAC key it claims. Raises as `parse_sign1`."""
    message = _parse(data, max_size, _INITIAL_MAC0, cose.parse_mac0)
    _check_header(message, _mac_header(generation_of(message)))
    if len(message.seal) != cose.MAC_SIZE:
        raise CoseError("seal-size")
    return message


def verify_sign1(
    message: cose.Message,
    message_type: int,
    device_kid: bytes,
    verify: "Callable[[bytes, bytes], bool]",
) -> None:
    """Raise `AuthenticityError` unless the signature holds, with low s, for this type and device.

    `verify(digest, signature)` is bound to the public key that belongs to `message.kid`.
    """
    if not p256.is_low_s(message.seal):
        raise AuthenticityError("high-s")
    cose.verify_sign1(message, external_aad(message_type, device_kid), verify)


def verify_mac0(message: cose.Message, message_type: int, device_kid: bytes, key: bytes) -> None:
    """Raise `AuthenticityError` unless the MAC holds for this type and device."""
    cose.verify_mac0(message, external_aad(message_type, device_kid), key)


def is_mac0(data: bytes) -> bool:
    """Tell an answer from a command by the tag that begins it."""
    return len(data) > 0 and data[0] == _INITIAL_MAC0


def generation_of(message: cose.Message) -> int:
    """Return the MAC key generation (1 .. 65535) that an answer claims."""
    if message.kid is None or len(message.kid) != 2 or message.kid == b"\x00\x00":
        raise CoseError("header")
    return int.from_bytes(message.kid, "big")


def external_aad(message_type: int, device_kid: bytes) -> bytes:
    """Return what binds a seal to one message type and one device (SPEC 3.4)."""
    if len(device_kid) != cose.KID_SIZE:
        raise CoseError("kid-size")
    return cbor.encode([message_types.purpose(message_type), device_kid])


def _sign1_header(kid: bytes) -> dict[object, object]:
    return {cose.LABEL_ALG: cose.ALG_ESP256, cose.LABEL_KID: kid}


def _mac_header(generation: int) -> dict[object, object]:
    if not 0 < generation < 0x10000:
        raise CoseError("mac-generation")
    return {
        cose.LABEL_ALG: cose.ALG_HMAC_256,
        cose.LABEL_KID: generation.to_bytes(2, "big"),
    }


def _parse(
    data: bytes, max_size: int, initial: int, parse: "Callable[[bytes], cose.Message]"
) -> cose.Message:
    if not 0 < len(data) <= max_size:
        raise CoseError("size")
    message = parse(data)
    if data[0] != initial:
        raise CoseError("tag")
    return message


def _check_header(message: cose.Message, expected: dict[object, object]) -> None:
    if message.protected != expected or message.unprotected:
        raise CoseError("header")


def _sized(message_type: int, data: bytes) -> bytes:
    if len(data) > message_types.max_size(message_type):
        raise CoseError("size")
    return data
