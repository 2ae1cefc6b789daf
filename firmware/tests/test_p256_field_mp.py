"""The limb arithmetic of the fast signer agrees with big integers, at its bounds and at random."""

import random

from tools.mp_support import SkipTest

try:
    from tare import p256_field, p256_limbs, p256_points
except (ImportError, SyntaxError):
    p256_field = p256_limbs = p256_points = None

_R = 1 << 260
_X = 0
_Y = 40
_OUT = 80
_SPARE = 120
_MODULUS = 160
_E = 200
_COEFFICIENTS = ((1, 1), (1, -1), (2, 1), (4, -1), (1, -8), (1, -2), (1, -3), (-1, 0), (1, 0))


def _modules():
    if p256_field is None:
        raise SkipTest("this MicroPython has no native code")
    return p256_field, p256_limbs


def _put(w, register, value):
    for limb in range(20):
        bits = (value >> (13 * limb)) & 0x1FFF
        w[register + 2 * limb] = bits & 0xFF
        w[register + 2 * limb + 1] = bits >> 8


def _get(w, register):
    value = 0
    for limb in range(19, -1, -1):
        bits = w[register + 2 * limb] | w[register + 2 * limb + 1] << 8
        assert bits <= 0x1FFF
        value = value << 13 | bits
    return value


def _random(bits):
    return int.from_bytes(bytes([random.getrandbits(8) for _ in range(40)]), "big") >> (320 - bits)


def _workspace():
    return bytearray(240)


def _operands(modulus):
    """What registers may hold (below 2.05 times the modulus): the ends, lone bits, random ones."""
    top = modulus * 205 // 100
    edges = [0, 1, 2, modulus - 1, modulus, modulus + 1, 2 * modulus - 1, 2 * modulus, top - 1]
    edges += [(1 << (13 * limb)) - 1 for limb in range(1, 20)]
    edges += [_random(257) % top for _ in range(10)]
    return edges


def test_products_and_squares_are_right_and_stay_in_bounds():
    field, _ = _modules()
    prime = p256_points.PRIME
    inverse = pow(_R, prime - 2, prime)
    w = _workspace()
    operands = _operands(prime)
    for x in operands:
        _put(w, _X, x)
        field.square(_X, _OUT, w)
        assert _get(w, _OUT) % prime == x * x * inverse % prime
        for y in operands:
            _put(w, _Y, y)
            field.multiply(_X, _Y, w, _OUT)
            product = _get(w, _OUT)
            assert product % prime == x * y * inverse % prime, (hex(x), hex(y))
            assert product < prime * 13 // 10


def test_sums_are_right_and_stay_in_bounds():
    field, _ = _modules()
    prime = p256_points.PRIME
    w = _workspace()
    operands = _operands(prime)
    for x in operands:
        _put(w, _X, x)
        for y in operands:
            _put(w, _Y, y)
            for kx, ky in _COEFFICIENTS:
                field.combine(_X, _Y, w, _OUT, kx, ky)
                total = _get(w, _OUT)
                assert total % prime == (kx * x + ky * y) % prime, (hex(x), hex(y), kx, ky)
                assert total < prime * 205 // 100


def test_registers_may_coincide():
    field, _ = _modules()
    prime = p256_points.PRIME
    inverse = pow(_R, prime - 2, prime)
    w = _workspace()
    for x in _operands(prime):
        for call, expected in (
            (lambda: field.multiply(_X, _X, w, _X), x * x * inverse),
            (lambda: field.square(_X, _X, w), x * x * inverse),
            (lambda: field.combine(_X, _X, w, _X, 2, 1), 3 * x),
        ):
            _put(w, _X, x)
            call()
            assert _get(w, _X) % prime == expected % prime


def test_products_modulo_the_order_are_right():
    _, limbs = _modules()
    order = p256_points.ORDER
    inverse = pow(_R, order - 2, order)
    low = -_inverse(order) % 8192
    w = _workspace()
    _put(w, _MODULUS, order)
    operands = [x % order for x in _operands(order)]
    for x in operands:
        for y in operands:
            _put(w, _X, x)
            _put(w, _Y, y)
            limbs.multiply(_X, _Y, w, _OUT, _MODULUS, low, _SPARE)
            product = _get(w, _OUT)
            assert product % order == x * y * inverse % order
            assert product < 2 * order


def test_inverses_are_right():
    _, limbs = _modules()
    w = _workspace()
    for modulus in (p256_points.PRIME, p256_points.ORDER):
        inverse_of_modulus = _inverse(modulus)
        for value in _invertible(modulus):
            _put(w, _MODULUS, modulus)
            _put(w, _SPARE, modulus)
            _put(w, _Y, value)
            _put(w, _OUT, 0)
            _put(w, _E, 1)
            zeta = -1
            for _ in range(limbs.INVERSION_ROUNDS):
                zeta = limbs.divide_steps(_SPARE, _Y, w, _X, zeta)
                limbs.transform(_SPARE, _Y, w, _X)
                limbs.transform_modular(_OUT, _E, w, _X, _MODULUS, inverse_of_modulus)
            assert not any(w[_Y : _Y + 40])
            limbs.normalise(_OUT, w, _MODULUS, limbs.sign(_SPARE, w))
            inverse = _get(w, _OUT)
            assert inverse < modulus
            assert inverse * value % modulus == 1, hex(value)


def _invertible(modulus):
    """One after the other: a board cannot hold all of them."""
    for value in (1, 2, 3, modulus - 1, modulus - 2, modulus // 2, modulus // 2 + 1):
        yield value
    for bit in range(1, 255, 11):
        yield 1 << bit
        yield modulus - (1 << bit)
    for _ in range(60):
        yield _random(255) + 1


def test_bytes_come_and_go_in_both_directions():
    _, limbs = _modules()
    w = _workspace()
    for data in (bytes(32), b"\xff" * 32, bytes(range(1, 33))):
        for at, step, order in ((31, -1, "big"), (0, 1, "little")):
            limbs.unpack(data, at, step, w, _X)
            assert _get(w, _X) == int.from_bytes(data, order)
            out = bytearray(32)
            limbs.pack(w, _X, out, at, step)
            assert bytes(out) == data


def test_subtraction_tells_the_borrow():
    _, limbs = _modules()
    w = _workspace()
    for x, y in ((5, 3), (3, 5), (0, 0), (0, 1), (1 << 255, (1 << 255) + 1)):
        _put(w, _X, x)
        _put(w, _Y, y)
        assert limbs.subtract(_X, _Y, w, _OUT) == (-1 if x < y else 0)
        assert _get(w, _OUT) == (x - y) % _R


def _inverse(modulus):
    """Modulo 2**13, by trial: the table in the code comes from elsewhere."""
    for candidate in range(1, 8192, 2):
        if candidate * modulus % 8192 == 1:
            return candidate
    raise ValueError("even")
