"""Arithmetic modulo the prime of P-256 in Montgomery form, for `p256_points` alone.

A number is a register: 20 limbs of 13 bits, 40 bytes, at a byte offset of a workspace `w`. With
13 bits a whole column of products fits into a signed 32-bit word; the code is the same on 64 bits.
Unrolled, because a loop costs a microcontroller more than the arithmetic: 3,900 Cortex-M3
instructions a multiplication and 2,500 a squaring, the call included. No garbage, and no branch
that depends on a value.

Every function takes registers below 2.05 p and leaves one below 2.05 p, in Montgomery form with
R = 2**260. Registers may coincide.
"""

# mypy: disable-error-code="no-untyped-def"
# (viper has no word for a function that returns nothing)

import micropython
from micropython import const

_LOW = const(0x1FFF)

# Why the functions look as they do: viper keeps the first two names of a function in registers of
# the processor, and has the others in memory. So x and y, once they have served as arguments, are
# one factor and the running sum. `c = b * x + c`, in this order, is five instructions.
#
# Reduction: p = 2**256 - 2**224 + 2**192 + 2**96 - 1 is -1 modulo 2**13, so the multiple q of p
# that clears the lowest limb is that limb itself, and p's four other terms are shifts: 2**96 is
# limb 7 bit 5, 2**192 limb 14 bit 10, 2**224 limb 17 bit 3, 2**256 limb 19 bit 9.
#
# Bounds: a column is at most 20 * 2**26 and some shifted limbs, below 2**31. Of factors below
# a * p and b * p the product comes out below (1 + a * b / 16) * p.


