"""The tests of the protocol and of the fast signer once more, on the emulated Cortex-M3.

Each file gets a freshly powered board, each of its tests is one pytest item. Vectors come from
TARE_SHARED, packed into the board's ROM.
"""

from __future__ import annotations

import ast
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from hil_tests.board import image, qemu
from tools.firmware import rom, targets

_ROOT = Path(__file__).resolve().parents[3]
_DEVICE = _ROOT / "hil_tests" / "board" / "device"
_PROTOCOL_TESTS = _ROOT / "protocol" / "tests"
_FIRMWARE_TESTS = _ROOT / "firmware" / "tests"
_FILES = [
    *sorted(_PROTOCOL_TESTS.glob("test_*_both.py")),
    *sorted(_FIRMWARE_TESTS.glob("test_p256_*_mp.py")),
]
_SKIPPED = "skipped: "
_TIMEOUT_S = 240.0


def _functions() -> Iterator[tuple[Path, str]]:
    for file in _FILES:
        for node in ast.parse(file.read_text()).body:
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                yield file, node.name


def _module(file: Path) -> str:
    return f"protocol.tests.{file.stem}" if file.parent == _PROTOCOL_TESTS else file.stem


def _contents() -> dict[str, Path]:
    tree = rom.files(_ROOT / "protocol", "protocol", tests=True)
    # What only CPython runs need not compile here.
    tree = {name: path for name, path in tree.items() if _runs_on_the_board(path)}
    tree |= {f"tare/{path.name}": path for path in (_ROOT / "firmware/tare").glob("p256_*.py")}
    tree |= {
        f"tare/{name}": _ROOT / "firmware/tare" / name for name in ("__init__.py", "errors.py")
    }
    tree |= {
        path.name: path for path in _FIRMWARE_TESTS.glob("*p256_*.py") if _runs_on_the_board(path)
    }
    tree["tools/mp_support.py"] = _DEVICE / "mp_support.py"
    shared = Path(os.environ["TARE_SHARED"]) / "vectors"
    if shared.is_dir():
        tree |= rom.files(shared, "shared/vectors")
    return tree


def _runs_on_the_board(path: Path) -> bool:
    both = path.stem.endswith(("_both", "_mp", "_cases"))
    return both or "tests" not in path.parts or path.name == "support.py"


@pytest.fixture(scope="module")
def contents() -> bytes:
    return rom.pack(_contents(), targets.RIG_ARCHITECTURE)


@pytest.fixture(scope="module")
def boards(rig_image: image.Image, contents: bytes) -> Iterator[_Boards]:
    powered = _Boards(rig_image, contents)
    yield powered
    powered.close()


class _Boards:
    """One board at a time, switched on anew for each test: none inherits what another left."""

    def __init__(self, rig_image: image.Image, contents: bytes) -> None:
        self._image = rig_image
        self._contents = contents
        self._board: qemu.Board | None = None

    def fresh(self) -> qemu.Board:
        self.close()
        self._board = qemu.Board(self._image, self._contents).__enter__()
        return self._board

    def close(self) -> None:
        if self._board is not None:
            self._board.__exit__(None, None, None)
            self._board = None


@pytest.mark.timeout(_TIMEOUT_S + 60)
@pytest.mark.parametrize(
    ("file", "name"),
    [pytest.param(*found, id=f"{found[0].stem}:{found[1]}") for found in _functions()],
)
def test_on_the_board(boards: _Boards, file: Path, name: str) -> None:
    program = f"""
import gc
gc.collect()
from tools.mp_support import SkipTest
import {_module(file)} as tests
try:
    tests.{name}()
except SkipTest as skip:
    print({_SKIPPED!r} + str(skip))
"""
    output = boards.fresh().run(program, timeout_s=_TIMEOUT_S).output
    if _SKIPPED in output:
        pytest.skip(output.partition(_SKIPPED)[2].strip())
