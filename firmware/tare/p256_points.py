"""Points of P-256 in one workspace of registers, for `p256_viper` alone.

The sum is (X, Y, Z) with x = X/Z**2, y = Y/Z**3; points that are added to it are affine. Scalars
are recoded into odd digits: however small one is, the same doublings and additions are done.
There is one workspace, so a computation must not begin inside another one.
"""

from micropython import const

from tare import p256_limbs as limbs
from tare.p256_comb import TABLE
from tare.p256_field import combine, multiply, square

TYPE_CHECKING = False
if TYPE_CHECKING:
    from builtins import ptr16

PRIME = 0xFFFFFFFF00000001000000000000000000000000FFFFFFFFFFFFFFFFFFFFFFFF
ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
_CURVE_B = 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B
_R = 1 << 260

# The registers, as offsets in the workspace: first what is wiped after use,
_X = const(0)
_Y = const(40)
_Z = const(80)
_EX = const(120)
_EY = const(160)
_T0 = const(200)
_T1 = const(240)
_T2 = const(280)
_T3 = const(320)
_SPARE = const(360)
_SCALAR = const(400)
_OTHER_SCALAR = const(440)
# ... of which these four belong to the caller,
A = const(480)
B = const(520)
C = const(560)
D = const(600)
_WIPED = const(640)
# ... then constants: the moduli, powers of R modulo them, the curve's b,
P = const(640)
N = const(680)
ONE = const(720)
_ZERO = const(760)
R2_N = const(800)
_R1_P = const(840)
_R2_P = const(880)
_R3_P = const(920)
_B_P = const(960)
# ... and 1, 3, .. 15 times the point to verify with, x and y of each.
_MULTIPLES = const(1000)
_SIZE = const(1640)

# Minus the inverse of the order modulo 2**13, and the inverses of both moduli.
_N_LOW = const(0x1C4F)
_N_INVERSE = const(0x3B1)
_P_INVERSE = const(0x1FFF)

# The comb (see `p256_comb`): seven teeth, 38 columns apart. It is two tables of 64 points, the
# second one's 2**19 times the first one's, so half of the columns need no doublings of their own.
_TEETH = const(7)
_COLUMNS = const(38)
_ROWS = const(19)
# 65 windows of 4 bits for a point that is not the base point.
_WINDOWS = const(65)

#: All registers. A buffer is what viper's pointers are made from.
w: "ptr16" = bytearray(_SIZE)  # type: ignore[assignment]


def prepare() -> None:
    """Fill in the constants; once, before anything else."""
    for register, value in (
        (P, PRIME),
        (N, ORDER),
        (ONE, 1),
        (_ZERO, 0),
        (R2_N, _R * _R % ORDER),
        (_R1_P, _R % PRIME),
        (_R2_P, _R * _R % PRIME),
        (_R3_P, _R * _R % PRIME * _R % PRIME),
        (_B_P, _CURVE_B * _R % PRIME),
    ):
        load(register, value.to_bytes(32, "big"))


def wipe() -> None:
    """Clear whatever a computation has left."""
    limbs.clear(w, _WIPED)


def load(register: int, data: bytes, at: int = 0) -> None:
    """Take the 32 bytes from data[at] on, highest first."""
    limbs.unpack(data, at + 31, -1, w, register)  # type: ignore[arg-type]  # a buffer will do


def store(register: int) -> bytes:
    """Return a value below 2**256 as 32 bytes, highest first."""
    data = bytearray(32)
    limbs.pack(w, register, data, 31, -1)  # type: ignore[arg-type]  # a buffer will do
    return bytes(data)


def copy(source: int, target: int) -> None:
    """Copy a register as it is."""
    limbs.select(source, source, w, target, 0)


def reduce(register: int, modulus: int) -> None:
    """Make a value below twice the modulus canonical."""
    borrow = limbs.subtract(register, modulus, w, _SPARE)
    limbs.select(register, _SPARE, w, register, borrow)


def add(x: int, y: int, out: int) -> None:
    """w[out] = w[x] + w[y], not reduced."""
    limbs.add(x, y, w, out)


def add_order(x: int, y: int, out: int) -> None:
    """w[out] = w[x] + w[y] modulo the order, canonical, of canonical terms."""
    limbs.add(x, y, w, out)
    reduce(out, N)


def multiply_order(x: int, y: int, out: int) -> None:
    """w[out] = w[x] * w[y] / R modulo the order, canonical, of canonical factors."""
    limbs.multiply(x, y, w, out, N, _N_LOW, _SPARE)
    reduce(out, N)


