"""Packs Python packages, compiled for the Cortex-M3, into a ROM file system for the board.

The board runs code and reads constants in place there, as from flash. Native (viper) functions
are the exception: MicroPython 1.25 copies them to the heap when it imports them.
"""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path

from mpremote.romfs import VfsRomWriter  # type: ignore[import-untyped]

from hil_tests.board.errors import BoardError

_ARCHITECTURE = "armv7m"


def pack(tree: Mapping[str, Path], mpy_cross: Path) -> bytes:
    """The image of a file system whose top level is `tree`: names to files or folders.

    Python files are compiled; tests, caches and whatever else is not Python stay behind.
    """
    writer = VfsRomWriter()
    for name, path in sorted(tree.items()):
        _add(writer, name, path, mpy_cross)
    image: bytes = writer.finalise()
    return image


def compiled(source: Path, mpy_cross: Path, *, name: str = "") -> bytes:
    """One Python file as .mpy for the board; `name` is what its tracebacks show."""
    command = [str(mpy_cross), f"-march={_ARCHITECTURE}", "-s", name or source.name, "-o", "-"]
    done = subprocess.run([*command, str(source)], capture_output=True, check=False)
    if done.returncode:
        raise BoardError(f"{source} does not compile:\n{done.stderr.decode(errors='replace')}")
    return done.stdout


def _add(writer: VfsRomWriter, name: str, path: Path, mpy_cross: Path) -> None:
    if path.is_dir():
        writer.opendir(name)
        for entry in sorted(path.iterdir()):
            if entry.suffix == ".py" or (entry.is_dir() and _is_code(entry)):
                _add(writer, entry.name, entry, mpy_cross)
        writer.closedir()
    else:
        stem = name.removesuffix(".py")
        writer.mkfile(f"{stem}.mpy", compiled(path, mpy_cross, name=name))


def _is_code(folder: Path) -> bool:
    return folder.name not in {"tests", "__pycache__"} and not folder.name.startswith(".")
