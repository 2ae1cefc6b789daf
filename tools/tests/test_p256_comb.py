"""The committed table of the device's signer is what its program writes, and what it says."""

from __future__ import annotations

from protocol import curve
from tools import p256_comb

_R_INVERSE = pow(1 << 260, -1, curve.P)


def test_the_committed_table_is_what_the_program_writes() -> None:
    assert p256_comb.PATH.read_text() == p256_comb.source()


def test_entries_are_the_points_that_the_text_says() -> None:
    """By another way than the program's: repeated doubling and adding of affine points."""
    data = p256_comb.table()
    assert len(data) == 64 * 128
    for entry, scalar in (
        (63, sum(1 << 38 * tooth for tooth in range(7))),
        (0, (1 << 228) - sum(1 << 38 * tooth for tooth in range(6))),
        (
            64 + 5,
            ((1 << 228) + 1 - (1 << 38) + (1 << 76) - (1 << 114) - (1 << 152) - (1 << 190)) << 19,
        ),
    ):
        x, y = curve.multiply(scalar % curve.N, curve.multiply_base(1))
        at = 64 * entry
        stored_x = int.from_bytes(data[at : at + 32], "little")
        stored_y = int.from_bytes(data[at + 32 : at + 64], "little")
        assert (stored_x * _R_INVERSE % curve.P, stored_y * _R_INVERSE % curve.P) == (x, y)
