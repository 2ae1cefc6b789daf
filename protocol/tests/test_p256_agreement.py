"""P-256 and HMAC against other implementations: OpenSSL by `cryptography`, and hashlib."""

import hashlib
import hmac

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import (
    Prehashed,
    decode_dss_signature,
    encode_dss_signature,
)
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol import curve, mac, p256
from protocol.errors import CurveError

_ALGORITHM = ec.ECDSA(Prehashed(SHA256()))
# Small, large and special scalars are as likely as ordinary ones.
_SCALARS = st.one_of(
    st.integers(1, p256.N - 1),
    st.integers(1, 40),
    st.integers(1, 40).map(lambda number: p256.N - number),
    st.integers(0, 255).map(lambda bit: 1 << bit),
).filter(lambda scalar: 0 < scalar < p256.N)
_DIGESTS = st.one_of(
    st.binary(min_size=32, max_size=32),
    st.sampled_from([bytes(32), b"\xff" * 32, p256.N.to_bytes(32, "big")]),
)


def _bytes(scalar: int) -> bytes:
    return scalar.to_bytes(32, "big")


def _private(scalar: int) -> ec.EllipticCurvePrivateKey:
    return ec.derive_private_key(scalar, ec.SECP256R1())


def _public(public: bytes) -> ec.EllipticCurvePublicKey:
    return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), b"\x04" + public)


def _openssl_takes(public: bytes, digest: bytes, signature: bytes) -> bool:
    r, s = (int.from_bytes(half, "big") for half in (signature[:32], signature[32:]))
    try:
        _public(public).verify(encode_dss_signature(r, s), digest, _ALGORITHM)
    except InvalidSignature:
        return False
    return True


@given(_SCALARS)
def test_public_keys_agree(scalar: int) -> None:
    point = _private(scalar).public_key()
    uncompressed = point.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    compressed = point.public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
    public = p256.public_key(_bytes(scalar))
    assert b"\x04" + public == uncompressed
    assert p256.import_public(compressed) == public


@given(_SCALARS, _DIGESTS, st.binary(max_size=33))
def test_openssl_takes_our_signatures(scalar: int, digest: bytes, extra: bytes) -> None:
    signature = p256.sign(_bytes(scalar), digest, extra)
    assert p256.is_low_s(signature)
    assert _openssl_takes(p256.public_key(_bytes(scalar)), digest, signature)


@given(_SCALARS, _DIGESTS)
def test_deterministic_signatures_are_those_of_openssl(scalar: int, digest: bytes) -> None:
    algorithm = ec.ECDSA(Prehashed(SHA256()), deterministic_signing=True)
    r, s = decode_dss_signature(_private(scalar).sign(digest, algorithm))
    assert p256.sign(_bytes(scalar), digest, low_s=False) == _bytes(r) + _bytes(s)


@given(_SCALARS, _DIGESTS)
def test_we_take_signatures_of_openssl(scalar: int, digest: bytes) -> None:
    r, s = decode_dss_signature(_private(scalar).sign(digest, _ALGORITHM))
    public = p256.public_key(_bytes(scalar))
    assert p256.verify(public, digest, _bytes(r) + _bytes(s))
    assert p256.verify(public, digest, _bytes(r) + _bytes(p256.N - s))


@given(_SCALARS, _DIGESTS, st.integers(0, 511), st.binary(min_size=64, max_size=64))
def test_both_refuse_and_take_the_same(
    scalar: int, digest: bytes, bit: int, arbitrary: bytes
) -> None:
    public = p256.public_key(_bytes(scalar))
    changed = bytearray(p256.sign(_bytes(scalar), digest))
    changed[bit // 8] ^= 1 << bit % 8
    for signature in (bytes(changed), arbitrary):
        assert p256.verify(public, digest, signature) == _openssl_takes(public, digest, signature)


@given(_SCALARS, _SCALARS)
def test_shared_secrets_agree(scalar: int, peer: int) -> None:
    # OpenSSL refuses a product at infinity; two scalars below a prime order never give one.
    theirs = _private(scalar).exchange(ec.ECDH(), _private(peer).public_key())
    assert p256.ecdh(_bytes(scalar), p256.public_key(_bytes(peer))) == theirs


@given(st.binary(min_size=64, max_size=64), st.booleans())
# Drawn by hypothesis.
def test_both_import_the_same_points(point: bytes, near: bool) -> None:  # noqa: FBT001
    if near:
        point = p256.public_key(_bytes(7))[:32] + point[32:]
    try:
        _public(point)
    except ValueError:
        with pytest.raises(CurveError):
            p256.import_public(point)
    else:
        assert p256.import_public(point) == point


@settings(max_examples=60)
@given(st.integers(0, curve.P - 1), st.booleans())
# Drawn by hypothesis.
def test_both_decompress_the_same_points(x: int, odd: bool) -> None:  # noqa: FBT001
    form = bytes((2 + odd,)) + _bytes(x)
    try:
        point = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), form)
    except ValueError:
        with pytest.raises(CurveError):
            p256.import_public(form)
    else:
        numbers = point.public_numbers()
        assert p256.import_public(form) == _bytes(numbers.x) + _bytes(numbers.y)


@given(st.integers(1, p256.N - 1), st.integers(1, p256.N - 1))
def test_blinding_changes_nothing(scalar: int, blind: int) -> None:
    assert curve.multiply_base(scalar, blind) == curve.multiply_base(scalar)


@given(st.binary(max_size=200), st.binary(max_size=300))
def test_hmac_agrees(key: bytes, message: bytes) -> None:
    assert mac.hmac_sha256(key, message) == hmac.digest(key, message, hashlib.sha256)


@given(
    st.binary(min_size=1, max_size=80),
    st.binary(max_size=80),
    st.binary(max_size=40),
    st.integers(1, 200),
)
def test_hkdf_agrees(secret: bytes, salt: bytes, info: bytes, size: int) -> None:
    theirs = HKDF(algorithm=SHA256(), length=size, salt=salt, info=info).derive(secret)
    assert mac.hkdf_sha256(secret, salt, info, size) == theirs


@given(st.binary(max_size=40), st.binary(max_size=40))
def test_comparison_agrees(left: bytes, right: bytes) -> None:
    assert mac.constant_time_equal(left, right) == (left == right)
    assert mac.constant_time_equal(left, bytes(left))
