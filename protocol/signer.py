"""The signer held in memory, and by example the shape of every other signer.

Whoever signs takes an object with `kid` (8 bytes), `public_key` (64 bytes) and
`sign(digest)` (SHA-256 digest in, low-s r || s out), so that faster code or a secure
element can take this one's place. Pure; the source of randomness is an argument.
"""

from protocol import cose, p256

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_EXTRA_SIZE = 32


class PortableSigner:
    """Signs with `private` (32 bytes). `random(n)` gives n fresh random bytes.

    Without `random` the signatures are the deterministic ones of RFC 6979: for tests.
    """

    def __init__(self, private: bytes, random: "Callable[[int], bytes] | None" = None) -> None:
        self.public_key = p256.public_key(private)
        self.kid = cose.key_id(self.public_key)
        self._private = private
        self._random = random

    def sign(self, digest: bytes) -> bytes:
        """Return the signature over a SHA-256 digest, 64 bytes."""
        extra = b"" if self._random is None else self._random(_EXTRA_SIZE)
        return p256.sign(self._private, digest, extra)
