"""COSE_Sign1 and COSE_Mac0 (RFC 9052) in general, and key ids (RFC 9679).

`parse_sign1`, `sign1`, `verify_sign1`, `parse_mac0`, `mac0`, `verify_mac0`, `key_id`.
This layer takes what the public examples need: no tag, an empty protected header, the
algorithm unprotected, the deprecated id -7. What Tare itself sends and takes is narrower
and lives in `envelope`. Keys stay outside: callers give `sign(digest)` and
`verify(digest, signature)`. Pure.
"""

from protocol import cbor, mac
from protocol.errors import AuthenticityError, CoseError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

TAG_MAC0 = 17
TAG_SIGN1 = 18

# Header labels (RFC 9052 section 3.1).
LABEL_ALG = 1
LABEL_CRIT = 2
LABEL_KID = 4

ALG_HMAC_256 = 5  # HMAC 256/256, RFC 9053 section 3.1
ALG_ES256 = -7  # ECDSA with SHA-256 on any curve; deprecated by RFC 9864
ALG_ESP256 = -9  # the same on P-256 alone
_SIGN_ALGS = (ALG_ES256, ALG_ESP256)

SIGNATURE_SIZE = 64
MAC_SIZE = 32
KID_SIZE = 8


class Message:
    """A parsed COSE_Sign1 or COSE_Mac0, nothing about it verified yet.

    `protected_raw` is the byte string as it goes into the structure that is signed: empty
    when the header is empty, whichever of its two forms was received. `seal` is the
    signature or the MAC. `kid` is None where there is none; it is a hint, not a proof.
    """

    __slots__ = ("kid", "payload", "protected", "protected_raw", "seal", "unprotected")

    def __init__(
        self,
        protected_raw: bytes,
        protected: dict[object, object],
        unprotected: dict[object, object],
        payload: bytes,
        seal: bytes,
    ) -> None:
        self.protected_raw = protected_raw
        self.protected = protected
        self.unprotected = unprotected
        self.payload = payload
        self.seal = seal
        kid = self.header(LABEL_KID)
        if kid is not None and not isinstance(kid, bytes):
            raise CoseError("kid-type")
        self.kid = kid

    def header(self, label: int) -> object:
        """Return a header parameter from either bucket, None where there is none."""
        return self.protected.get(label, self.unprotected.get(label))


def parse_sign1(data: bytes) -> Message:
    """Read a COSE_Sign1 with or without its tag, payload attached."""
    return _parse(data, TAG_SIGN1)


def parse_mac0(data: bytes) -> Message:
    """Read a COSE_Mac0 with or without its tag, payload attached."""
    return _parse(data, TAG_MAC0)


def sign1(
    protected: "Mapping[Any, object]",
    unprotected: "Mapping[Any, object]",
    payload: bytes,
    external_aad: bytes,
    sign: "Callable[[bytes], bytes]",
) -> bytes:
    """Return a tagged COSE_Sign1; `sign` gets the SHA-256 digest of the Sig_structure."""
    raw = cbor.encode(protected) if protected else b""
    seal = sign(mac.sha256(sig_structure(raw, external_aad, payload)))
    return cbor.encode(cbor.Tag(TAG_SIGN1, [raw, unprotected, payload, seal]))


def mac0(
    protected: "Mapping[Any, object]", payload: bytes, external_aad: bytes, key: bytes
) -> bytes:
    """Return a tagged COSE_Mac0 with HMAC 256/256 and nothing unprotected."""
    raw = cbor.encode(protected) if protected else b""
    seal = mac.hmac_sha256(key, mac_structure(raw, external_aad, payload))
    return cbor.encode(cbor.Tag(TAG_MAC0, [raw, {}, payload, seal]))


def verify_sign1(
    message: Message, external_aad: bytes, verify: "Callable[[bytes, bytes], bool]"
) -> None:
    """Raise `CoseError` for an unknown algorithm, `AuthenticityError` unless it holds."""
    if message.header(LABEL_ALG) not in _SIGN_ALGS:
        raise CoseError("algorithm")
    if len(message.seal) != SIGNATURE_SIZE:
        raise AuthenticityError("signature-size")
    structure = sig_structure(message.protected_raw, external_aad, message.payload)
    if not verify(mac.sha256(structure), message.seal):
        raise AuthenticityError("bad-signature")


def verify_mac0(message: Message, external_aad: bytes, key: bytes) -> None:
    """Raise `CoseError` for an unknown algorithm, `AuthenticityError` unless it holds."""
    if message.header(LABEL_ALG) != ALG_HMAC_256:
        raise CoseError("algorithm")
    structure = mac_structure(message.protected_raw, external_aad, message.payload)
    if not mac.constant_time_equal(mac.hmac_sha256(key, structure), message.seal):
        raise AuthenticityError("bad-mac")


def sig_structure(protected_raw: bytes, external_aad: bytes, payload: bytes) -> bytes:
    """Return what a COSE_Sign1 signs (RFC 9052 section 4.4)."""
    return cbor.encode(["Signature1", protected_raw, external_aad, payload])


def mac_structure(protected_raw: bytes, external_aad: bytes, payload: bytes) -> bytes:
    """Return what a COSE_Mac0 authenticates (RFC 9052 section 6.3)."""
    return cbor.encode(["MAC0", protected_raw, external_aad, payload])


def thumbprint(public_key: bytes) -> bytes:
    """Return the SHA-256 COSE key thumbprint (RFC 9679) of a 64-byte P-256 key, 32 bytes."""
    # Only the required members: kty EC2, crv P-256, x, y.
    key = {1: 2, -1: 1, -2: public_key[:32], -3: public_key[32:]}
    return mac.sha256(cbor.encode(key))


def key_id(public_key: bytes) -> bytes:
    """Return the kid: the first 8 bytes of the thumbprint."""
    return thumbprint(public_key)[:KID_SIZE]


def _parse(data: bytes, tag: int) -> Message:
    item = cbor.decode(data, (tag,))
    if isinstance(item, cbor.Tag):
        item = item.value
    if not isinstance(item, list) or len(item) != 4:
        raise CoseError("envelope-shape")
    raw, unprotected, payload, seal = item
    if not (isinstance(raw, bytes) and isinstance(unprotected, dict)):
        raise CoseError("envelope-shape")
    if not (isinstance(payload, bytes) and isinstance(seal, bytes)):
        raise CoseError("envelope-shape")
    protected = cbor.decode(raw) if raw else {}
    if not isinstance(protected, dict):
        raise CoseError("envelope-shape")
    _check_headers(protected, unprotected)
    return Message(raw if protected else b"", protected, unprotected, payload, seal)


def _check_headers(protected: dict[object, object], unprotected: dict[object, object]) -> None:
    for label in unprotected:
        if label in protected:
            raise CoseError("label-in-both-headers")
    # RFC 9052 section 3.1: whoever does not know every listed extension must stop; this
    # layer knows none.
    if LABEL_CRIT in protected or LABEL_CRIT in unprotected:
        raise CoseError("critical-header")
