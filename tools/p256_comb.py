#!/usr/bin/env python3
"""Writes firmware/tare/p256_comb.py: multiples of the base point for the device's signer.

The table is committed, because a device runs it in place from flash and a source tree runs without
a build step; a test makes it again and compares. Uses the portable arithmetic of `protocol`.
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

if __name__ == "__main__":
    # The script's own folder would make every module in it a top-level one.
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from protocol import curve

TEETH = 7
COLUMNS = 38
TABLES = 2
PATH = Path(__file__).resolve().parent.parent / "firmware" / "tare" / "p256_comb.py"
_WIDTH = 88
_R = 1 << 260
_HEADER = '''"""Multiples of P-256's base point for `p256_points`, written by tools/p256_comb.py.

A comb of seven teeth, 38 columns apart. Entry i is 2**228 G plus or minus 2**(38 j) G as bit j of
i says, j = 0 .. 5; entry 64 + i is 2**19 times that. Each is x and y, 32 bytes, lowest first, in
Montgomery form. 8 KB is where a bigger table costs more to check at each start than it saves.
"""

#: SHA-256 of the table: a flipped bit in it would give keys away through wrong signatures.
DIGEST = {digest!r}

# fmt: off
TABLE = (
{lines}
)
# fmt: on
'''


def table() -> bytes:
    """The table's 8,192 bytes."""
    entries = bytearray()
    for half in range(TABLES):
        shift = half * (COLUMNS // TABLES)
        for index in range(1 << (TEETH - 1)):
            multiple = 1 << (COLUMNS * (TEETH - 1))
            for tooth in range(TEETH - 1):
                sign = 1 if index >> tooth & 1 else -1
                multiple += sign << (COLUMNS * tooth)
            for coordinate in curve.multiply_base((multiple << shift) % curve.N):
                entries += (coordinate * _R % curve.P).to_bytes(32, "little")
    return bytes(entries)


def source() -> str:
    """The module's text."""
    data = table()
    lines = "\n".join(f"    {line}" for line in _literals(data))
    return _HEADER.format(digest=hashlib.sha256(data).digest(), lines=lines)


def _literals(data: bytes) -> list[str]:
    """Bytes literals that fill lines, printable bytes as they are."""
    lines = []
    start = 0
    for end in range(1, len(data) + 1):
        if end == len(data) or len(_literal(data[start : end + 1])) > _WIDTH:
            lines.append(_literal(data[start:end]))
            start = end
    return lines


def _literal(data: bytes) -> str:
    text = repr(data)[2:-1]
    if repr(data)[1] == "'":
        text = text.replace("\\'", "'").replace('"', '\\"')
    return f'b"{text}"'


if __name__ == "__main__":
    PATH.write_text(source())
