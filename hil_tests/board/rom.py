"""Packs files into a ROM file system for the board, Python compiled for the Cortex-M3.

The board runs code and reads constants in place there, as from flash. Native (viper) functions
are the exception: MicroPython 1.25 copies them to the heap when it imports them.
"""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from mpremote.romfs import VfsRomWriter  # type: ignore[import-untyped]  # mpremote has no types

from hil_tests.board.errors import BoardError

_ARCHITECTURE = "armv7m"
_SUFFIXES = {".py", ".json"}


def files(folder: Path, name: str, *, tests: bool = False) -> dict[str, Path]:
    """All code and data of a folder for `pack`, under `name`; its tests only if asked for."""
    found = {}
    for path in sorted(folder.rglob("*")):
        place = path.relative_to(folder)
        wanted = tests or "tests" not in place.parts
        if path.suffix in _SUFFIXES and wanted:
            found[f"{name}/{place.as_posix()}"] = path
    return found


def pack(tree: Mapping[str, Path], mpy_cross: Path) -> bytes:
    """The image of a file system with these files: paths on the board to files here.

    Python is compiled, everything else goes as it is.
    """
    writer = VfsRomWriter()
    _add(writer, {PurePosixPath(name).parts: path for name, path in tree.items()}, mpy_cross)
    image: bytes = writer.finalise()
    return image


def compiled(source: Path, mpy_cross: Path, *, name: str = "") -> bytes:
    """One Python file as .mpy for the board; `name` is what its tracebacks show."""
    command = [str(mpy_cross), f"-march={_ARCHITECTURE}", "-s", name or source.name, "-o", "-"]
    done = subprocess.run([*command, str(source)], capture_output=True, check=False)
    # What it prints counts as well: it can end well after an error in native code.
    if done.returncode or done.stderr:
        raise BoardError(f"{source} does not compile:\n{done.stderr.decode(errors='replace')}")
    return done.stdout


def _add(writer: VfsRomWriter, tree: Mapping[tuple[str, ...], Path], mpy_cross: Path) -> None:
    folders: dict[str, dict[tuple[str, ...], Path]] = {}
    for parts, path in sorted(tree.items()):
        if len(parts) > 1:
            folders.setdefault(parts[0], {})[parts[1:]] = path
        elif path.suffix == ".py":
            writer.mkfile(f"{path.stem}.mpy", compiled(path, mpy_cross))
        else:
            writer.mkfile(parts[0], path.read_bytes())
    for name, inside in folders.items():
        writer.opendir(name)
        _add(writer, inside, mpy_cross)
        writer.closedir()
