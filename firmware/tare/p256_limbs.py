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
# 590 steps suffice for every value and modulus below 2**256 (Bernstein and Yang, "Fast
# constant-time gcd computation and modular inversion", with the start of 1/2 found by Wuille);
# 46 rounds of 13, one limb a round, are 598.
_ROUNDS = const(46)


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
def divide_steps(w: ptr16, f: int, g: int, d: int, e: int, modulus: int, inverse: int) -> int:
    """Leave in w[d] the inverse of w[g] times the sign that is returned (0 or -1).

    Begins with f = modulus, d = 0, e = 1 and a canonical g; w[d] ends as a signed number for
    `normalise`. `inverse` is that of the modulus modulo 2**13. A round works out 13 steps of the
    greatest common divisor on the lowest limbs alone, as a matrix (u v, q r), then applies the
    matrix to the whole of (f, g), and modulo the modulus to (d, e). It is one function because
    the nine numbers that a round carries would have to go through memory between several.
    """
    pf = ptr16(uint(w) + f)
    pg = ptr16(uint(w) + g)
    pd = ptr16(uint(w) + d)
    pe = ptr16(uint(w) + e)
    m = ptr16(uint(w) + modulus)
    zeta = 0 - 1
    rounds = 0
    while rounds < _ROUNDS:
        u = 1
        v = 0
        q = 0
        r = 1
        low_f = pf[0]
        low_g = pg[0]
        i = 0
        while i < 13:
            swap = zeta >> 31
            odd = 0 - (low_g & 1)
            low_g += ((low_f ^ swap) - swap) & odd
            q += ((u ^ swap) - swap) & odd
            r += ((v ^ swap) - swap) & odd
            swap &= odd
            zeta = (zeta ^ swap) - 1
            low_f += low_g & swap
            u += q & swap
            v += r & swap
            low_g >>= 1
            u <<= 1
            v <<= 1
            i += 1
        f = (u * pf[0] + v * pg[0]) >> 13
        g = (q * pf[0] + r * pg[0]) >> 13
        # The top limb is signed, in 16 bits.
        top_d = (pd[19] ^ 0x8000) - 0x8000
        top_e = (pe[19] ^ 0x8000) - 0x8000
        times_d = (u & (top_d >> 31)) + (v & (top_e >> 31))
        times_e = (q & (top_d >> 31)) + (r & (top_e >> 31))
        d = u * pd[0] + v * pe[0]
        e = q * pd[0] + r * pe[0]
        times_d -= (inverse * d + times_d) & _LOW
        times_e -= (inverse * e + times_e) & _LOW
        d = (d + times_d * m[0]) >> 13
        e = (e + times_e * m[0]) >> 13
        i = 1
        while i < 19:
            f += u * pf[i] + v * pg[i]
            g += q * pf[i] + r * pg[i]
            pf[i - 1] = f & _LOW
            pg[i - 1] = g & _LOW
            f >>= 13
            g >>= 13
            d += u * pd[i] + v * pe[i] + times_d * m[i]
            e += q * pd[i] + r * pe[i] + times_e * m[i]
            pd[i - 1] = d & _LOW
            pe[i - 1] = e & _LOW
            d >>= 13
            e >>= 13
            i += 1
        top_f = (pf[19] ^ 0x8000) - 0x8000
        top_g = (pg[19] ^ 0x8000) - 0x8000
        f += u * top_f + v * top_g
        g += q * top_f + r * top_g
        d += u * top_d + v * top_e + times_d * m[19]
        e += q * top_d + r * top_e + times_e * m[19]
        pf[18] = f & _LOW
        pg[18] = g & _LOW
        pd[18] = d & _LOW
        pe[18] = e & _LOW
        pf[19] = (f >> 13) & 0xFFFF
        pg[19] = (g >> 13) & 0xFFFF
        pd[19] = (d >> 13) & 0xFFFF
        pe[19] = (e >> 13) & 0xFFFF
        rounds += 1
    return ((pf[19] ^ 0x8000) - 0x8000) >> 31


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
