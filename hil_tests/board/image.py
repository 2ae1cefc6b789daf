#!/usr/bin/env python3
"""Builds the rig image from Debian's source package of MicroPython, once for each set of inputs.

Standard library only. The source comes through apt with a private configuration, verified as
always; compilers and QEMU are Debian packages, which root gets installed when they are missing.
The product goes to the user's cache folder under a digest of everything that it is made from, so
a folder with that name is complete and right. Run as a program it prints the image's path.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

if __name__ == "__main__":
    # The script's own folder would make every module in it a top-level one.
    sys.path[0] = str(Path(__file__).resolve().parents[2])

from hil_tests.board.errors import BoardError, BoardMissingError
from tools import apt_sources, micropython, programs, system_packages
from tools.apt_private import ArchiveError, PrivateArchive
from tools.errors import SetupError, ToolError
from tools.progress import Report, Step, silent

PORT = Path(__file__).resolve().parent / "port"
#: Frozen into it: what finds and checks the application in its flash.
LOADER = Path(__file__).resolve().parents[2] / "firmware" / "loader"
#: The release that the unix board runs as well: one language and one .mpy format everywhere.
VERSION = "1.25.0"
COMPILER = "arm-none-eabi-gcc"
EMULATOR = "qemu-system-arm"
#: What has to be on PATH, and the Debian packages that bring it.
_PROGRAMS = {
    COMPILER: ("gcc-arm-none-eabi",),
    EMULATOR: ("qemu-system-arm",),
    "gcc": ("gcc", "libc6-dev"),
    "make": ("make",),
    "xz": ("xz-utils",),
}
#: The C library's headers for the board are no program: the compiler is asked whether it has them.
_HEADERS = "libnewlib-arm-none-eabi"
_BOARD = "MPS2_AN385"
#: The image's banner shows a date; a fixed one (of the release) keeps two builds bit-identical.
_SOURCE_DATE_S = "1744675200"
_BUILD_TIMEOUT_S = 900


@dataclass(frozen=True)
class Image:
    """A built image: the program for QEMU."""

    firmware: Path


def find_or_build(progress: Report = silent) -> Image:
    """The image for the present inputs; building it takes about half a minute.

    Raises BoardMissingError where this machine cannot have it, with the line that mends it.
    """
    release = apt_sources.release()
    if release.family != "debian":
        raise BoardMissingError(
            f"the rig image is built from Debian's source package, and this is {release.name}"
        )
    with _one_at_a_time():
        provide_programs()
        folder = micropython.cache_folder() / f"rig-{_BOARD.lower()}-{_digest()}"
        if not folder.is_dir():
            _build(folder, release, progress)
    return Image(folder / "firmware.elf")


def provide_programs() -> None:
    """Installs what is missing if this is root on Debian; otherwise raises BoardMissingError."""
    packages = [
        package
        for name, brought_by in _PROGRAMS.items()
        if shutil.which(name) is None
        for package in brought_by
    ]
    if not _has_headers():
        packages.append(_HEADERS)
    if not packages:
        return
    try:
        system_packages.install(packages, why="the emulated rig board")
    except SetupError as error:
        raise BoardMissingError(str(error)) from error


def _has_headers() -> bool:
    if shutil.which(COMPILER) is None:
        return False
    probe = [COMPILER, "-E", "-x", "c", "-include", "string.h", "/dev/null"]
    done = subprocess.run(probe, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
    return done.returncode == 0


@contextmanager
def _one_at_a_time() -> Iterator[None]:
    """Two workers of one test run must not both install and build: the second waits."""
    folder = micropython.cache_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / "rig.lock").open("w")
    except OSError as error:
        raise BoardMissingError(f"cannot write to {folder}: {error.strerror}") from error
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _digest() -> str:
    """Names everything that the product depends on, this file's recipe included."""
    inputs = hashlib.sha256(VERSION.encode())
    for file in sorted([Path(__file__), *PORT.rglob("*"), *LOADER.glob("*.py")]):
        if file.is_file():
            inputs.update(f"\0{file.name}\0".encode() + file.read_bytes())
    inputs.update(_run([COMPILER, "--version"], "ask the compiler for its version").encode())
    return inputs.hexdigest()[:16]


def _build(folder: Path, release: apt_sources.Release, progress: Report) -> None:
    """Builds beside `folder`, and only a finished product gets that name."""
    work = Path(tempfile.mkdtemp(prefix=".building-", dir=folder.parent))
    try:
        source = _fetch(release, work, progress)
        progress("building the cross compiler")
        _make(source / "mpy-cross", [])
        progress("building the image")
        _make(source / "ports" / "qemu", _image_settings())
        product = work / "product"
        product.mkdir()
        shutil.copy2(source / f"ports/qemu/build-{_BOARD}/firmware.elf", product)
        product.rename(folder)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _fetch(release: apt_sources.Release, work: Path, progress: Report) -> Path:
    """Downloads and unpacks the source package; its folder."""
    suite = micropython.newer_suite(release)
    private = work / "apt"
    private.mkdir()
    try:
        archive = PrivateArchive(release, suite, private, source=True)
        progress("reading the package index")
        archive.update()
        progress("fetching 6 MB of source")
        fetch = ["source", "--download-only", "micropython"]
        archive.apt(fetch, "fetch the source of MicroPython", cwd=work)
    except ArchiveError as error:
        raise BoardMissingError(str(error)) from error
    original = next(iter(work.glob("micropython_*.orig.tar.*")), None)
    if original is None:
        raise BoardError("the source package of MicroPython has not the shape that was expected")
    _run(["tar", "-xf", str(original), "-C", str(work)], "unpack the source")
    source = work / f"micropython-{VERSION}"
    if not source.is_dir():
        raise BoardMissingError(f"{suite} has {original.name}, and the image needs {VERSION}")
    # Debian leaves the library of modules out; the make files only look whether it is there.
    library = source / "lib" / "micropython-lib"
    library.mkdir(exist_ok=True)
    (library / "README.md").touch()
    return source


def _image_settings() -> list[str]:
    return [
        f"BOARD={_BOARD}",
        f"FROZEN_MANIFEST={PORT / 'manifest.py'}",
        f"USER_C_MODULES={PORT}",
        f"CFLAGS_EXTRA=-DMP_CONFIGFILE='\"rig_config.h\"' -I{PORT}",
        f"LDSCRIPT={PORT / 'mps2.ld'}",
        # On the make line, because the file system's sources are chosen there.
        "MICROPY_VFS_LFS2=1",
    ]


def _make(folder: Path, settings: Sequence[str]) -> None:
    jobs = os.cpu_count() or 1
    command = ["make", "-C", str(folder), f"-j{jobs}", f"PYTHON={sys.executable}", *settings]
    _run(command, f"build {folder.name} of MicroPython {VERSION}")


def _run(command: Sequence[str], aim: str) -> str:
    environment = {**os.environ, "LC_ALL": "C.UTF-8", "SOURCE_DATE_EPOCH": _SOURCE_DATE_S}
    return programs.run(
        command, aim, error=BoardError, environment=environment, timeout_s=_BUILD_TIMEOUT_S
    )


def _main() -> int:
    try:
        with Step("Looking for the rig image") as step:
            image = find_or_build(step)
    except ToolError as error:
        sys.stderr.write(f"image.py: {error}\n")
        return error.exit_code
    print(image.firmware)
    return 0


if __name__ == "__main__":
    raise SystemExit(_main())
