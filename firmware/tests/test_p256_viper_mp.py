"""The fast signer gives what the portable one gives, and refuses what must be refused."""

import hashlib
import json
import random

from p256_cases import (
    DOUBLING_SCALAR,
    ORDER,
    WRAPPED_MESSAGE,
    WRAPPED_PUBLIC,
    WRAPPED_SIGNATURE,
    edge_scalars,
)

from protocol import curve, p256
from protocol.errors import CurveError
from protocol.signer import PortableSigner
from tare.errors import SignerError
from tools.mp_support import SkipTest, shared_folder

try:
    from tare import p256_field
    from tare import p256_points as points
    from tare import p256_viper as fast
except (ImportError, SyntaxError):
    fast = None

TIMEOUT_S = 120
_DIGEST = hashlib.sha256(b"digest").digest()
_ZERO = bytes(32)


def _fast():
    if fast is None:
        raise SkipTest("this MicroPython has no native code")
    return fast


def _random_bytes(size):
    return bytes([random.getrandbits(8) for _ in range(size)])


def _number(value):
    return value.to_bytes(32, "big")


def _vectors():
    with open(shared_folder() + "/vectors/rfc6979/p256_sha256.json") as file:
        return json.load(file)


def _raises(error, call, *arguments):
    try:
        call(*arguments)
    except error as caught:
        return caught
    raise AssertionError("nothing was raised")


def test_published_signatures_come_out_also_after_a_rejected_nonce():
    signer = _fast()
    vectors = _vectors()
    private = bytes.fromhex(vectors["x"])
    public = bytes.fromhex(vectors["Ux"] + vectors["Uy"])
    assert signer.public_key(private) == public
    rejected = 0
    for vector in vectors["signatures"]:
        digest = hashlib.sha256(vector["message_utf8"].encode()).digest()
        expected = bytes.fromhex(vector["r"] + vector["s"])
        assert signer.sign(private, digest, low_s=False) == expected
        assert signer.verify(public, digest, expected, low_s=False)
        assert signer.sign(private, digest) == p256.sign(private, digest)
        rejected += vector["k_candidates_rejected"]
    assert rejected == 1


def test_random_keys_agree_with_the_portable_signer():
    signer = _fast()
    for _ in range(15):
        private = _number(int.from_bytes(_random_bytes(40), "big") % (ORDER - 1) + 1)
        digest = _random_bytes(32)
        extra = _random_bytes(random.getrandbits(5))
        signature = signer.sign(private, digest, extra)
        assert signature == p256.sign(private, digest, extra)
        public = signer.public_key(private)
        assert public == p256.public_key(private)
        assert signer.verify(public, digest, signature)
        assert p256.verify(public, digest, signature)


def test_edge_keys_and_digests_agree_with_the_portable_signer():
    signer = _fast()
    digests = (_ZERO, b"\xff" * 32, _number(ORDER), _number(ORDER - 1), _number(1))
    for number, scalar in enumerate(edge_scalars()):
        private = _number(scalar)
        assert signer.public_key(private) == p256.public_key(private), hex(scalar)
        digest = digests[number % len(digests)]
        signature = signer.sign(private, digest)
        assert signature == p256.sign(private, digest), hex(scalar)
        assert signer.verify(signer.public_key(private), digest, signature)


def test_edge_nonces_agree_with_the_portable_curve_for_every_blind():
    _fast().self_test()
    for scalar in edge_scalars():
        x, y = curve.multiply_base(scalar)
        for blind in (1, 2, ORDER - 1, 0x123456789 << 200):
            points.load(points.A, _number(scalar))
            points.load(points.B, _number(blind))
            assert not points.multiply_base(points.A, points.B)
            assert points.is_on_curve()
            points.to_affine()
            assert points.store(points.A) == _number(x), hex(scalar)
            assert points.store(points.B) == _number(y), hex(scalar)


def test_the_doubling_scalar_does_make_the_comb_double():
    """The positive control: without the case for it this scalar comes out wrong."""
    _fast().self_test()
    doublings = []
    original = points._double

    def counting():
        doublings.append(1)
        original()

    points._double = counting
    try:
        for scalar, expected in ((DOUBLING_SCALAR - 2, 18), (DOUBLING_SCALAR, 19)):
            doublings.clear()
            points.load(points.A, _number(scalar))
            points.load(points.B, _number(1))
            points.multiply_base(points.A, points.B)
            assert len(doublings) == expected
    finally:
        points._double = original


