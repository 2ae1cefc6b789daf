"""The P-256 that a board without a secure element signs and verifies with: the fastest it can run.

`make_signer` gives the shape that every signer has (`protocol.envelope.Signer`); a board with an
ATECC608, or with a module in C, gives its own in `Board.make_signer` instead.
"""

from protocol import p256
from protocol.signer import PortableSigner

try:
    from tare import p256_viper

    native = True
except (ImportError, SyntaxError, ValueError):
    # In this order: no MicroPython; none that makes native code here; native code for another one.
    native = False

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from protocol.envelope import Signer


def make_signer(private: bytes, random: "Callable[[int], bytes]") -> "Signer":
    """Return a signer for `private` (32 bytes); `random(n)` gives n fresh random bytes.

    Raises SignerError where the fast one finds itself damaged.
    """
    if native:
        return p256_viper.ViperSigner(private, random)
    return PortableSigner(private, random)


def verify(public: bytes, digest: bytes, signature: bytes) -> bool:
    """Tell whether a low-s signature holds; CurveError for a public key that is none."""
    if native:
        return p256_viper.verify(public, digest, signature)
    return p256.is_low_s(signature) and p256.verify(public, digest, signature)
