"""HMAC, HKDF and the comparison, on both runtimes. Known answers: RFC 4231, RFC 5869."""

from protocol import mac
from protocol.errors import ProtocolError
from protocol.tests.support import refusal

_HMAC = (
    (
        b"\x0b" * 20,
        b"Hi There",
        "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
    ),
    (
        b"Jefe",
        b"what do ya want for nothing?",
        "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
    ),
    (
        b"\xaa" * 131,
        b"Test Using Larger Than Block-Size Key - Hash Key First",
        "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
    ),
)


def test_hmac_gives_the_published_values() -> None:
    for key, message, expected in _HMAC:
        assert mac.hmac_sha256(key, message).hex() == expected


def test_hkdf_gives_the_published_values() -> None:
    salted = mac.hkdf_sha256(b"\x0b" * 22, bytes(range(13)), bytes(range(0xF0, 0xFA)), 42)
    assert salted.hex() == (
        "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865"
    )
    bare = mac.hkdf_sha256(b"\x0b" * 22, b"", b"", 42)
    assert bare.hex() == (
        "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8"
    )


def test_hkdf_sizes_are_bounded() -> None:
    assert len(mac.hkdf_sha256(b"x", b"", b"", 255 * 32)) == 255 * 32
    for size in (-1, 0, 255 * 32 + 1):
        assert refusal(ProtocolError, mac.hkdf_sha256, b"x", b"", b"", size) == "hkdf-size"


def test_comparison_sees_every_difference() -> None:
    secret = bytes(range(32))
    assert mac.constant_time_equal(secret, bytes(range(32)))
    assert mac.constant_time_equal(b"", b"")
    assert not mac.constant_time_equal(secret, secret[:31])
    for index in range(32):
        changed = bytearray(secret)
        changed[index] ^= 0x80
        assert not mac.constant_time_equal(secret, bytes(changed))
