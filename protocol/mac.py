"""HMAC-SHA-256, HKDF-SHA-256 and a comparison that does not stop at the first difference.

MicroPython has no hmac module, and its sha256 objects cannot be copied. Pure; touches
nothing but its arguments.
"""

import hashlib

from protocol.errors import ProtocolError

DIGEST_SIZE = 32
_BLOCK_SIZE = 64
# One exclusive or of big integers: byte by byte it takes a device longer than the hashing.
_INNER_PAD = int.from_bytes(b"\x36" * _BLOCK_SIZE, "big")
_OUTER_PAD = int.from_bytes(b"\x5c" * _BLOCK_SIZE, "big")


def sha256(data: bytes) -> bytes:
    """Return the SHA-256 digest of `data`."""
    return hashlib.sha256(data).digest()


def hmac_sha256(key: bytes, message: bytes) -> bytes:
    """Return HMAC-SHA-256 (RFC 2104) of `message`, 32 bytes."""
    if len(key) > _BLOCK_SIZE:
        key = sha256(key)
    padded = int.from_bytes(key + bytes(_BLOCK_SIZE - len(key)), "big")
    inner = hashlib.sha256((padded ^ _INNER_PAD).to_bytes(_BLOCK_SIZE, "big"))
    inner.update(message)
    outer = hashlib.sha256((padded ^ _OUTER_PAD).to_bytes(_BLOCK_SIZE, "big"))
    outer.update(inner.digest())
    return outer.digest()


def hkdf_sha256(secret: bytes, salt: bytes, info: bytes, size: int = DIGEST_SIZE) -> bytes:
    """Derive `size` bytes from `secret` by HKDF-SHA-256 (RFC 5869), extract and expand.

    An empty `salt` counts as 32 zero bytes. Raises `ProtocolError` for a size outside
    1..8160.
    """
    if not 0 < size <= 255 * DIGEST_SIZE:
        raise ProtocolError("hkdf-size")
    pseudo_random_key = hmac_sha256(salt or bytes(DIGEST_SIZE), secret)
    out = b""
    block = b""
    counter = 1
    while len(out) < size:
        block = hmac_sha256(pseudo_random_key, block + info + bytes((counter,)))
        out += block
        counter += 1
    return out[:size]


def constant_time_equal(left: bytes, right: bytes) -> bool:
    """Compare two secrets; how long it takes tells their lengths, not where they differ."""
    if len(left) != len(right):
        return False
    difference = 0
    for index, byte in enumerate(left):
        difference |= byte ^ right[index]
    return difference == 0
