"""P-256 in portable big integers: `sign`, `verify`, `ecdh`, `public_key`, `import_public`.

Private keys are 32 bytes, public keys 64 (x || y), signatures 64 (r || s).
Functional reference for both runtimes. Big integers take time that depends on their values:
no claim is made against someone who measures time, power or radiation next to the chip.
What is cheap is done: nonces of fixed length, an addition for every digit, random
projective coordinates and a blinded inversion. Pure; randomness is an argument.
"""

from protocol import curve, mac
from protocol.errors import CurveError

N = curve.N
KEY_SIZE = 32
PUBLIC_SIZE = 64
SIGNATURE_SIZE = 64
_HALF_N_BYTES = (N // 2).to_bytes(32, "big")
# FIPS 186-5 A.2.1: 64 bits more than the order, so that the bias of the remainder vanishes.
_SEED_SIZE = 40


def private_from_seed(seed: bytes) -> bytes:
    """Make a private key from at least 40 bytes of true randomness (FIPS 186-5 A.2.1)."""
    if len(seed) < _SEED_SIZE:
        raise CurveError("seed-size")
    return (int.from_bytes(seed, "big") % (N - 1) + 1).to_bytes(KEY_SIZE, "big")


def public_key(private: bytes) -> bytes:
    """Return the public key (64 bytes) of a private key; `CurveError` if it is none."""
    return _point_bytes(curve.multiply_base(_scalar(private)))


def import_public(data: bytes) -> bytes:
    """Return the 64-byte form of a public key, given raw (64), uncompressed (65) or compressed.

    Raises `CurveError` for any other form, a coordinate that is out of range, and a point
    that is not on the curve. P-256 has cofactor 1, so no further check is needed.
    """
    if len(data) == 1 + KEY_SIZE and data[0] in {2, 3}:
        x = int.from_bytes(data[1:], "big")
        return _point_bytes((x, curve.y_of(x, odd=data[0] == 3)))
    if len(data) == 1 + PUBLIC_SIZE and data[0] == 4:
        data = data[1:]
    return _point_bytes(_point(data))


def ecdh(private: bytes, public: bytes) -> bytes:
    """Return the shared secret: the 32-byte x of `private` times `public` (SP 800-56A)."""
    product = curve.multiply(_scalar(private), _point(public))
    return product[0].to_bytes(32, "big")


def sign(private: bytes, digest: bytes, extra: bytes = b"", *, low_s: bool = True) -> bytes:
    """Sign a SHA-256 digest; return r || s, 64 bytes.

    The nonce is RFC 6979's; `extra` is the additional data of its section 3.6. Without it
    the published vectors come out (with `low_s` False); with 32 fresh random bytes a fault
    in one of two signatures over one digest no longer gives the key away. A source of
    randomness that is stuck costs that protection and nothing else.
    """
    scalar = _scalar(private)
    if len(digest) != mac.DIGEST_SIZE:
        raise CurveError("digest-size")
    nonces = Nonces(private, digest, extra)
    hashed = int.from_bytes(digest, "big") % N
    while True:
        nonce = nonces.take()
        # The generator's next outputs are as secret as the nonce and independent of it.
        x, _ = curve.multiply_base(nonce, nonces.take())
        r = x % N
        s = _inverse(nonce, nonces.take()) * (hashed + r * scalar) % N
        if r and s:
            break
    if low_s and s > N // 2:
        s = N - s
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def verify(public: bytes, digest: bytes, signature: bytes) -> bool:
    """Tell whether `signature` (r || s) over `digest` holds; high s is taken, see `is_low_s`.

    Raises `CurveError` only for what the caller vouches for: the public key and the digest.
    """
    point = _point(public)
    if len(digest) != mac.DIGEST_SIZE:
        raise CurveError("digest-size")
    if len(signature) != SIGNATURE_SIZE:
        return False
    r = int.from_bytes(signature[:32], "big")
    s = int.from_bytes(signature[32:], "big")
    if not (0 < r < N and 0 < s < N):
        return False
    weight = curve.inverse(s, N)
    x = curve.double_multiply_x(int.from_bytes(digest, "big") * weight % N, r * weight % N, point)
    return x is not None and x % N == r


def is_low_s(signature: bytes) -> bool:
    """Tell whether s is at most half the order: the one of the two forms that SPEC.md takes."""
    return len(signature) == SIGNATURE_SIZE and signature[32:] <= _HALF_N_BYTES


class Nonces:
    """The generator of RFC 6979 section 3.2 with the additional data of section 3.6."""

    def __init__(self, private: bytes, digest: bytes, extra: bytes) -> None:
        hashed = (int.from_bytes(digest, "big") % N).to_bytes(32, "big")
        seed = private + hashed + extra
        self._key = bytes(32)
        self._value = b"\x01" * 32
        for mark in (b"\x00", b"\x01"):
            self._stir(mark + seed)
        self._used = False

    def take(self) -> int:
        """Return the next secret number in 1..N-1."""
        while True:
            if self._used:
                self._stir(b"\x00")
            self._used = True
            self._value = mac.hmac_sha256(self._key, self._value)
            candidate = int.from_bytes(self._value, "big")
            if 0 < candidate < N:
                return candidate

    def _stir(self, data: bytes) -> None:
        self._key = mac.hmac_sha256(self._key, self._value + data)
        self._value = mac.hmac_sha256(self._key, self._value)


def _inverse(value: int, blind: int) -> int:
    """Invert modulo N without showing `value` itself to the exponentiation."""
    return blind * curve.inverse(value * blind % N, N) % N


def _scalar(private: bytes) -> int:
    if len(private) != KEY_SIZE:
        raise CurveError("private-key-size")
    scalar = int.from_bytes(private, "big")
    if not 0 < scalar < N:
        raise CurveError("private-key-range")
    return scalar


def _point(public: bytes) -> tuple[int, int]:
    if len(public) != PUBLIC_SIZE:
        raise CurveError("public-key-size")
    x = int.from_bytes(public[:32], "big")
    y = int.from_bytes(public[32:], "big")
    if x >= curve.P or y >= curve.P or not curve.is_on_curve(x, y):
        raise CurveError("not-on-curve")
    return x, y


def _point_bytes(point: tuple[int, int]) -> bytes:
    return point[0].to_bytes(32, "big") + point[1].to_bytes(32, "big")