def test_zero_is_recognised_in_every_form():
    _fast().self_test()
    for multiple in (0, 1, 2):
        _set_register(points.A, multiple * points.PRIME)
        assert points._is_zero(points.A)
        for off in (1, 1 << 255, points.PRIME - 1):
            _set_register(points.A, multiple * points.PRIME + off)
            assert not points._is_zero(points.A)


def test_infinity_is_recognised_and_left_again():
    """Sums of two multiples that meet, cancel or start at infinity, in the shared doublings."""
    _fast().self_test()
    scalars = (0, 1, 2, 16, ORDER - 1, ORDER - 2, 1 << 200)
    for multiple in (1, 2, ORDER - 1, 1 << 228):
        point = curve.multiply_base(multiple)
        for base_scalar in scalars:
            for scalar in scalars:
                x = _x_of((base_scalar + scalar * multiple) % ORDER)
                points.load(points.A, _number(point[0]))
                points.load(points.B, _number(point[1]))
                points.load(points.C, _number(base_scalar))
                points.load(points.D, _number(scalar))
                infinite = points.multiply_both(points.C, points.D)
                assert infinite == (x is None), (multiple, base_scalar, scalar)
                if not infinite:
                    points.to_affine()
                    assert points.store(points.A) == _number(x)


def _x_of(scalar):
    return curve.multiply_base(scalar)[0] if scalar else None


def test_signatures_are_low_and_a_high_one_is_refused_unless_allowed():
    signer = _fast()
    private = _number(12345)
    public = signer.public_key(private)
    high_seen = 0
    for number in range(8):
        digest = hashlib.sha256(bytes([number])).digest()
        low = signer.sign(private, digest)
        s = int.from_bytes(low[32:], "big")
        assert s <= ORDER // 2
        high = low[:32] + _number(ORDER - s)
        assert not signer.verify(public, digest, high)
        assert signer.verify(public, digest, high, low_s=False)
        high_seen += signer.sign(private, digest, low_s=False) == high
    # Half of the plain signatures are high: the switch does something.
    assert 0 < high_seen < 8


def test_every_class_of_invalid_signature_is_refused():
    signer = _fast()
    private = _number(54321)
    public = signer.public_key(private)
    good = signer.sign(private, _DIGEST)
    r = good[:32]
    s = good[32:]
    assert signer.verify(public, _DIGEST, good)
    full = b"\xff" * 32
    order = _number(ORDER)
    wrong_length = [b"", r, good[:-1], good + b"\x00", b"\x00" + good, good + good]
    zero = [_ZERO + s, r + _ZERO, _ZERO + _ZERO]
    too_big = [order + s, r + order, order + order, full + s, r + full, full + full]
    too_big += [_number(ORDER + 1) + s]
    wrong = [r + _number(ORDER - 1), _number(1) + s, r + _number(1), s + r]
    wrong += [_number(ORDER - int.from_bytes(r, "big")) + s]
    for bad in wrong_length + zero + too_big + wrong:
        assert not signer.verify(public, _DIGEST, bad), bad
        assert not signer.verify(public, _DIGEST, bad, low_s=False), bad
    for bit in range(0, 512, 7):
        flipped = bytearray(good)
        flipped[bit >> 3] ^= 1 << (bit & 7)
        assert not signer.verify(public, _DIGEST, bytes(flipped), low_s=False)
    for bit in range(0, 256, 37):
        flipped = bytearray(_DIGEST)
        flipped[bit >> 3] ^= 1 << (bit & 7)
        assert not signer.verify(public, bytes(flipped), good)
    assert not signer.verify(signer.public_key(_number(54322)), _DIGEST, good)


def test_numbers_out_of_range_are_refused_before_any_arithmetic():
    signer = _fast()
    public = bytes.fromhex(WRAPPED_PUBLIC)
    digest = hashlib.sha256(WRAPPED_MESSAGE).digest()
    three, seven = _number(3), _number(7)
    assert signer.verify(public, digest, three + seven)
    # The same numbers modulo the order: without the check they would pass.
    aliases = [_number(ORDER + 3) + seven, three + _number(ORDER + 7)]
    wrong_length = [three, three + seven + b"\x00", three[1:] + seven]
    original = points.multiply_both
    points.multiply_both = None
    try:
        for bad in aliases + wrong_length + [_ZERO + seven, three + _ZERO]:
            assert not signer.verify(public, digest, bad, low_s=False)
    finally:
        points.multiply_both = original