# fmt: off
@micropython.viper
def multiply(x: int, y: int, w: ptr16, out: int):
    """w[out] = w[x] * w[y] / R."""
    p = ptr16(uint(w) + x); q = ptr16(uint(w) + y); r = ptr16(uint(w) + out)
    a0 = p[0]; a1 = p[1]; a2 = p[2]; a3 = p[3]; a4 = p[4]; a5 = p[5]; a6 = p[6]; a7 = p[7]
    a8 = p[8]; a9 = p[9]; a10 = p[10]; a11 = p[11]; a12 = p[12]; a13 = p[13]; a14 = p[14]
    a15 = p[15]; a16 = p[16]; a17 = p[17]; a18 = p[18]; a19 = p[19]
    b0 = q[0]; b1 = q[1]; b2 = q[2]; b3 = q[3]; b4 = q[4]; b5 = q[5]; b6 = q[6]; b7 = q[7]
    b8 = q[8]; b9 = q[9]; b10 = q[10]; b11 = q[11]; b12 = q[12]; b13 = q[13]; b14 = q[14]
    b15 = q[15]; b16 = q[16]; b17 = q[17]; b18 = q[18]; b19 = q[19]
    x = a0; y = b0 * x; q0 = y & _LOW; y >>= 13
    x = a0; y = b1 * x + y; x = a1; y = b0 * x + y; q1 = y & _LOW; y >>= 13
    x = a0; y = b2 * x + y; x = a1; y = b1 * x + y; x = a2; y = b0 * x + y; q2 = y & _LOW
    y >>= 13
    x = a0; y = b3 * x + y; x = a1; y = b2 * x + y; x = a2; y = b1 * x + y; x = a3; y = b0 * x + y
    q3 = y & _LOW; y >>= 13
    x = a0; y = b4 * x + y; x = a1; y = b3 * x + y; x = a2; y = b2 * x + y; x = a3; y = b1 * x + y
    x = a4; y = b0 * x + y; q4 = y & _LOW; y >>= 13
    x = a0; y = b5 * x + y; x = a1; y = b4 * x + y; x = a2; y = b3 * x + y; x = a3; y = b2 * x + y
    x = a4; y = b1 * x + y; x = a5; y = b0 * x + y; q5 = y & _LOW; y >>= 13
    x = a0; y = b6 * x + y; x = a1; y = b5 * x + y; x = a2; y = b4 * x + y; x = a3; y = b3 * x + y
    x = a4; y = b2 * x + y; x = a5; y = b1 * x + y; x = a6; y = b0 * x + y; q6 = y & _LOW
    y >>= 13
    x = a0; y = b7 * x + y; x = a1; y = b6 * x + y; x = a2; y = b5 * x + y; x = a3; y = b4 * x + y
    x = a4; y = b3 * x + y; x = a5; y = b2 * x + y; x = a6; y = b1 * x + y; x = a7; y = b0 * x + y
    y = (q0 << 5) + y; q7 = y & _LOW; y >>= 13
    x = a0; y = b8 * x + y; x = a1; y = b7 * x + y; x = a2; y = b6 * x + y; x = a3; y = b5 * x + y
    x = a4; y = b4 * x + y; x = a5; y = b3 * x + y; x = a6; y = b2 * x + y; x = a7; y = b1 * x + y
    x = a8; y = b0 * x + y; y = (q1 << 5) + y; q8 = y & _LOW; y >>= 13
    x = a0; y = b9 * x + y; x = a1; y = b8 * x + y; x = a2; y = b7 * x + y; x = a3; y = b6 * x + y
    x = a4; y = b5 * x + y; x = a5; y = b4 * x + y; x = a6; y = b3 * x + y; x = a7; y = b2 * x + y
    x = a8; y = b1 * x + y; x = a9; y = b0 * x + y; y = (q2 << 5) + y; q9 = y & _LOW; y >>= 13
    x = a0; y = b10 * x + y; x = a1; y = b9 * x + y; x = a2; y = b8 * x + y; x = a3
    y = b7 * x + y; x = a4; y = b6 * x + y; x = a5; y = b5 * x + y; x = a6; y = b4 * x + y; x = a7
    y = b3 * x + y; x = a8; y = b2 * x + y; x = a9; y = b1 * x + y; x = a10; y = b0 * x + y
    y = (q3 << 5) + y; q10 = y & _LOW; y >>= 13
    x = a0; y = b11 * x + y; x = a1; y = b10 * x + y; x = a2; y = b9 * x + y; x = a3
    y = b8 * x + y; x = a4; y = b7 * x + y; x = a5; y = b6 * x + y; x = a6; y = b5 * x + y; x = a7
    y = b4 * x + y; x = a8; y = b3 * x + y; x = a9; y = b2 * x + y; x = a10; y = b1 * x + y
    x = a11; y = b0 * x + y; y = (q4 << 5) + y; q11 = y & _LOW; y >>= 13
    x = a0; y = b12 * x + y; x = a1; y = b11 * x + y; x = a2; y = b10 * x + y; x = a3
    y = b9 * x + y; x = a4; y = b8 * x + y; x = a5; y = b7 * x + y; x = a6; y = b6 * x + y; x = a7
    y = b5 * x + y; x = a8; y = b4 * x + y; x = a9; y = b3 * x + y; x = a10; y = b2 * x + y
    x = a11; y = b1 * x + y; x = a12; y = b0 * x + y; y = (q5 << 5) + y; q12 = y & _LOW; y >>= 13
    x = a0; y = b13 * x + y; x = a1; y = b12 * x + y; x = a2; y = b11 * x + y; x = a3
    y = b10 * x + y; x = a4; y = b9 * x + y; x = a5; y = b8 * x + y; x = a6; y = b7 * x + y
    x = a7; y = b6 * x + y; x = a8; y = b5 * x + y; x = a9; y = b4 * x + y; x = a10
    y = b3 * x + y; x = a11; y = b2 * x + y; x = a12; y = b1 * x + y; x = a13; y = b0 * x + y
    y = (q6 << 5) + y; q13 = y & _LOW; y >>= 13
    x = a0; y = b14 * x + y; x = a1; y = b13 * x + y; x = a2; y = b12 * x + y; x = a3
    y = b11 * x + y; x = a4; y = b10 * x + y; x = a5; y = b9 * x + y; x = a6; y = b8 * x + y
    x = a7; y = b7 * x + y; x = a8; y = b6 * x + y; x = a9; y = b5 * x + y; x = a10
    y = b4 * x + y; x = a11; y = b3 * x + y; x = a12; y = b2 * x + y; x = a13; y = b1 * x + y
    x = a14; y = b0 * x + y; y = (q7 << 5) + y; y = (q0 << 10) + y; q14 = y & _LOW; y >>= 13
    x = a0; y = b15 * x + y; x = a1; y = b14 * x + y; x = a2; y = b13 * x + y; x = a3
    y = b12 * x + y; x = a4; y = b11 * x + y; x = a5; y = b10 * x + y; x = a6; y = b9 * x + y
    x = a7; y = b8 * x + y; x = a8; y = b7 * x + y; x = a9; y = b6 * x + y; x = a10
    y = b5 * x + y; x = a11; y = b4 * x + y; x = a12; y = b3 * x + y; x = a13; y = b2 * x + y
    x = a14; y = b1 * x + y; x = a15; y = b0 * x + y; y = (q8 << 5) + y; y = (q1 << 10) + y
    q15 = y & _LOW; y >>= 13
    x = a0; y = b16 * x + y; x = a1; y = b15 * x + y; x = a2; y = b14 * x + y; x = a3
    y = b13 * x + y; x = a4; y = b12 * x + y; x = a5; y = b11 * x + y; x = a6; y = b10 * x + y
    x = a7; y = b9 * x + y; x = a8; y = b8 * x + y; x = a9; y = b7 * x + y; x = a10
    y = b6 * x + y; x = a11; y = b5 * x + y; x = a12; y = b4 * x + y; x = a13; y = b3 * x + y
    x = a14; y = b2 * x + y; x = a15; y = b1 * x + y; x = a16; y = b0 * x + y; y = (q9 << 5) + y
    y = (q2 << 10) + y; q16 = y & _LOW; y >>= 13
    x = a0; y = b17 * x + y; x = a1; y = b16 * x + y; x = a2; y = b15 * x + y; x = a3
    y = b14 * x + y; x = a4; y = b13 * x + y; x = a5; y = b12 * x + y; x = a6; y = b11 * x + y
    x = a7; y = b10 * x + y; x = a8; y = b9 * x + y; x = a9; y = b8 * x + y; x = a10
    y = b7 * x + y; x = a11; y = b6 * x + y; x = a12; y = b5 * x + y; x = a13; y = b4 * x + y
    x = a14; y = b3 * x + y; x = a15; y = b2 * x + y; x = a16; y = b1 * x + y; x = a17
    y = b0 * x + y; y = (q10 << 5) + y; y = (q3 << 10) + y; y -= q0 << 3; q17 = y & _LOW; y >>= 13
    x = a0; y = b18 * x + y; x = a1; y = b17 * x + y; x = a2; y = b16 * x + y; x = a3
    y = b15 * x + y; x = a4; y = b14 * x + y; x = a5; y = b13 * x + y; x = a6; y = b12 * x + y
    x = a7; y = b11 * x + y; x = a8; y = b10 * x + y; x = a9; y = b9 * x + y; x = a10
    y = b8 * x + y; x = a11; y = b7 * x + y; x = a12; y = b6 * x + y; x = a13; y = b5 * x + y
    x = a14; y = b4 * x + y; x = a15; y = b3 * x + y; x = a16; y = b2 * x + y; x = a17
    y = b1 * x + y; x = a18; y = b0 * x + y; y = (q11 << 5) + y; y = (q4 << 10) + y; y -= q1 << 3
    q18 = y & _LOW; y >>= 13
    x = a0; y = b19 * x + y; x = a1; y = b18 * x + y; x = a2; y = b17 * x + y; x = a3
    y = b16 * x + y; x = a4; y = b15 * x + y; x = a5; y = b14 * x + y; x = a6; y = b13 * x + y
    x = a7; y = b12 * x + y; x = a8; y = b11 * x + y; x = a9; y = b10 * x + y; x = a10
    y = b9 * x + y; x = a11; y = b8 * x + y; x = a12; y = b7 * x + y; x = a13; y = b6 * x + y
    x = a14; y = b5 * x + y; x = a15; y = b4 * x + y; x = a16; y = b3 * x + y; x = a17
    y = b2 * x + y; x = a18; y = b1 * x + y; x = a19; y = b0 * x + y; y = (q12 << 5) + y
    y = (q5 << 10) + y; y -= q2 << 3; y = (q0 << 9) + y; q19 = y & _LOW; y >>= 13
    x = a1; y = b19 * x + y; x = a2; y = b18 * x + y; x = a3; y = b17 * x + y; x = a4
    y = b16 * x + y; x = a5; y = b15 * x + y; x = a6; y = b14 * x + y; x = a7; y = b13 * x + y
    x = a8; y = b12 * x + y; x = a9; y = b11 * x + y; x = a10; y = b10 * x + y; x = a11
    y = b9 * x + y; x = a12; y = b8 * x + y; x = a13; y = b7 * x + y; x = a14; y = b6 * x + y
    x = a15; y = b5 * x + y; x = a16; y = b4 * x + y; x = a17; y = b3 * x + y; x = a18
    y = b2 * x + y; x = a19; y = b1 * x + y; y = (q13 << 5) + y; y = (q6 << 10) + y; y -= q3 << 3
    y = (q1 << 9) + y; r[0] = y & _LOW; y >>= 13
    x = a2; y = b19 * x + y; x = a3; y = b18 * x + y; x = a4; y = b17 * x + y; x = a5
    y = b16 * x + y; x = a6; y = b15 * x + y; x = a7; y = b14 * x + y; x = a8; y = b13 * x + y
    x = a9; y = b12 * x + y; x = a10; y = b11 * x + y; x = a11; y = b10 * x + y; x = a12
    y = b9 * x + y; x = a13; y = b8 * x + y; x = a14; y = b7 * x + y; x = a15; y = b6 * x + y
    x = a16; y = b5 * x + y; x = a17; y = b4 * x + y; x = a18; y = b3 * x + y; x = a19
    y = b2 * x + y; y = (q14 << 5) + y; y = (q7 << 10) + y; y -= q4 << 3; y = (q2 << 9) + y
    r[1] = y & _LOW; y >>= 13
    x = a3; y = b19 * x + y; x = a4; y = b18 * x + y; x = a5; y = b17 * x + y; x = a6
    y = b16 * x + y; x = a7; y = b15 * x + y; x = a8; y = b14 * x + y; x = a9; y = b13 * x + y
    x = a10; y = b12 * x + y; x = a11; y = b11 * x + y; x = a12; y = b10 * x + y; x = a13
    y = b9 * x + y; x = a14; y = b8 * x + y; x = a15; y = b7 * x + y; x = a16; y = b6 * x + y
    x = a17; y = b5 * x + y; x = a18; y = b4 * x + y; x = a19; y = b3 * x + y; y = (q15 << 5) + y
    y = (q8 << 10) + y; y -= q5 << 3; y = (q3 << 9) + y; r[2] = y & _LOW; y >>= 13
    x = a4; y = b19 * x + y; x = a5; y = b18 * x + y; x = a6; y = b17 * x + y; x = a7
    y = b16 * x + y; x = a8; y = b15 * x + y; x = a9; y = b14 * x + y; x = a10; y = b13 * x + y
    x = a11; y = b12 * x + y; x = a12; y = b11 * x + y; x = a13; y = b10 * x + y; x = a14
    y = b9 * x + y; x = a15; y = b8 * x + y; x = a16; y = b7 * x + y; x = a17; y = b6 * x + y
    x = a18; y = b5 * x + y; x = a19; y = b4 * x + y; y = (q16 << 5) + y; y = (q9 << 10) + y
    y -= q6 << 3; y = (q4 << 9) + y; r[3] = y & _LOW; y >>= 13
    x = a5; y = b19 * x + y; x = a6; y = b18 * x + y; x = a7; y = b17 * x + y; x = a8
    y = b16 * x + y; x = a9; y = b15 * x + y; x = a10; y = b14 * x + y; x = a11; y = b13 * x + y
    x = a12; y = b12 * x + y; x = a13; y = b11 * x + y; x = a14; y = b10 * x + y; x = a15
    y = b9 * x + y; x = a16; y = b8 * x + y; x = a17; y = b7 * x + y; x = a18; y = b6 * x + y
    x = a19; y = b5 * x + y; y = (q17 << 5) + y; y = (q10 << 10) + y; y -= q7 << 3
    y = (q5 << 9) + y; r[4] = y & _LOW; y >>= 13
    x = a6; y = b19 * x + y; x = a7; y = b18 * x + y; x = a8; y = b17 * x + y; x = a9
    y = b16 * x + y; x = a10; y = b15 * x + y; x = a11; y = b14 * x + y; x = a12; y = b13 * x + y
    x = a13; y = b12 * x + y; x = a14; y = b11 * x + y; x = a15; y = b10 * x + y; x = a16
    y = b9 * x + y; x = a17; y = b8 * x + y; x = a18; y = b7 * x + y; x = a19; y = b6 * x + y
    y = (q18 << 5) + y; y = (q11 << 10) + y; y -= q8 << 3; y = (q6 << 9) + y; r[5] = y & _LOW
    y >>= 13
    x = a7; y = b19 * x + y; x = a8; y = b18 * x + y; x = a9; y = b17 * x + y; x = a10
    y = b16 * x + y; x = a11; y = b15 * x + y; x = a12; y = b14 * x + y; x = a13; y = b13 * x + y
    x = a14; y = b12 * x + y; x = a15; y = b11 * x + y; x = a16; y = b10 * x + y; x = a17
    y = b9 * x + y; x = a18; y = b8 * x + y; x = a19; y = b7 * x + y; y = (q19 << 5) + y
    y = (q12 << 10) + y; y -= q9 << 3; y = (q7 << 9) + y; r[6] = y & _LOW; y >>= 13
    x = a8; y = b19 * x + y; x = a9; y = b18 * x + y; x = a10; y = b17 * x + y; x = a11
    y = b16 * x + y; x = a12; y = b15 * x + y; x = a13; y = b14 * x + y; x = a14; y = b13 * x + y
    x = a15; y = b12 * x + y; x = a16; y = b11 * x + y; x = a17; y = b10 * x + y; x = a18
    y = b9 * x + y; x = a19; y = b8 * x + y; y = (q13 << 10) + y; y -= q10 << 3; y = (q8 << 9) + y
    r[7] = y & _LOW; y >>= 13
    x = a9; y = b19 * x + y; x = a10; y = b18 * x + y; x = a11; y = b17 * x + y; x = a12
    y = b16 * x + y; x = a13; y = b15 * x + y; x = a14; y = b14 * x + y; x = a15; y = b13 * x + y
    x = a16; y = b12 * x + y; x = a17; y = b11 * x + y; x = a18; y = b10 * x + y; x = a19
    y = b9 * x + y; y = (q14 << 10) + y; y -= q11 << 3; y = (q9 << 9) + y; r[8] = y & _LOW
    y >>= 13
    x = a10; y = b19 * x + y; x = a11; y = b18 * x + y; x = a12; y = b17 * x + y; x = a13
    y = b16 * x + y; x = a14; y = b15 * x + y; x = a15; y = b14 * x + y; x = a16; y = b13 * x + y
    x = a17; y = b12 * x + y; x = a18; y = b11 * x + y; x = a19; y = b10 * x + y
    y = (q15 << 10) + y; y -= q12 << 3; y = (q10 << 9) + y; r[9] = y & _LOW; y >>= 13
    x = a11; y = b19 * x + y; x = a12; y = b18 * x + y; x = a13; y = b17 * x + y; x = a14
    y = b16 * x + y; x = a15; y = b15 * x + y; x = a16; y = b14 * x + y; x = a17; y = b13 * x + y
    x = a18; y = b12 * x + y; x = a19; y = b11 * x + y; y = (q16 << 10) + y; y -= q13 << 3
    y = (q11 << 9) + y; r[10] = y & _LOW; y >>= 13
    x = a12; y = b19 * x + y; x = a13; y = b18 * x + y; x = a14; y = b17 * x + y; x = a15
    y = b16 * x + y; x = a16; y = b15 * x + y; x = a17; y = b14 * x + y; x = a18; y = b13 * x + y
    x = a19; y = b12 * x + y; y = (q17 << 10) + y; y -= q14 << 3; y = (q12 << 9) + y
    r[11] = y & _LOW; y >>= 13
    x = a13; y = b19 * x + y; x = a14; y = b18 * x + y; x = a15; y = b17 * x + y; x = a16
    y = b16 * x + y; x = a17; y = b15 * x + y; x = a18; y = b14 * x + y; x = a19; y = b13 * x + y
    y = (q18 << 10) + y; y -= q15 << 3; y = (q13 << 9) + y; r[12] = y & _LOW; y >>= 13
    x = a14; y = b19 * x + y; x = a15; y = b18 * x + y; x = a16; y = b17 * x + y; x = a17
    y = b16 * x + y; x = a18; y = b15 * x + y; x = a19; y = b14 * x + y; y = (q19 << 10) + y
    y -= q16 << 3; y = (q14 << 9) + y; r[13] = y & _LOW; y >>= 13
    x = a15; y = b19 * x + y; x = a16; y = b18 * x + y; x = a17; y = b17 * x + y; x = a18
    y = b16 * x + y; x = a19; y = b15 * x + y; y -= q17 << 3; y = (q15 << 9) + y; r[14] = y & _LOW
    y >>= 13
    x = a16; y = b19 * x + y; x = a17; y = b18 * x + y; x = a18; y = b17 * x + y; x = a19
    y = b16 * x + y; y -= q18 << 3; y = (q16 << 9) + y; r[15] = y & _LOW; y >>= 13
    x = a17; y = b19 * x + y; x = a18; y = b18 * x + y; x = a19; y = b17 * x + y; y -= q19 << 3
    y = (q17 << 9) + y; r[16] = y & _LOW; y >>= 13
    x = a18; y = b19 * x + y; x = a19; y = b18 * x + y; y = (q18 << 9) + y; r[17] = y & _LOW
    y >>= 13
    x = a19; y = b19 * x + y; y = (q19 << 9) + y; r[18] = y & _LOW; y >>= 13
    r[19] = y


