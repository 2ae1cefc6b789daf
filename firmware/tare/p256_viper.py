"""P-256 fast enough for a microcontroller: `sign`, `verify`, `public_key` as in `protocol.p256`.

Correct and nonce-safe: nonces as in RFC 6979 of the same code as the portable signer, recoded to a
fixed length, blinded, with a table that is checked before anything is signed. No claim is made
against someone who measures time, power or radiation of the chip. Whoever needs that puts a
secure element or a module in C behind the same shape as `ViperSigner`. Raises ImportError or
SyntaxError on import where MicroPython has no native code.
"""

import hashlib

from protocol import cose, p256
from protocol.errors import CurveError
from tare import p256_points as points
from tare.errors import SignerError
from tare.p256_comb import DIGEST, TABLE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_EXTRA_SIZE = 32
_ORDER = points.ORDER.to_bytes(32, "big")
_HALF_ORDER = (points.ORDER // 2).to_bytes(32, "big")
_ZERO = bytes(32)
# The difference is below 2**128: an x coordinate is hardly ever as big as the order.
_PRIME_LESS_ORDER = (points.PRIME - points.ORDER).to_bytes(32, "big")

# Known answer: the key of RFC 6979 A.2.5 with the message of the C2SP CCTV vectors whose first
# nonce is rejected, so that the rarest branch runs as well. The low one of both forms of s.
_KNOWN_KEY = b"\xc9\xaf\xa9\xd8E\xbau\x16k\\!Wg\xb1\xd6\x93NP\xc3\xdb6\xe8\x9b\x12{\x8ab+\x12\x0fg!"
_KNOWN_MESSAGE = b"wv[vnX"
_KNOWN_SIGNATURE = (
    b"\xef\xd9\x07;e.v\xda\x1bZ\x01\x9c\x0eJ.?\xa5)\xb05\xa6\xab\xb9\x1e\xf6\x7f\x0e\xd7\xa1\xf2\x124"
    b"=\xb4pl\x9d\x9fJO\xe1;\xb5\xe0\x8e\xf0\xfa\xb5:W\xdb\xab a\xc8:5\xfaA\x1ch\xd2\xba3"
)

_checked = False


def self_test() -> None:
    """Check the table by its digest and the arithmetic by a known answer; SignerError if damaged.

    Once after each start: the first use does it where nobody has asked for it before.
    """
    global _checked
    _checked = False
    if hashlib.sha256(TABLE).digest() != DIGEST:
        raise SignerError("the table of the signer is damaged")
    points.prepare()
    digest = hashlib.sha256(_KNOWN_MESSAGE).digest()
    if _sign(_KNOWN_KEY, digest, b"", low_s=True) != _KNOWN_SIGNATURE:
        raise SignerError("the signer fails its known answer")
    _checked = True


def sign(private: bytes, digest: bytes, extra: bytes = b"", *, low_s: bool = True) -> bytes:
    """Sign a SHA-256 digest; return r || s. Arguments, errors and result as `protocol.p256.sign`.

    Raises SignerError when the computation does not end on the curve: a fault, whose signature
    could give the key away.
    """
    _check_private(private)
    _check_digest(digest)
    _ensure_checked()
    return _sign(private, digest, extra, low_s=low_s)


def public_key(private: bytes) -> bytes:
    """Return the public key (64 bytes, x || y); CurveError if the private key is none."""
    _check_private(private)
    _ensure_checked()
    try:
        points.load(points.A, private)
        # Any number will do as a blind; the key itself, hashed, is there without a source.
        points.load(points.B, _blind(private))
        _multiply_base()
        points.to_affine()
        return points.store(points.A) + points.store(points.B)
    finally:
        points.wipe()


def verify(public: bytes, digest: bytes, signature: bytes, *, low_s: bool = True) -> bool:
    """Tell whether `signature` (r || s) over `digest` holds; a high s only without `low_s`.

    Raises CurveError for what the caller vouches for: the public key (also one that is not on the
    curve) and the digest. Its time depends on the arguments, which are public.
    """
    public = p256.import_public(public)
    _check_digest(digest)
    if len(signature) != 2 * 32:
        return False
    r = signature[:32]
    s = signature[32:]
    if not (_ZERO < r < _ORDER and _ZERO < s < _ORDER) or (low_s and s > _HALF_ORDER):
        return False
    _ensure_checked()
    try:
        return _verify(public, digest, r, s)
    finally:
        points.wipe()


class ViperSigner:
    """Signs with `private` (32 bytes), the shape that every signer has (see `protocol.signer`).

    `random(n)` gives n fresh random bytes; without it signatures are deterministic.
    """

    def __init__(self, private: bytes, random: "Callable[[int], bytes] | None" = None) -> None:
        self.public_key = public_key(private)
        self.kid = cose.key_id(self.public_key)
        self._private = private
        self._random = random

    def sign(self, digest: bytes) -> bytes:
        """Return the signature over a SHA-256 digest, 64 bytes."""
        extra = b"" if self._random is None else self._random(_EXTRA_SIZE)
        return sign(self._private, digest, extra)


def _ensure_checked() -> None:
    if not _checked:
        self_test()


def _sign(private: bytes, digest: bytes, extra: bytes, *, low_s: bool) -> bytes:
    nonces = p256.Nonces(private, digest, extra)
    try:
        while True:
            points.load(points.A, nonces.take().to_bytes(32, "big"))
            # The generator's next output is as secret as the nonce and independent of it.
            blind = nonces.take().to_bytes(32, "big")
            signature = _sign_once(private, digest, blind)
            if signature[:32] != _ZERO and signature[32:] != _ZERO:
                break
    finally:
        points.wipe()
    if low_s and signature[32:] > _HALF_ORDER:
        s = points.ORDER - int.from_bytes(signature[32:], "big")
        return signature[:32] + s.to_bytes(32, "big")
    return signature


def _sign_once(private: bytes, digest: bytes, blind: bytes) -> bytes:
    """Sign with the nonce in register A: r = x(k G), s = (h + r d) / k."""
    a, b, c, d = points.A, points.B, points.C, points.D
    points.copy(a, c)
    points.load(b, blind)
    _multiply_base()
    points.to_affine()
    points.reduce(a, points.N)
    r = points.store(a)
    # c = 1 / (k b), with every product in Montgomery's form taken into account below.
    points.load(b, blind)
    points.multiply_order(c, b, c)
    points.invert_order(c, c)
    # d = h + r d: the private key goes into the form, the product comes out of it.
    points.load(d, private)
    points.multiply_order(d, points.R2_N, d)
    points.multiply_order(a, d, d)
    points.load(a, digest)
    points.reduce(a, points.N)
    points.add_order(a, d, d)
    # s = (h + r d) b / (k b)
    points.multiply_order(d, b, d)
    points.multiply_order(c, points.R2_N, c)
    points.multiply_order(c, d, c)
    return r + points.store(c)


def _multiply_base() -> None:
    if points.multiply_base(points.A, points.B) or not points.is_on_curve():
        raise SignerError("a computation of the signer did not end on the curve")


def _verify(public: bytes, digest: bytes, r: bytes, s: bytes) -> bool:
    a, b, c, d = points.A, points.B, points.C, points.D
    # c = h / s, d = r / s; the inverse goes into Montgomery's form for both.
    points.load(a, s)
    points.invert_order(a, a)
    points.multiply_order(a, points.R2_N, a)
    points.load(c, digest)
    points.reduce(c, points.N)
    points.multiply_order(c, a, c)
    points.load(d, r)
    points.multiply_order(d, a, d)
    points.load(a, public)
    points.load(b, public, 32)
    if points.multiply_both(c, d):
        return False
    points.load(a, r)
    if points.has_x(a):
        return True
    if r >= _PRIME_LESS_ORDER:
        return False
    # x may have been r plus the order, which is still below the prime.
    points.add(a, points.N, a)
    return points.has_x(a)


def _check_private(private: bytes) -> None:
    if len(private) != 32:
        raise CurveError("private-key-size")
    if not _ZERO < private < _ORDER:
        raise CurveError("private-key-range")


def _check_digest(digest: bytes) -> None:
    if len(digest) != 32:
        raise CurveError("digest-size")


def _blind(private: bytes) -> bytes:
    # Half the size of the order and not zero.
    return bytes(15) + b"\x01" + hashlib.sha256(private).digest()[:16]