def test_an_x_that_is_not_below_the_order_is_reduced_in_a_signature():
    signer = _fast()
    signer.self_test()  # before what it checks is exchanged below
    original = points.to_affine

    def wrapped():
        original()
        points.load(points.A, _number(ORDER + 3))

    points.to_affine = wrapped
    try:
        assert signer.sign(_number(9), _DIGEST)[:32] == _number(3)
    finally:
        points.to_affine = original


def test_a_signature_whose_point_is_infinity_is_refused():
    """With h + r d = 0 modulo the order, u1 G + u2 Q is infinity for any s."""
    signer = _fast()
    private = 777
    hashed = int.from_bytes(_DIGEST, "big") % ORDER
    r = -hashed * curve.inverse(private, ORDER) % ORDER
    public = signer.public_key(_number(private))
    for s in (1, 2, ORDER // 2, ORDER - 1):
        signature = _number(r) + _number(s)
        assert not signer.verify(public, _DIGEST, signature, low_s=False)
        assert not p256.verify(public, _DIGEST, signature)
        # Infinity has no x, whatever is left in the registers (the argument is not zero).
        original = points.has_x
        points.has_x = bool
        try:
            assert not signer.verify(public, _DIGEST, signature, low_s=False)
        finally:
            points.has_x = original


def test_a_point_whose_x_is_not_below_the_order_is_taken():
    signer = _fast()
    public = bytes.fromhex(WRAPPED_PUBLIC)
    signature = bytes.fromhex(WRAPPED_SIGNATURE)
    digest = hashlib.sha256(WRAPPED_MESSAGE).digest()
    assert signer.verify(public, digest, signature)
    assert p256.verify(public, digest, signature)
    # The same r with another s fails in both comparisons.
    assert not signer.verify(public, digest, signature[:32] + _number(8))


def test_public_keys_that_are_no_points_are_errors():
    signer = _fast()
    good = signer.public_key(_number(99))
    signature = signer.sign(_number(99), _DIGEST)
    y = int.from_bytes(good[32:], "big")
    off = good[:32] + _number(y ^ 1)
    for bad in (b"", b"\x00", bytes(64), b"\x04" + bytes(64), off, b"\x04" + off, good[:-1]):
        _raises(CurveError, signer.verify, bad, _DIGEST, signature)
    too_big = _number(points.PRIME) + good[32:]
    _raises(CurveError, signer.verify, too_big, _DIGEST, signature)


def test_arguments_that_are_no_keys_or_digests_are_errors():
    signer = _fast()
    for private in (b"", bytes(31), bytes(33), _ZERO, _number(ORDER), b"\xff" * 32):
        for call in (signer.public_key, lambda key: signer.sign(key, _DIGEST)):
            _raises(CurveError, call, private)
    for digest in (b"", bytes(31), bytes(33)):
        _raises(CurveError, signer.sign, _number(1), digest)
        _raises(CurveError, signer.verify, signer.public_key(_number(1)), digest, bytes(64))


def test_hedged_signatures_differ_verify_and_do_not_repeat_with_a_stuck_source():
    signer = _fast()
    private = _number(4711)
    public = signer.public_key(private)
    signatures = {signer.sign(private, _DIGEST, bytes([number]) * 32) for number in range(4)}
    signatures.add(signer.sign(private, _DIGEST))
    assert len(signatures) == 5
    assert all(signer.verify(public, _DIGEST, signature) for signature in signatures)
    stuck = bytes(32)
    first = signer.sign(private, hashlib.sha256(b"one").digest(), stuck)
    second = signer.sign(private, hashlib.sha256(b"two").digest(), stuck)
    assert first[:32] != second[:32]


def test_the_signer_has_the_shape_and_the_results_of_the_portable_one():
    signer = _fast()
    private = _number(31337)
    one = signer.ViperSigner(private)
    other = PortableSigner(private)
    assert (one.kid, one.public_key) == (other.kid, other.public_key)
    assert one.sign(_DIGEST) == other.sign(_DIGEST)
    fixed = signer.ViperSigner(private, lambda size: b"\x5a" * size)
    assert fixed.sign(_DIGEST) == PortableSigner(private, lambda size: b"\x5a" * size).sign(_DIGEST)
    assert fixed.sign(_DIGEST) != one.sign(_DIGEST)


def test_nothing_of_a_key_or_nonce_stays_in_the_workspace():
    signer = _fast()
    private = _number(0x1234567 << 200 | 99)
    signature = signer.sign(private, _DIGEST)
    # The constants begin with the prime.
    clear = bytes(points.P)
    assert points.w[: points.P] == clear
    signer.public_key(private)
    assert points.w[: points.P] == clear
    signer.verify(p256.public_key(private), _DIGEST, signature)
    assert points.w[: points.P] == clear


def test_any_flipped_bit_of_the_table_is_found_at_the_start():
    signer = _fast()
    table = signer.TABLE
    for _ in range(20):
        damaged = bytearray(table)
        bit = random.randrange(8 * len(table))
        damaged[bit >> 3] ^= 1 << (bit & 7)
        signer.TABLE = bytes(damaged)
        try:
            _raises(SignerError, signer.self_test)
            # Damaged once, nothing is signed until a test has passed.
            _raises(SignerError, signer.sign, _number(5), _DIGEST)
        finally:
            signer.TABLE = table
    signer.self_test()
    assert signer.sign(_number(5), _DIGEST) == p256.sign(_number(5), _DIGEST)


def test_wrong_arithmetic_fails_the_known_answer():
    signer = _fast()
    original = points._double
    points._double = lambda: None
    try:
        _raises(SignerError, signer.self_test)
    finally:
        points._double = original
    signer.self_test()


def test_a_fault_after_the_start_gives_an_error_and_no_signature():
    """The table is damaged after it was checked: the sum leaves the curve, and that is seen."""
    signer = _fast()
    signer.self_test()
    table = points.TABLE
    points.TABLE = table[1:] + table[:1]
    try:
        _raises(SignerError, signer.sign, _number(5), _DIGEST)
        _raises(SignerError, signer.public_key, _number(5))
        assert points.w[: points.P] == bytes(points.P)
    finally:
        points.TABLE = table
    assert signer.sign(_number(5), _DIGEST) == p256.sign(_number(5), _DIGEST)


def test_equal_points_are_recognised_in_every_form_of_their_coordinates():
    """The sum's x may be held as itself, or plus p, or less p: the difference is p or twice p."""
    _fast().self_test()
    found = set()
    for scalar in range(1, 1000):
        point = curve.multiply_base(scalar)
        blind = _number_of(scalar)
        _set_point(point, blind)
        # What the addition compares the sum's x with: a product, at most a little above p.
        p256_field.square(_Z, points.C, points.w)
        p256_field.multiply(points.A, points.C, points.w, points.D)
        product = _register(points.D)
        for offset in (points.PRIME, -points.PRIME):
            if offset in found or product + offset < 0:
                continue
            _set_register(_X, product + offset)
            assert not points._add(points.A, points.B, infinite=False)
            points.to_affine()
            assert points.store(points.A) == _number(_x_of(2 * scalar))
            found.add(offset)
            break
        if len(found) == 2:
            return
    raise AssertionError("not both forms came up")


_X, _Y, _Z = 0, 40, 80


def _number_of(seed):
    """Some number below the prime that looks random and is the same in every run."""
    return int.from_bytes(hashlib.sha256(b"%d" % seed).digest(), "big") >> 1


def _set_point(point, blind):
    """Puts a point into the sum, its z being `blind`, and into registers A and B as it is."""
    x, y = point
    square = blind * blind % points.PRIME
    for register, value in (
        (_X, x * square),
        (_Y, y * square * blind),
        (_Z, blind),
        (points.A, x),
        (points.B, y),
    ):
        points.load(register, _number(value * (1 << 260) % points.PRIME))


def _register(at):
    value = 0
    for limb in range(19, -1, -1):
        value = value << 13 | points.w[at + 2 * limb] | points.w[at + 2 * limb + 1] << 8
    return value


def _set_register(at, value):
    for limb in range(20):
        bits = (value >> (13 * limb)) & 0x1FFF
        points.w[at + 2 * limb] = bits & 0xFF
        points.w[at + 2 * limb + 1] = bits >> 8
