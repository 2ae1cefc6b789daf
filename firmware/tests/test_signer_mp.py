"""Whichever signer this MicroPython can run: same shape, same results, low s only."""

import hashlib

from protocol import p256
from tare import signer

_PRIVATE = bytes(31) + b"\x07"
_DIGEST = hashlib.sha256(b"a frame").digest()


def _stuck(size):
    return bytes(size)


def _results():
    made = signer.make_signer(_PRIVATE, _stuck)
    return made.kid, made.public_key, made.sign(_DIGEST)


def test_fast_and_portable_signers_agree():
    first = _results()
    native = signer.native
    signer.native = False
    try:
        assert _results() == first
    finally:
        signer.native = native
    assert p256.verify(first[1], _DIGEST, first[2])


def test_verification_takes_only_the_low_form():
    _, public, low = _results()
    high = low[:32] + (p256.N - int.from_bytes(low[32:], "big")).to_bytes(32, "big")
    assert p256.verify(public, _DIGEST, high)
    native = signer.native
    for chosen in (native, False):
        signer.native = chosen
        try:
            assert signer.verify(public, _DIGEST, low)
            assert not signer.verify(public, _DIGEST, high)
            assert not signer.verify(public, _DIGEST, low[:-1])
        finally:
            signer.native = native
