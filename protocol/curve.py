"""Points of the NIST curve P-256 (SP 800-186): multiples of points, for `p256` alone.

Points are (x, y) tuples of integers, Jacobian ones (X, Y, Z) with x = X/Z**2, y = Y/Z**3
and Z = 0 for infinity. A scalar is recoded into digits that are all odd: however small it
is, the same number of doublings and additions is done, and none of them is a dummy.
"""

from protocol.errors import CurveError

TYPE_CHECKING = False
if TYPE_CHECKING:
    Point = tuple[int, int]
    Jacobian = tuple[int, int, int]

P = 0xFFFFFFFF00000001000000000000000000000000FFFFFFFFFFFFFFFFFFFFFFFF
N = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
_B = 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B
_G = (
    0x6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296,
    0x4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5,
)

# Comb of six teeth, 43 columns: 6 * 43 = 258 bits hold every odd representative (257 bits).
_TEETH = 6
_COLUMNS = 43
_COMB_MASK = (1 << (_TEETH - 1)) - 1
# 65 windows of 4 bits, 260 bits, for points that are not the base point.
_WINDOWS = 65

_comb: "list[Point]" = []


def inverse(value: int, modulus: int) -> int:
    """Return the inverse by Fermat: `pow(value, -1, modulus)` is 0 on MicroPython."""
    return pow(value, modulus - 2, modulus)


def is_on_curve(x: int, y: int) -> bool:
    """Tell whether two coordinates below `P` satisfy the curve's equation."""
    return y * y % P == _right_side(x)


