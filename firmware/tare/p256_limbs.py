"""The slower arithmetic on registers (see `p256_field`): loops, modulo any odd number.

Moves numbers between bytes and registers, multiplies modulo the order of the curve, inverts
modulo either number, and reads the digits of a scalar. No garbage, and no branch or address that
depends on a value: only on sizes.
"""

# mypy: disable-error-code="no-untyped-def"
# (viper has no word for a function that returns nothing)

import micropython
from micropython import const

_LIMBS = const(20)
_LOW = const(0x1FFF)

# Inversion is that of Bernstein and Yang, "Fast constant-time gcd computation and modular
# inversion", with the start of 1/2 found by Wuille: 590 steps suffice for every value and modulus
# below 2**256. INVERSION_ROUNDS rounds of 13, one limb a round, are 598.
INVERSION_ROUNDS = const(46)


@micropython.viper
def unpack(data: ptr8, at: int, step: int, w: ptr16, out: int):
    """w[out] = the 32 bytes from data[at] on, with step 1 the lowest first, with -1 downwards."""
    r = ptr16(uint(w) + out)
    limb = 0
    held = 0
    bits = 0
    i = 0
    while i < 32:
        held |= data[at] << bits
        at += step
        bits += 8
        i += 1
        if bits >= 13:
            r[limb] = held & _LOW
            limb += 1
            held >>= 13
            bits -= 13
    r[19] = held


@micropython.viper
def pack(w: ptr16, x: int, data: ptr8, at: int, step: int):
    """The opposite of `unpack`, for a value below 2**256."""
    p = ptr16(uint(w) + x)
    limb = 0
    held = 0
    bits = 0
    i = 0
    while i < 32:
        if bits < 8:
            held |= p[limb] << bits
            limb += 1
            bits += 13
        data[at] = held & 0xFF
        at += step
        held >>= 8
        bits -= 8
        i += 1


@micropython.viper
def add(x: int, y: int, w: ptr16, out: int):
    """w[out] = w[x] + w[y], not reduced."""
    p = ptr16(uint(w) + x)
    q = ptr16(uint(w) + y)
    r = ptr16(uint(w) + out)
    x = 0
    y = 0
    while y < _LIMBS:
        x += p[y] + q[y]
        r[y] = x & _LOW
        x >>= 13
        y += 1


@micropython.viper
def subtract(x: int, y: int, w: ptr16, out: int) -> int:
    """w[out] = w[x] - w[y] modulo 2**260; returns the borrow, 0 or -1."""
    p = ptr16(uint(w) + x)
    q = ptr16(uint(w) + y)
    r = ptr16(uint(w) + out)
    x = 0
    y = 0
    while y < _LIMBS:
        x += p[y] - q[y]
        r[y] = x & _LOW
        x >>= 13
        y += 1
    return x


@micropython.viper
def select(x: int, y: int, w: ptr16, out: int, mask: int):
    """w[out] = w[x] if mask is -1, w[y] if it is 0."""
    p = ptr16(uint(w) + x)
    q = ptr16(uint(w) + y)
    r = ptr16(uint(w) + out)
    i = 0
    while i < _LIMBS:
        r[i] = q[i] ^ ((p[i] ^ q[i]) & mask)
        i += 1


@micropython.viper
def lowest(x: int, w: ptr16) -> int:
    """Return the lowest limb."""
    p = ptr16(uint(w) + x)
    return p[0]


@micropython.viper
def clear(w: ptr16, size: int):
    """Set the first `size` bytes of the workspace to zero."""
    i = 0
    while i < size >> 1:
        w[i] = 0
        i += 1


@micropython.viper
def is_zero(x: int, w: ptr16) -> bool:
    """Tell whether all limbs are zero."""
    p = ptr16(uint(w) + x)
    seen = 0
    i = 0
    while i < _LIMBS:
        seen |= p[i]
        i += 1
    return seen == 0


@micropython.viper
def multiply(x: int, y: int, w: ptr16, out: int, modulus: int, low: int, spare: int):
    """w[out] = w[x] * w[y] / 2**260 modulo w[modulus], below (1 + a * b / 16) times it.

    `low` is minus the inverse of the modulus modulo 2**13. `spare` is a register for the running
    sum and must be none of the others.
    """
    p = ptr16(uint(w) + x)
    q = ptr16(uint(w) + y)
    m = ptr16(uint(w) + modulus)
    t = ptr16(uint(w) + spare)
    r = ptr16(uint(w) + out)
    i = 0
    while i < _LIMBS:
        t[i] = 0
        i += 1
    i = 0
    while i < _LIMBS:
        factor = p[i]
        x = t[0] + factor * q[0]
        multiple = (x * low) & _LOW
        x = (x + multiple * m[0]) >> 13
        y = 1
        while y < _LIMBS:
            x += t[y] + factor * q[y] + multiple * m[y]
            t[y - 1] = x & _LOW
            x >>= 13
            y += 1
        t[19] = x
        i += 1
    i = 0
    while i < _LIMBS:
        r[i] = t[i]
        i += 1


@micropython.viper
def divide_steps(f: int, g: int, w: ptr16, matrix: int, zeta: int) -> int:
    """Work out 13 steps of the greatest common divisor of w[f] and w[g] on their lowest limbs.

    Leaves them as a matrix (u v, q r) of signed 16-bit numbers, below 2**13 in size, at
    w[matrix]. `zeta` goes from round to round, -1 before the first; the new one is returned.
    """
    m = ptr16(uint(w) + matrix)
    f = ptr16(uint(w) + f)[0]
    g = ptr16(uint(w) + g)[0]
    u = 1
    v = 0
    q = 0
    r = 1
    i = 0
    while i < 13:
        swap = zeta >> 31
        odd = 0 - (g & 1)
        g += ((f ^ swap) - swap) & odd
        q += ((u ^ swap) - swap) & odd
        r += ((v ^ swap) - swap) & odd
        swap &= odd
        zeta = (zeta ^ swap) - 1
        f += g & swap
        u += q & swap
        v += r & swap
        g >>= 1
        u <<= 1
        v <<= 1
        i += 1
    m[0] = u & 0xFFFF
    m[1] = v & 0xFFFF
    m[2] = q & 0xFFFF
    m[3] = r & 0xFFFF
    return zeta


