"""Signatures for the simulation: always real ECDSA, in most seeds by OpenSSL on both sides.

The portable code in protocol/ takes milliseconds a signature under CPython; a share of the seeds
runs with it all the same, so that the two are held against each other within the whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import TypeAlias

from cryptography.hazmat.primitives.asymmetric import ec

from cloud_agent.devices.pki import public_key
from cloud_agent.devices.signing import CommandSigner
from cloud_agent.ingest.verify import signature_holds
from hil_tests import cores
from protocol import envelope, p256
from protocol.signer import PortableSigner

MakeSigner: TypeAlias = "Callable[[bytes], envelope.Signer]"

_known_key = lru_cache(maxsize=256)(public_key)


@lru_cache(maxsize=256)
def quick_signer(private: bytes) -> envelope.Signer:
    """Signs with OpenSSL."""
    return CommandSigner(ec.derive_private_key(int.from_bytes(private, "big"), ec.SECP256R1()))


@lru_cache(maxsize=256)
def portable_signer(private: bytes) -> envelope.Signer:
    """Signs with the reference in protocol/."""
    return PortableSigner(private)


def quick_verify(public: bytes, digest: bytes, signature: bytes) -> bool:
    """What `protocol.p256.verify` says, said by OpenSSL."""
    return signature_holds(_known_key(public), digest, signature)


@contextmanager
def firmware_verifies(*, portable: bool) -> Iterator[None]:
    """Lets the device check commands with the portable code, or with OpenSSL."""
    kept = cores.sync.verify
    cores.sync.verify = p256.verify if portable else quick_verify
    try:
        yield
    finally:
        cores.sync.verify = kept
