"""P-256 on both runtimes: what holds, what is refused, and that both make the same bytes."""

from protocol import curve, mac, p256
from protocol.errors import CurveError
from protocol.signer import PortableSigner
from protocol.tests.support import private_key, refusal, signer

_DIGEST = mac.sha256(b"a message")
# SHA-256 over keys, signatures and shared secrets of fixed seeds; CPython's tests check the
# same functions against another implementation, so equal bytes here mean right bytes there.
_CHAIN = "f7a6746bdd54f45b7b0de38f9aaa0cca4c596dbd094e6b9bdbb00788030caef7"


def _scalar_bytes(number: int) -> bytes:
    return number.to_bytes(32, "big")


def _signature(r: int, s: int) -> bytes:
    return _scalar_bytes(r) + _scalar_bytes(s)


def test_both_runtimes_make_the_same_bytes() -> None:
    chain = b""
    for number in range(8):
        private = private_key(number)
        peer = p256.public_key(private_key(number + 1))
        extra = bytes(number)
        parts = (p256.public_key(private), p256.sign(private, chain or _DIGEST, extra))
        chain = mac.sha256(chain + parts[0] + parts[1] + p256.ecdh(private, peer))
    assert chain.hex() == _CHAIN


def test_signature_holds_for_its_key_and_digest_alone() -> None:
    private = private_key(1)
    public = p256.public_key(private)
    signature = p256.sign(private, _DIGEST)
    assert p256.verify(public, _DIGEST, signature)
    assert not p256.verify(p256.public_key(private_key(2)), _DIGEST, signature)
    assert not p256.verify(public, mac.sha256(b"another"), signature)
    for index in range(0, 64, 7):
        changed = bytearray(signature)
        changed[index] ^= 1
        assert not p256.verify(public, _DIGEST, bytes(changed))


def test_signature_of_any_other_size_or_range_does_not_hold() -> None:
    public = p256.public_key(private_key(1))
    signature = p256.sign(private_key(1), _DIGEST)
    for wrong in (b"", signature[:63], signature + b"\x00", signature[:32]):
        assert not p256.verify(public, _DIGEST, wrong)
    r = int.from_bytes(signature[:32], "big")
    s = int.from_bytes(signature[32:], "big")
    for pair in ((0, s), (r, 0), (p256.N, s), (r, p256.N), (0, 0)):
        assert not p256.verify(public, _DIGEST, _signature(*pair))


def test_high_s_holds_but_is_told_and_is_never_made() -> None:
    private = private_key(3)
    public = p256.public_key(private)
    for number in range(6):
        digest = mac.sha256(b"message %d" % number)
        low = p256.sign(private, digest)
        s = int.from_bytes(low[32:], "big")
        high = low[:32] + _scalar_bytes(p256.N - s)
        assert p256.is_low_s(low)
        assert not p256.is_low_s(high)
        assert p256.verify(public, digest, high)
    half = p256.N // 2
    assert p256.is_low_s(_signature(1, half))
    assert not p256.is_low_s(_signature(1, half + 1))


def test_extra_entropy_changes_the_nonce_and_a_stuck_source_does_not_repeat_one() -> None:
    private = private_key(4)
    public = p256.public_key(private)
    other = mac.sha256(b"another")
    plain = p256.sign(private, _DIGEST)
    stuck = p256.sign(private, _DIGEST, bytes(32))
    fresh = p256.sign(private, _DIGEST, b"\x01" * 32)
    stuck_other = p256.sign(private, other, bytes(32))
    assert len({plain[:32], stuck[:32], fresh[:32], stuck_other[:32]}) == 4
    for signature in (plain, stuck, fresh):
        assert p256.verify(public, _DIGEST, signature)
    assert p256.verify(public, other, stuck_other)


def test_signer_asks_for_entropy_at_every_signature() -> None:
    asked = []

    def random(size: int) -> bytes:
        asked.append(size)
        return bytes([len(asked)]) * size

    hedged = PortableSigner(private_key(1), random)
    first = hedged.sign(_DIGEST)
    second = hedged.sign(_DIGEST)
    assert asked == [32, 32]
    assert first != second
    assert p256.verify(hedged.public_key, _DIGEST, first)
    assert p256.verify(hedged.public_key, _DIGEST, second)
    assert hedged.kid == signer(1).kid