def invert_order(x: int, out: int) -> None:
    """w[out] = 1 / w[x] modulo the order, for a canonical value that is not zero."""
    _invert(x, N, _N_INVERSE)
    copy(_T2, out)


def multiply_base(scalar: int, blind: int) -> bool:
    """(X, Y, Z) = w[scalar], 1 .. order - 1, times the base point; True if that is infinity.

    w[blind], 1 .. order - 1, scales the coordinates that the sum starts with.
    """
    _recode(scalar, _SCALAR)
    _load_base(_COLUMNS - 1)
    square(blind, _T0, w)
    multiply(_EX, _T0, w, _X)
    multiply(blind, _T0, w, _T0)
    multiply(_EY, _T0, w, _Y)
    copy(blind, _Z)
    infinite = _add_base(_ROWS - 1, infinite=False)
    for row in range(_ROWS - 2, -1, -1):
        if not infinite:
            _double()
        infinite = _add_base(row + _ROWS, infinite=infinite)
        infinite = _add_base(row, infinite=infinite)
    return infinite


def multiply_both(base_scalar: int, scalar: int) -> bool:
    """(X, Y, Z) = w[base_scalar] * G + w[scalar] * the point (A, B); True if that is infinity.

    Scalars are below the order; zero counts as the order. The point is canonical and on the curve.
    """
    _recode(base_scalar, _SCALAR)
    _recode(scalar, _OTHER_SCALAR)
    _fill_multiples()
    infinite = True
    for bit in range(4 * _WINDOWS - 4, -1, -1):
        if not infinite:
            _double()
        if not bit & 3:
            infinite = _add_multiple(bit, infinite=infinite)
        if bit < _ROWS:
            infinite = _add_base(bit + _ROWS, infinite=infinite)
            infinite = _add_base(bit, infinite=infinite)
    return infinite


def is_on_curve() -> bool:
    """Tell whether (X, Y, Z), not infinity, satisfies Y**2 = X**3 - 3 X Z**4 + b Z**6."""
    square(_Z, _T0, w)
    square(_T0, _T1, w)
    multiply(_T0, _T1, w, _T0)
    multiply(_B_P, _T0, w, _T0)
    multiply(_X, _T1, w, _T1)
    square(_X, _T2, w)
    multiply(_X, _T2, w, _T2)
    combine(_T2, _T1, w, _T2, 1, -3)
    combine(_T2, _T0, w, _T2, 1, 1)
    square(_Y, _T0, w)
    combine(_T0, _T2, w, _T0, 1, -1)
    return _is_zero(_T0)


def to_affine() -> None:
    """(A, B) = x and y of (X, Y, Z), canonical and out of Montgomery form."""
    _affine(A, B)
    for register in (A, B):
        multiply(register, ONE, w, register)
        reduce(register, P)


def has_x(register: int) -> bool:
    """Tell whether X/Z**2 is the number w[register], below the prime."""
    square(_Z, _T0, w)
    multiply(register, _R2_P, w, _T1)
    multiply(_T0, _T1, w, _T0)
    combine(_X, _T0, w, _T0, 1, -1)
    return _is_zero(_T0)


def _recode(scalar: int, out: int) -> None:
    """Of a scalar and the scalar plus the order one is odd, and both give the same point."""
    limbs.add(scalar, N, w, _SPARE)
    limbs.select(scalar, _SPARE, w, out, -(limbs.lowest(scalar, w) & 1))


