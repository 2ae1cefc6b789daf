"""Signs commands with the cloud's command key, as `protocol.envelope` wants a signer."""

from __future__ import annotations

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, decode_dss_signature

from protocol import cose, p256

_PREHASHED = ec.ECDSA(Prehashed(hashes.SHA256()))


def raw_public_key(key: ec.EllipticCurvePublicKey) -> bytes:
    """A public key as SPEC 1.4 writes it: 64 bytes, x then y."""
    form = serialization.PublicFormat.UncompressedPoint
    return key.public_bytes(serialization.Encoding.X962, form)[1:]


class CommandSigner:
    """`kid`, `public_key` (64 bytes) and `sign`. OpenSSL makes the nonce from the key, the digest
    and fresh randomness together, which is what SPEC 3.5 wants of it.
    """

    def __init__(self, key: ec.EllipticCurvePrivateKey) -> None:
        self._key = key
        self.public_key = raw_public_key(key.public_key())
        self.kid = cose.key_id(self.public_key)

    def sign(self, digest: bytes) -> bytes:
        """SHA-256 digest in, low-s r || s out."""
        r, s = decode_dss_signature(self._key.sign(digest, _PREHASHED))
        return r.to_bytes(32, "big") + min(s, p256.N - s).to_bytes(32, "big")