def test_multiples_at_the_edges_of_the_group() -> None:
    one = p256.public_key(_scalar_bytes(1))
    minus_one = p256.public_key(_scalar_bytes(p256.N - 1))
    assert one[:32] == minus_one[:32]
    y = int.from_bytes(one[32:], "big")
    assert int.from_bytes(minus_one[32:], "big") == curve.P - y
    # The comb (base point) and the windows (any point) must agree, small scalars included.
    for scalar in (1, 2, 3, 15, 16, 31, 1 << 43, (1 << 255) + 1, p256.N - 2, p256.N - 1):
        private = _scalar_bytes(scalar)
        assert p256.ecdh(private, one) == p256.public_key(private)[:32]


def test_both_sides_of_a_key_agreement_get_the_same_secret() -> None:
    left, right = private_key(5), private_key(6)
    secret = p256.ecdh(left, p256.public_key(right))
    assert secret == p256.ecdh(right, p256.public_key(left))
    assert len(secret) == 32
    assert secret != p256.ecdh(left, p256.public_key(private_key(7)))


def test_verification_that_meets_infinity_is_refused() -> None:
    # u1 G + u2 Q is the point at infinity when the digest is -r d.
    private = private_key(8)
    r = 12_345
    digest = _scalar_bytes(-r * int.from_bytes(private, "big") % p256.N)
    assert not p256.verify(p256.public_key(private), digest, _signature(r, 678))


def test_verification_of_a_zero_digest_and_of_the_base_point_as_key() -> None:
    for private in (private_key(9), _scalar_bytes(1), _scalar_bytes(p256.N - 1)):
        for digest in (bytes(32), _scalar_bytes(p256.N), b"\xff" * 32):
            signature = p256.sign(private, digest)
            assert p256.verify(p256.public_key(private), digest, signature)


def test_public_keys_are_imported_in_all_forms() -> None:
    for number in range(6):
        public = p256.public_key(private_key(number))
        compressed = bytes([2 + (public[63] & 1)]) + public[:32]
        for form in (public, b"\x04" + public, compressed):
            assert p256.import_public(form) == public


def test_what_is_no_public_key_is_refused() -> None:
    public = p256.public_key(private_key(1))
    x, y = public[:32], public[32:]
    too_large = _scalar_bytes(curve.P + 5)  # 5 is the x of a point
    off = _scalar_bytes(int.from_bytes(y, "big") ^ 1)
    for wrong in (
        b"",
        b"\x00",
        public[:63],
        public + b"\x00",
        b"\x05" + public,
        b"\x06" + public,
        b"\x04" + x + off,
        x + off,
        bytes(64),
        _scalar_bytes(curve.P) + y,
        too_large + y,
        b"\x02" + too_large,
        b"\x02" + _scalar_bytes(curve.P),
        b"\x02" + _scalar_bytes(4),  # no point has this x
        b"\x04" + x,
    ):
        refusal(CurveError, p256.import_public, wrong)
        refusal(CurveError, p256.ecdh, private_key(2), wrong)
        refusal(CurveError, p256.verify, wrong, _DIGEST, bytes(64))


def test_x_of_five_is_a_point_and_of_four_is_none() -> None:
    # Positive control for the list above.
    assert p256.import_public(b"\x02" + _scalar_bytes(5))[:32] == _scalar_bytes(5)


def test_what_is_no_private_key_or_digest_is_refused() -> None:
    for wrong in (b"", bytes(32), bytes(31) + b"\x01\x01", _scalar_bytes(p256.N), b"\xff" * 32):
        refusal(CurveError, p256.public_key, wrong)
        refusal(CurveError, p256.sign, wrong, _DIGEST)
        refusal(CurveError, p256.ecdh, wrong, p256.public_key(private_key(1)))
    for digest in (b"", _DIGEST[:31], _DIGEST + b"\x00"):
        refusal(CurveError, p256.sign, private_key(1), digest)
        refusal(CurveError, p256.verify, p256.public_key(private_key(1)), digest, bytes(64))


def test_private_keys_come_from_enough_randomness_only() -> None:
    assert refusal(CurveError, p256.private_from_seed, bytes(39)) == "seed-size"
    assert p256.private_from_seed(bytes(40)) == _scalar_bytes(1)
    assert p256.private_from_seed(_scalar_bytes(p256.N - 2) + bytes(8)) != bytes(32)
    largest = (p256.N - 2).to_bytes(40, "big")
    assert p256.private_from_seed(largest) == _scalar_bytes(p256.N - 1)