def _load_base(column: int) -> None:
    """(EX, EY) = what a column of the scalar selects; its top bit is the sign of the whole."""
    digit = limbs.digit(_SCALAR, w, column, _TEETH, _COLUMNS, _TEETH * _COLUMNS)
    negative = (digit >> (_TEETH - 1)) - 1
    at = 64 * (((digit ^ negative) & 63) + 64 * (column // _ROWS))
    limbs.unpack(TABLE, at, 1, w, _EX)  # type: ignore[arg-type]  # a buffer will do
    limbs.unpack(TABLE, at + 32, 1, w, _EY)  # type: ignore[arg-type]  # viper takes it as a pointer
    combine(_EY, _ZERO, w, _EY, 2 * negative + 1, 0)


def _add_base(column: int, *, infinite: bool) -> bool:
    _load_base(column)
    return _add(_EX, _EY, infinite=infinite)


def _add_multiple(bit: int, *, infinite: bool) -> bool:
    """Add the odd multiple that four bits of the other scalar select."""
    digit = limbs.digit(_OTHER_SCALAR, w, bit, 4, 1, 4 * _WINDOWS)
    negative = (digit >> 3) - 1
    at = _MULTIPLES + 80 * ((digit ^ negative) & 7)
    combine(at + 40, _ZERO, w, _EY, 2 * negative + 1, 0)
    return _add(at, _EY, infinite=infinite)


def _fill_multiples() -> None:
    """Fill the table from the point in (A, B); (C, D) holds twice that point."""
    multiply(A, _R2_P, w, _MULTIPLES)
    multiply(B, _R2_P, w, _MULTIPLES + 40)
    _add(_MULTIPLES, _MULTIPLES + 40, infinite=True)
    _double()
    _affine(C, D)
    _add(_MULTIPLES, _MULTIPLES + 40, infinite=True)
    for at in range(_MULTIPLES + 80, _SIZE, 80):
        _add(C, D, infinite=False)
        _affine(at, at + 40)


def _double() -> None:
    # "dbl-2001-b" of the Explicit-Formulas Database, for a = -3; no point here has order 2.
    square(_Z, _T0, w)
    square(_Y, _T1, w)
    multiply(_X, _T1, w, _T2)
    combine(_X, _T0, w, _T3, 1, -1)
    combine(_X, _T0, w, _T0, 1, 1)
    multiply(_T3, _T0, w, _T3)
    combine(_T3, _T3, w, _T3, 2, 1)
    multiply(_Y, _Z, w, _Z)
    combine(_Z, _Z, w, _Z, 1, 1)
    square(_T3, _X, w)
    combine(_X, _T2, w, _X, 1, -8)
    combine(_T2, _X, w, _T2, 4, -1)
    multiply(_T3, _T2, w, _Y)
    square(_T1, _T1, w)
    combine(_Y, _T1, w, _Y, 1, -8)


def _add(x: int, y: int, *, infinite: bool) -> bool:
    """Add the affine point w[x], w[y]; True if the sum is infinity."""
    if infinite:
        copy(x, _X)
        copy(y, _Y)
        copy(_R1_P, _Z)
        return False
    # "madd" of the same database.
    square(_Z, _T0, w)
    multiply(x, _T0, w, _T1)
    combine(_T1, _X, w, _T1, 1, -1)
    multiply(_Z, _T0, w, _T0)
    multiply(y, _T0, w, _T2)
    combine(_T2, _Y, w, _T2, 1, -1)
    # The lowest limbs of p and 2 p, which is all that zero can look like after `combine`.
    if limbs.lowest(_T1, w) in (0x1FFF, 0x1FFE) and _is_zero(_T1):
        if not _is_zero(_T2):
            return True
        _double()
        return False
    multiply(_Z, _T1, w, _Z)
    square(_T1, _T0, w)
    multiply(_T1, _T0, w, _T1)
    multiply(_X, _T0, w, _T0)
    square(_T2, _X, w)
    combine(_X, _T1, w, _X, 1, -1)
    combine(_X, _T0, w, _X, 1, -2)
    combine(_T0, _X, w, _T0, 1, -1)
    multiply(_T2, _T0, w, _T0)
    multiply(_Y, _T1, w, _T1)
    combine(_T0, _T1, w, _Y, 1, -1)
    return False


def _affine(x: int, y: int) -> None:
    """w[x], w[y] = x and y of (X, Y, Z), in Montgomery form."""
    copy(_Z, _T1)
    reduce(_T1, P)
    reduce(_T1, P)
    _invert(_T1, P, _P_INVERSE)
    # Of Z * R the inverse is 1 / (Z * R): R**3 makes that R / Z.
    multiply(_T2, _R3_P, w, _T2)
    square(_T2, _T0, w)
    multiply(_X, _T0, w, x)
    multiply(_T2, _T0, w, _T0)
    multiply(_Y, _T0, w, y)


def _invert(x: int, modulus: int, modulus_inverse: int) -> None:
    """w[T2] = 1 / w[x] modulo w[modulus], for a canonical value that is not zero."""
    copy(x, _T1)
    copy(modulus, _T0)
    copy(_ZERO, _T2)
    copy(ONE, _T3)
    # (T0, T1) goes from (modulus, x) to (plus or minus 1, 0), and (T2, T3) along with it.
    zeta = -1
    for _ in range(limbs.INVERSION_ROUNDS):
        zeta = limbs.divide_steps(_T0, _T1, w, _EX, zeta)
        limbs.transform(_T0, _T1, w, _EX)
        limbs.transform_modular(_T2, _T3, w, _EX, modulus, modulus_inverse)
    limbs.normalise(_T2, w, modulus, limbs.sign(_T0, w))


def _is_zero(register: int) -> bool:
    """Tell whether a value below 3 p is a multiple of p; makes it canonical."""
    reduce(register, P)
    reduce(register, P)
    return limbs.is_zero(register, w)