@micropython.viper
def square(x: int, y: int, w: ptr16):
    """w[y] = w[x]**2 / R. Each pair of unlike limbs is multiplied once, one of them doubled."""
    p = ptr16(uint(w) + x); r = ptr16(uint(w) + y)
    a0 = p[0]; a1 = p[1]; a2 = p[2]; a3 = p[3]; a4 = p[4]; a5 = p[5]; a6 = p[6]; a7 = p[7]
    a8 = p[8]; a9 = p[9]; a10 = p[10]; a11 = p[11]; a12 = p[12]; a13 = p[13]; a14 = p[14]
    a15 = p[15]; a16 = p[16]; a17 = p[17]; a18 = p[18]; a19 = p[19]
    b0 = a0 + a0; b1 = a1 + a1; b2 = a2 + a2; b3 = a3 + a3; b4 = a4 + a4; b5 = a5 + a5
    b6 = a6 + a6; b7 = a7 + a7; b8 = a8 + a8; b9 = a9 + a9; b10 = a10 + a10; b11 = a11 + a11
    b12 = a12 + a12; b13 = a13 + a13; b14 = a14 + a14; b15 = a15 + a15; b16 = a16 + a16
    b17 = a17 + a17; b18 = a18 + a18
    x = a0; y = a0 * x; q0 = y & _LOW; y >>= 13
    x = b0; y = a1 * x + y; q1 = y & _LOW; y >>= 13
    x = b0; y = a2 * x + y; x = a1; y = a1 * x + y; q2 = y & _LOW; y >>= 13
    x = b0; y = a3 * x + y; x = b1; y = a2 * x + y; q3 = y & _LOW; y >>= 13
    x = b0; y = a4 * x + y; x = b1; y = a3 * x + y; x = a2; y = a2 * x + y; q4 = y & _LOW
    y >>= 13
    x = b0; y = a5 * x + y; x = b1; y = a4 * x + y; x = b2; y = a3 * x + y; q5 = y & _LOW
    y >>= 13
    x = b0; y = a6 * x + y; x = b1; y = a5 * x + y; x = b2; y = a4 * x + y; x = a3; y = a3 * x + y
    q6 = y & _LOW; y >>= 13
    x = b0; y = a7 * x + y; x = b1; y = a6 * x + y; x = b2; y = a5 * x + y; x = b3; y = a4 * x + y
    y = (q0 << 5) + y; q7 = y & _LOW; y >>= 13
    x = b0; y = a8 * x + y; x = b1; y = a7 * x + y; x = b2; y = a6 * x + y; x = b3; y = a5 * x + y
    x = a4; y = a4 * x + y; y = (q1 << 5) + y; q8 = y & _LOW; y >>= 13
    x = b0; y = a9 * x + y; x = b1; y = a8 * x + y; x = b2; y = a7 * x + y; x = b3; y = a6 * x + y
    x = b4; y = a5 * x + y; y = (q2 << 5) + y; q9 = y & _LOW; y >>= 13
    x = b0; y = a10 * x + y; x = b1; y = a9 * x + y; x = b2; y = a8 * x + y; x = b3
    y = a7 * x + y; x = b4; y = a6 * x + y; x = a5; y = a5 * x + y; y = (q3 << 5) + y
    q10 = y & _LOW; y >>= 13
    x = b0; y = a11 * x + y; x = b1; y = a10 * x + y; x = b2; y = a9 * x + y; x = b3
    y = a8 * x + y; x = b4; y = a7 * x + y; x = b5; y = a6 * x + y; y = (q4 << 5) + y
    q11 = y & _LOW; y >>= 13
    x = b0; y = a12 * x + y; x = b1; y = a11 * x + y; x = b2; y = a10 * x + y; x = b3
    y = a9 * x + y; x = b4; y = a8 * x + y; x = b5; y = a7 * x + y; x = a6; y = a6 * x + y
    y = (q5 << 5) + y; q12 = y & _LOW; y >>= 13
    x = b0; y = a13 * x + y; x = b1; y = a12 * x + y; x = b2; y = a11 * x + y; x = b3
    y = a10 * x + y; x = b4; y = a9 * x + y; x = b5; y = a8 * x + y; x = b6; y = a7 * x + y
    y = (q6 << 5) + y; q13 = y & _LOW; y >>= 13
    x = b0; y = a14 * x + y; x = b1; y = a13 * x + y; x = b2; y = a12 * x + y; x = b3
    y = a11 * x + y; x = b4; y = a10 * x + y; x = b5; y = a9 * x + y; x = b6; y = a8 * x + y
    x = a7; y = a7 * x + y; y = (q7 << 5) + y; y = (q0 << 10) + y; q14 = y & _LOW; y >>= 13
    x = b0; y = a15 * x + y; x = b1; y = a14 * x + y; x = b2; y = a13 * x + y; x = b3
    y = a12 * x + y; x = b4; y = a11 * x + y; x = b5; y = a10 * x + y; x = b6; y = a9 * x + y
    x = b7; y = a8 * x + y; y = (q8 << 5) + y; y = (q1 << 10) + y; q15 = y & _LOW; y >>= 13
    x = b0; y = a16 * x + y; x = b1; y = a15 * x + y; x = b2; y = a14 * x + y; x = b3
    y = a13 * x + y; x = b4; y = a12 * x + y; x = b5; y = a11 * x + y; x = b6; y = a10 * x + y
    x = b7; y = a9 * x + y; x = a8; y = a8 * x + y; y = (q9 << 5) + y; y = (q2 << 10) + y
    q16 = y & _LOW; y >>= 13
    x = b0; y = a17 * x + y; x = b1; y = a16 * x + y; x = b2; y = a15 * x + y; x = b3
    y = a14 * x + y; x = b4; y = a13 * x + y; x = b5; y = a12 * x + y; x = b6; y = a11 * x + y
    x = b7; y = a10 * x + y; x = b8; y = a9 * x + y; y = (q10 << 5) + y; y = (q3 << 10) + y
    y -= q0 << 3; q17 = y & _LOW; y >>= 13
    x = b0; y = a18 * x + y; x = b1; y = a17 * x + y; x = b2; y = a16 * x + y; x = b3
    y = a15 * x + y; x = b4; y = a14 * x + y; x = b5; y = a13 * x + y; x = b6; y = a12 * x + y
    x = b7; y = a11 * x + y; x = b8; y = a10 * x + y; x = a9; y = a9 * x + y; y = (q11 << 5) + y
    y = (q4 << 10) + y; y -= q1 << 3; q18 = y & _LOW; y >>= 13
    x = b0; y = a19 * x + y; x = b1; y = a18 * x + y; x = b2; y = a17 * x + y; x = b3
    y = a16 * x + y; x = b4; y = a15 * x + y; x = b5; y = a14 * x + y; x = b6; y = a13 * x + y
    x = b7; y = a12 * x + y; x = b8; y = a11 * x + y; x = b9; y = a10 * x + y; y = (q12 << 5) + y
    y = (q5 << 10) + y; y -= q2 << 3; y = (q0 << 9) + y; q19 = y & _LOW; y >>= 13
    x = b1; y = a19 * x + y; x = b2; y = a18 * x + y; x = b3; y = a17 * x + y; x = b4
    y = a16 * x + y; x = b5; y = a15 * x + y; x = b6; y = a14 * x + y; x = b7; y = a13 * x + y
    x = b8; y = a12 * x + y; x = b9; y = a11 * x + y; x = a10; y = a10 * x + y; y = (q13 << 5) + y
    y = (q6 << 10) + y; y -= q3 << 3; y = (q1 << 9) + y; r[0] = y & _LOW; y >>= 13
    x = b2; y = a19 * x + y; x = b3; y = a18 * x + y; x = b4; y = a17 * x + y; x = b5
    y = a16 * x + y; x = b6; y = a15 * x + y; x = b7; y = a14 * x + y; x = b8; y = a13 * x + y
    x = b9; y = a12 * x + y; x = b10; y = a11 * x + y; y = (q14 << 5) + y; y = (q7 << 10) + y
    y -= q4 << 3; y = (q2 << 9) + y; r[1] = y & _LOW; y >>= 13
    x = b3; y = a19 * x + y; x = b4; y = a18 * x + y; x = b5; y = a17 * x + y; x = b6
    y = a16 * x + y; x = b7; y = a15 * x + y; x = b8; y = a14 * x + y; x = b9; y = a13 * x + y
    x = b10; y = a12 * x + y; x = a11; y = a11 * x + y; y = (q15 << 5) + y; y = (q8 << 10) + y
    y -= q5 << 3; y = (q3 << 9) + y; r[2] = y & _LOW; y >>= 13
    x = b4; y = a19 * x + y; x = b5; y = a18 * x + y; x = b6; y = a17 * x + y; x = b7
    y = a16 * x + y; x = b8; y = a15 * x + y; x = b9; y = a14 * x + y; x = b10; y = a13 * x + y
    x = b11; y = a12 * x + y; y = (q16 << 5) + y; y = (q9 << 10) + y; y -= q6 << 3
    y = (q4 << 9) + y; r[3] = y & _LOW; y >>= 13
    x = b5; y = a19 * x + y; x = b6; y = a18 * x + y; x = b7; y = a17 * x + y; x = b8
    y = a16 * x + y; x = b9; y = a15 * x + y; x = b10; y = a14 * x + y; x = b11; y = a13 * x + y
    x = a12; y = a12 * x + y; y = (q17 << 5) + y; y = (q10 << 10) + y; y -= q7 << 3
    y = (q5 << 9) + y; r[4] = y & _LOW; y >>= 13
    x = b6; y = a19 * x + y; x = b7; y = a18 * x + y; x = b8; y = a17 * x + y; x = b9
    y = a16 * x + y; x = b10; y = a15 * x + y; x = b11; y = a14 * x + y; x = b12; y = a13 * x + y
    y = (q18 << 5) + y; y = (q11 << 10) + y; y -= q8 << 3; y = (q6 << 9) + y; r[5] = y & _LOW
    y >>= 13
    x = b7; y = a19 * x + y; x = b8; y = a18 * x + y; x = b9; y = a17 * x + y; x = b10
    y = a16 * x + y; x = b11; y = a15 * x + y; x = b12; y = a14 * x + y; x = a13; y = a13 * x + y
    y = (q19 << 5) + y; y = (q12 << 10) + y; y -= q9 << 3; y = (q7 << 9) + y; r[6] = y & _LOW
    y >>= 13
    x = b8; y = a19 * x + y; x = b9; y = a18 * x + y; x = b10; y = a17 * x + y; x = b11
    y = a16 * x + y; x = b12; y = a15 * x + y; x = b13; y = a14 * x + y; y = (q13 << 10) + y
    y -= q10 << 3; y = (q8 << 9) + y; r[7] = y & _LOW; y >>= 13
    x = b9; y = a19 * x + y; x = b10; y = a18 * x + y; x = b11; y = a17 * x + y; x = b12
    y = a16 * x + y; x = b13; y = a15 * x + y; x = a14; y = a14 * x + y; y = (q14 << 10) + y
    y -= q11 << 3; y = (q9 << 9) + y; r[8] = y & _LOW; y >>= 13
    x = b10; y = a19 * x + y; x = b11; y = a18 * x + y; x = b12; y = a17 * x + y; x = b13
    y = a16 * x + y; x = b14; y = a15 * x + y; y = (q15 << 10) + y; y -= q12 << 3
    y = (q10 << 9) + y; r[9] = y & _LOW; y >>= 13
    x = b11; y = a19 * x + y; x = b12; y = a18 * x + y; x = b13; y = a17 * x + y; x = b14
    y = a16 * x + y; x = a15; y = a15 * x + y; y = (q16 << 10) + y; y -= q13 << 3
    y = (q11 << 9) + y; r[10] = y & _LOW; y >>= 13
    x = b12; y = a19 * x + y; x = b13; y = a18 * x + y; x = b14; y = a17 * x + y; x = b15
    y = a16 * x + y; y = (q17 << 10) + y; y -= q14 << 3; y = (q12 << 9) + y; r[11] = y & _LOW
    y >>= 13
    x = b13; y = a19 * x + y; x = b14; y = a18 * x + y; x = b15; y = a17 * x + y; x = a16
    y = a16 * x + y; y = (q18 << 10) + y; y -= q15 << 3; y = (q13 << 9) + y; r[12] = y & _LOW
    y >>= 13
    x = b14; y = a19 * x + y; x = b15; y = a18 * x + y; x = b16; y = a17 * x + y
    y = (q19 << 10) + y; y -= q16 << 3; y = (q14 << 9) + y; r[13] = y & _LOW; y >>= 13
    x = b15; y = a19 * x + y; x = b16; y = a18 * x + y; x = a17; y = a17 * x + y; y -= q17 << 3
    y = (q15 << 9) + y; r[14] = y & _LOW; y >>= 13
    x = b16; y = a19 * x + y; x = b17; y = a18 * x + y; y -= q18 << 3; y = (q16 << 9) + y
    r[15] = y & _LOW; y >>= 13
    x = b17; y = a19 * x + y; x = a18; y = a18 * x + y; y -= q19 << 3; y = (q17 << 9) + y
    r[16] = y & _LOW; y >>= 13
    x = b18; y = a19 * x + y; y = (q18 << 9) + y; r[17] = y & _LOW; y >>= 13
    x = a19; y = a19 * x + y; y = (q19 << 9) + y; r[18] = y & _LOW; y >>= 13
    r[19] = y


