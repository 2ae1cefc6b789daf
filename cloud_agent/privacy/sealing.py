"""AES-256-GCM as the cloud stores it (SPEC 16.1, 16.2). Pure but for the nonce's randomness.

A sealed text is `version 01, key id (8 bytes), nonce (12), ciphertext and tag`. The nonce is
random: a key seals far fewer than the 2^32 messages for which NIST SP 800-38D allows that.
"""

from __future__ import annotations

import secrets
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from cloud_agent.errors import CiphertextError

KEY_SIZE: Final = 32
KEY_ID_SIZE: Final = 8
# The key-encryption key has no id of its own: there is one.
KEK_ID: Final = bytes(KEY_ID_SIZE)

_VERSION: Final = b"\x01"
_NONCE_SIZE: Final = 12
_TAG_SIZE: Final = 16
HEAD_SIZE: Final = len(_VERSION) + KEY_ID_SIZE


def seal(key: bytes, key_id: bytes, plaintext: bytes, context: bytes) -> bytes:
    """Encrypts under `key` (32 bytes) and binds the result to `context`."""
    nonce = secrets.token_bytes(_NONCE_SIZE)
    head = _VERSION + key_id
    return head + nonce + AESGCM(key).encrypt(nonce, plaintext, context)


def open_sealed(key: bytes, key_id: bytes, sealed: bytes, context: bytes) -> bytes:
    """The plaintext; raises `CiphertextError` for other bytes, keys, versions or contexts."""
    if len(sealed) < HEAD_SIZE + _NONCE_SIZE + _TAG_SIZE:
        raise CiphertextError("a ciphertext is too short")
    if sealed[:1] != _VERSION:
        raise CiphertextError("a ciphertext is of a version that this Tare does not know")
    if sealed[1:HEAD_SIZE] != key_id:
        raise CiphertextError("a ciphertext is under another key")
    nonce = sealed[HEAD_SIZE : HEAD_SIZE + _NONCE_SIZE]
    try:
        return AESGCM(key).decrypt(nonce, sealed[HEAD_SIZE + _NONCE_SIZE :], context)
    except InvalidTag as error:
        raise CiphertextError("a ciphertext is damaged or belongs to another row") from error


def key_id_of(sealed: bytes) -> bytes:
    """The id of the key that a ciphertext is under."""
    return sealed[len(_VERSION) : HEAD_SIZE]


def derive(key: bytes, use: str) -> bytes:
    """A key for one other use, so that no key serves two algorithms (HKDF, SHA-256)."""
    return HKDF(SHA256(), KEY_SIZE, salt=None, info=use.encode()).derive(key)