def y_of(x: int, *, odd: bool) -> int:
    """Return the y of the point with this x and parity; `CurveError` if there is none."""
    if x >= P:
        raise CurveError("not-on-curve")
    square = _right_side(x)
    y = pow(square, (P + 1) // 4, P)  # P is 3 modulo 4
    if y * y % P != square:
        raise CurveError("not-on-curve")
    return y if bool(y & 1) == odd else P - y


def multiply_base(scalar: int, blind: int = 1) -> "Point":
    """Return `scalar` times the base point, 0 < scalar < N.

    `blind` (1..N-1) scales the projective coordinates that the computation starts from.
    """
    if not _comb:
        _build_comb()
    bits = _signed_bits(scalar, _TEETH * _COLUMNS)
    total = _blinded(_comb_entry(bits, _COLUMNS - 1), blind)
    for column in range(_COLUMNS - 2, -1, -1):
        total = _add(_double(total), _comb_entry(bits, column))
    return _affine(total)


def multiply(scalar: int, point: "Point") -> "Point":
    """Return `scalar` times a point of the curve, 0 < scalar < N."""
    return _affine(_windows(((_signed_bits(scalar, 4 * _WINDOWS), _odd_multiples(point)),)))


def double_multiply_x(base_scalar: int, scalar: int, point: "Point") -> int | None:
    """Return the x of base_scalar * G + scalar * point, None for infinity. For verifying."""
    total = _windows(
        (
            (_signed_bits(base_scalar, 4 * _WINDOWS), _odd_multiples(_G)),
            (_signed_bits(scalar, 4 * _WINDOWS), _odd_multiples(point)),
        )
    )
    return _affine(total)[0] if total[2] else None


def _right_side(x: int) -> int:
    return (x * x * x - 3 * x + _B) % P


def _signed_bits(scalar: int, size: int) -> bytes:
    """Recode: bit i of the result says whether 2**i is added (1) or subtracted (0).

    Every odd number below 2**size has exactly one such form. Of `scalar` and `scalar + N`
    one is odd, and both give the same multiple of any point.
    """
    odd = scalar if scalar & 1 else scalar + N
    return ((odd + (1 << size) - 1) >> 1).to_bytes(33, "little")


def _comb_entry(bits: bytes, column: int) -> "Point":
    digit = 0
    at = column
    for tooth in range(_TEETH):
        digit |= (bits[at >> 3] >> (at & 7) & 1) << tooth
        at += _COLUMNS
    return _signed_entry(_comb, digit, _COMB_MASK)


def _signed_entry(table: "list[Point]", digit: int, mask: int) -> "Point":
    """Look up a digit whose top bit is the sign of the whole, its complement the negative."""
    if digit > mask:
        return table[digit & mask]
    x, y = table[mask - digit]
    return (x, P - y)


def _windows(terms: "tuple[tuple[bytes, list[Point]], ...]") -> "Jacobian":
    """Sum the terms (recoded scalar, odd multiples of its point) in shared doublings."""
    total = (1, 1, 0)
    for window in range(_WINDOWS - 1, -1, -1):
        for _ in range(4):
            total = _double(total)
        for bits, table in terms:
            digit = bits[window >> 1] >> (4 * (window & 1)) & 15
            total = _add(total, _signed_entry(table, digit, 7))
    return total


def _odd_multiples(point: "Point") -> "list[Point]":
    """Return 1, 3, .. 15 times the point."""
    start = (point[0], point[1], 1)
    twice = _affine(_double(start))
    multiples = [start]
    for _ in range(7):
        multiples.append(_add(multiples[-1], twice))
    return _all_affine(multiples)


def _build_comb() -> None:
    """Fill the table: entry i is 2**215 G plus or minus 2**(43 j) G as bit j of i says."""
    power = (_G[0], _G[1], 1)
    powers = [power]
    for _ in range(_TEETH - 1):
        for _ in range(_COLUMNS):
            power = _double(power)
        powers.append(power)
    teeth = _all_affine(powers)
    entries = [power]
    for x, y in teeth[:-1]:
        entries = [_add(entry, (x, P - y)) for entry in entries] + [
            _add(entry, (x, y)) for entry in entries
        ]
    _comb.extend(_all_affine(entries))


def _blinded(point: "Point", blind: int) -> "Jacobian":
    square = blind * blind % P
    return (point[0] * square % P, point[1] * square * blind % P, blind)


def _affine(point: "Jacobian") -> "Point":
    x, y, z = point
    if not z:
        raise CurveError("infinity")
    z_inverse = inverse(z, P)
    square = z_inverse * z_inverse % P
    return (x * square % P, y * square * z_inverse % P)


def _all_affine(points: "list[Jacobian]") -> "list[Point]":
    """Convert many finite points at the price of one inversion (Montgomery's trick)."""
    product = 1
    before = []
    for point in points:
        before.append(product)
        product = product * point[2] % P
    rest = inverse(product, P)
    converted: list[Point] = []
    for index in range(len(points) - 1, -1, -1):
        x, y, z = points[index]
        z_inverse = rest * before[index] % P
        rest = rest * z % P
        square = z_inverse * z_inverse % P
        converted.append((x * square % P, y * square * z_inverse % P))
    converted.reverse()
    return converted


def _double(point: "Jacobian") -> "Jacobian":
    # "dbl-2001-b" of the Explicit-Formulas Database, for a = -3; infinity stays infinity.
    x, y, z = point
    delta = z * z % P
    gamma = y * y % P
    beta = x * gamma % P
    alpha = 3 * (x - delta) * (x + delta) % P
    x3 = (alpha * alpha - 8 * beta) % P
    z3 = 2 * y * z % P
    y3 = (alpha * (4 * beta - x3) - 8 * gamma * gamma) % P
    return (x3, y3, z3)


def _add(point: "Jacobian", other: "Point") -> "Jacobian":
    # "madd" of the same database: the second point is affine and never infinity.
    x1, y1, z1 = point
    x2, y2 = other
    if not z1:
        return (x2, y2, 1)
    square = z1 * z1 % P
    h = (x2 * square - x1) % P
    r = (y2 * square * z1 - y1) % P
    if not h:
        return _double(point) if not r else (1, 1, 0)
    h_square = h * h % P
    h_cube = h * h_square % P
    v = x1 * h_square % P
    x3 = (r * r - h_cube - 2 * v) % P
    y3 = (r * (v - x3) - y1 * h_cube) % P
    return (x3, y3, z1 * h % P)