@micropython.viper
def combine(x: int, y: int, w: ptr16, out: int, kx: int, ky: int):
    """w[out] = kx * w[x] + ky * w[y], for abs(kx) + abs(ky) <= 12.

    h multiples of p are taken away: h is the sum's top limb without the 9 bits that belong below
    2**256, less one, so that the rest cannot become negative: it is above 0.95 p.
    """
    p = ptr16(uint(w) + x); q = ptr16(uint(w) + y); r = ptr16(uint(w) + out)
    y = kx
    h = ((p[19] * y + q[19] * ky) >> 9) - 1
    x = h
    x = p[0] * y + x; x = q[0] * ky + x; r[0] = x & _LOW; x >>= 13
    x = p[1] * y + x; x = q[1] * ky + x; r[1] = x & _LOW; x >>= 13
    x = p[2] * y + x; x = q[2] * ky + x; r[2] = x & _LOW; x >>= 13
    x = p[3] * y + x; x = q[3] * ky + x; r[3] = x & _LOW; x >>= 13
    x = p[4] * y + x; x = q[4] * ky + x; r[4] = x & _LOW; x >>= 13
    x = p[5] * y + x; x = q[5] * ky + x; r[5] = x & _LOW; x >>= 13
    x = p[6] * y + x; x = q[6] * ky + x; r[6] = x & _LOW; x >>= 13
    x = p[7] * y + x; x = q[7] * ky + x; x -= h << 5; r[7] = x & _LOW; x >>= 13
    x = p[8] * y + x; x = q[8] * ky + x; r[8] = x & _LOW; x >>= 13
    x = p[9] * y + x; x = q[9] * ky + x; r[9] = x & _LOW; x >>= 13
    x = p[10] * y + x; x = q[10] * ky + x; r[10] = x & _LOW; x >>= 13
    x = p[11] * y + x; x = q[11] * ky + x; r[11] = x & _LOW; x >>= 13
    x = p[12] * y + x; x = q[12] * ky + x; r[12] = x & _LOW; x >>= 13
    x = p[13] * y + x; x = q[13] * ky + x; r[13] = x & _LOW; x >>= 13
    x = p[14] * y + x; x = q[14] * ky + x; x -= h << 10; r[14] = x & _LOW; x >>= 13
    x = p[15] * y + x; x = q[15] * ky + x; r[15] = x & _LOW; x >>= 13
    x = p[16] * y + x; x = q[16] * ky + x; r[16] = x & _LOW; x >>= 13
    x = p[17] * y + x; x = q[17] * ky + x; x = (h << 3) + x; r[17] = x & _LOW; x >>= 13
    x = p[18] * y + x; x = q[18] * ky + x; r[18] = x & _LOW; x >>= 13
    x = p[19] * y + x; x = q[19] * ky + x; x -= h << 9; r[19] = x
# fmt: on
