"""Counts what a signature and a verification cost on the emulated Cortex-M3, fast and portable.

Instructions under `qemu -icount`, so the figures are the same on every host. Needs the rig image
(hil_tests/board), which is built on first use. Run as `python -m tools.bench.signature`.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from hil_tests.board import image, qemu
from hil_tests.board.errors import BoardError
from tools.errors import ToolError
from tools.firmware import rom, targets
from tools.progress import Step

ROOT = Path(__file__).resolve().parents[2]
#: DESIGN: what the device may spend.
SIGN_INSTRUCTIONS = 6_000_000
SIGN_GARBAGE_BYTES = 16 << 10
VERIFY_INSTRUCTIONS = 25_000_000
TABLE_BYTES = 32 << 10
_KEYS = 5
_TIMEOUT_S = 120.0
_PROGRAM = f"""
import gc, hashlib, rig
from protocol import p256
gc.collect()
before = gc.mem_alloc()
from tare import p256_viper
gc.collect()
print(gc.mem_alloc() - before, len(p256_viper.TABLE))
rig.count("start", p256_viper.self_test)
for number in range({_KEYS}):
    private = hashlib.sha256(b"key %d" % number).digest()
    digest = hashlib.sha256(b"message %d" % number).digest()
    public = rig.count("key%d" % number, p256_viper.public_key, private)
    signature = rig.count("sign%d" % number, p256_viper.sign, private, digest, bytes(32))
    good = rig.count("verify%d" % number, p256_viper.verify, public, digest, signature)
    bad = rig.count("refuse%d" % number, p256_viper.verify, public, private, signature)
    print(good, bad)
# The first one builds its table.
p256.public_key(private)
same = rig.count_instructions("portable_sign", p256.sign, private, digest, bytes(32)) == signature
print(same, rig.count_instructions("portable_verify", p256.verify, public, digest, signature))
"""


@dataclass(frozen=True)
class Figures:
    """The most that any of several keys took, on the emulated Cortex-M3."""

    start: qemu.Count
    sign: qemu.Count
    verify: qemu.Count
    refuse: qemu.Count
    key: qemu.Count
    #: The portable signer of `protocol`, its table built.
    portable_sign: qemu.Count
    portable_verify: qemu.Count
    table_bytes: int
    #: Compiled for the board, the table apart.
    code_bytes: int
    #: What importing it takes from the heap when it is not frozen (native code is copied there).
    heap_bytes: int


def measure(rig_image: image.Image) -> Figures:
    """Runs both signers on the board; raises BoardError if a result is wrong."""
    device = ROOT / "hil_tests" / "board" / "device"
    tree = rom.files(ROOT / "protocol", "protocol")
    tree |= rom.files(ROOT / "firmware" / "tare", "tare")
    tree["rig.py"] = device / "rig.py"
    with qemu.Board(rig_image, rom.pack(tree, targets.RIG_ARCHITECTURE)) as board:
        run = board.run(_PROGRAM, timeout_s=_TIMEOUT_S)
    sizes, *results = run.output.splitlines()
    if results != [*["True False"] * _KEYS, "True True"]:
        raise BoardError(f"wrong results on the board: {results}")
    heap_bytes, table_bytes = (int(size) for size in sizes.split())
    return Figures(
        start=run.counts["start"],
        sign=_most(run, "sign"),
        verify=_most(run, "verify"),
        refuse=_most(run, "refuse"),
        key=_most(run, "key"),
        portable_sign=run.counts["portable_sign"],
        portable_verify=run.counts["portable_verify"],
        table_bytes=table_bytes,
        code_bytes=_code_bytes() - table_bytes,
        heap_bytes=heap_bytes,
    )


def table(figures: Figures) -> Table:
    """The figures beside their budgets."""
    shown = Table("on the Cortex-M3", "instructions", "at most", "heap garbage", "at most")
    for name, count, instructions, garbage in (
        ("signature", figures.sign, SIGN_INSTRUCTIONS, SIGN_GARBAGE_BYTES),
        ("verification", figures.verify, VERIFY_INSTRUCTIONS, None),
        ("refusal", figures.refuse, VERIFY_INSTRUCTIONS, None),
        ("public key", figures.key, None, None),
        ("start: table and known answer", figures.start, None, None),
        ("portable signature", figures.portable_sign, None, None),
        ("portable verification", figures.portable_verify, None, None),
    ):
        measured = "" if count.garbage_bytes < 0 else _bytes(count.garbage_bytes)
        limit = "" if instructions is None else f"{instructions:,}"
        shown.add_row(name, f"{count.instructions:,}", limit, measured, _bytes(garbage))
    sizes = f"table {_bytes(figures.table_bytes)} (at most {_bytes(TABLE_BYTES)})"
    shown.caption = (
        f"{sizes}, code {_bytes(figures.code_bytes)}, heap when not frozen"
        f" {_bytes(figures.heap_bytes)}"
    )
    for column in shown.columns[1:]:
        column.justify = "right"
    return shown


def _most(run: qemu.Run, name: str) -> qemu.Count:
    counts = [run.counts[f"{name}{number}"] for number in range(_KEYS)]
    return qemu.Count(
        max(count.instructions for count in counts), max(count.garbage_bytes for count in counts)
    )


def _code_bytes() -> int:
    sources = (ROOT / "firmware" / "tare").glob("p256_*.py")
    return sum(len(rom.compiled(source, targets.RIG_ARCHITECTURE)) for source in sources)


def _bytes(size: int | None) -> str:
    return "" if size is None else f"{size:,} B"


def main() -> int:
    """Prints the table; exit code 1 when the board cannot be had."""
    try:
        with Step("Looking for the rig image") as step:
            rig_image = image.find_or_build(step)
        with Step("Counting instructions"):
            figures = measure(rig_image)
    except ToolError as error:
        sys.stderr.write(f"signature.py: {error}\n")
        return error.exit_code
    Console().print(table(figures))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