@micropython.viper
def transform(x: int, y: int, w: ptr16, matrix: int):
    """(x, y) = the matrix times (x, y) / 2**13, which is whole. Both are signed in the top limb."""
    px = ptr16(uint(w) + x)
    py = ptr16(uint(w) + y)
    m = ptr16(uint(w) + matrix)
    u = (m[0] ^ 0x8000) - 0x8000
    v = (m[1] ^ 0x8000) - 0x8000
    q = (m[2] ^ 0x8000) - 0x8000
    r = (m[3] ^ 0x8000) - 0x8000
    top_x = (px[19] ^ 0x8000) - 0x8000
    top_y = (py[19] ^ 0x8000) - 0x8000
    x = (u * px[0] + v * py[0]) >> 13
    y = (q * px[0] + r * py[0]) >> 13
    i = 1
    while i < 19:
        x += u * px[i] + v * py[i]
        y += q * px[i] + r * py[i]
        px[i - 1] = x & _LOW
        py[i - 1] = y & _LOW
        x >>= 13
        y >>= 13
        i += 1
    x += u * top_x + v * top_y
    y += q * top_x + r * top_y
    px[18] = x & _LOW
    py[18] = y & _LOW
    px[19] = (x >> 13) & 0xFFFF
    py[19] = (y >> 13) & 0xFFFF


@micropython.viper
def transform_modular(x: int, y: int, w: ptr16, matrix: int, modulus: int, inverse: int):
    """As `transform`, with the multiple of the modulus added that makes the result whole.

    `inverse` is that of the modulus modulo 2**13. The results stay between -2 and 1 times the
    modulus, as the arguments are.
    """
    px = ptr16(uint(w) + x)
    py = ptr16(uint(w) + y)
    p = ptr16(uint(w) + modulus)
    m = ptr16(uint(w) + matrix)
    u = (m[0] ^ 0x8000) - 0x8000
    v = (m[1] ^ 0x8000) - 0x8000
    q = (m[2] ^ 0x8000) - 0x8000
    r = (m[3] ^ 0x8000) - 0x8000
    top_x = (px[19] ^ 0x8000) - 0x8000
    top_y = (py[19] ^ 0x8000) - 0x8000
    times_x = (u & (top_x >> 31)) + (v & (top_y >> 31))
    times_y = (q & (top_x >> 31)) + (r & (top_y >> 31))
    x = u * px[0] + v * py[0]
    y = q * px[0] + r * py[0]
    times_x -= (inverse * x + times_x) & _LOW
    times_y -= (inverse * y + times_y) & _LOW
    x = (x + times_x * p[0]) >> 13
    y = (y + times_y * p[0]) >> 13
    i = 1
    while i < 19:
        x += u * px[i] + v * py[i] + times_x * p[i]
        y += q * px[i] + r * py[i] + times_y * p[i]
        px[i - 1] = x & _LOW
        py[i - 1] = y & _LOW
        x >>= 13
        y >>= 13
        i += 1
    x += u * top_x + v * top_y + times_x * p[19]
    y += q * top_x + r * top_y + times_y * p[19]
    px[18] = x & _LOW
    py[18] = y & _LOW
    px[19] = (x >> 13) & 0xFFFF
    py[19] = (y >> 13) & 0xFFFF


@micropython.viper
def sign(x: int, w: ptr16) -> int:
    """Return -1 if the signed w[x] is negative, else 0."""
    p = ptr16(uint(w) + x)
    return ((p[19] ^ 0x8000) - 0x8000) >> 31


@micropython.viper
def normalise(x: int, w: ptr16, modulus: int, sign: int):
    """Bring the signed w[x], between -2 and 1 times the modulus, times the sign to 0..modulus-1."""
    p = ptr16(uint(w) + x)
    m = ptr16(uint(w) + modulus)
    top = (p[19] ^ 0x8000) - 0x8000
    mask = top >> 31
    times = 0
    while times < 2:
        x = 0
        i = 0
        while i < 19:
            x += ((p[i] + (m[i] & mask)) ^ sign) - sign
            p[i] = x & _LOW
            x >>= 13
            i += 1
        x += ((top + (m[19] & mask)) ^ sign) - sign
        p[19] = x & 0xFFFF
        # The second time only adds the modulus, if the first left something negative.
        top = x
        mask = x >> 31
        sign = 0
        times += 1


@micropython.viper
def digit(x: int, w: ptr16, column: int, teeth: int, spacing: int, size: int) -> int:
    """Read `teeth` bits, `spacing` apart, of the odd number in w[x], recoded to `size` bits.

    Bit i of the recoded number says whether 2**i is added (1) or subtracted (0); it is bit i + 1
    of the number itself, and 1 at the very top (see `protocol.curve`).
    """
    p = ptr16(uint(w) + x)
    at = column + 1
    found = 0
    tooth = 0
    while tooth < teeth:
        bit = 0
        if at < 260:
            bit = (p[at // 13] >> (at % 13)) & 1
        if at == size:
            bit = 1
        found |= bit << tooth
        at += spacing
        tooth += 1
    return found
