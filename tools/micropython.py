#!/usr/bin/env python3
"""Finds MicroPython (1.24 or newer), or unpacks it privately from the machine's own archive.

Standard library only, usable before the project's environment exists. Nothing on the system is
changed: the packages are fetched with an apt configuration of their own, verified by apt against
the archive's keyring, and unpacked into the user's cache folder. Run as a program it prints the
command line that starts MicroPython.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

if __name__ == "__main__":
    # The script's own folder would make every module in it a top-level one.
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from tools import apt_sources
from tools.apt_private import ArchiveError, PrivateArchive
from tools.errors import MicroPythonError, ToolError
from tools.progress import Report, Step, silent

OLDEST = (1, 24)
#: The first release of each family whose MicroPython is new enough, for releases before it.
_SUITE_FOR_OLDER = {"debian": "trixie", "ubuntu": "resolute"}
#: Releases that come before it but run its unpacked packages (Python 3.11 is the floor anyway).
_OLDER = {
    "debian": {"bullseye", "bookworm"},
    "ubuntu": {"focal", "jammy", "noble", "oracular", "plucky"},
}
#: What must be there: a build without TLS or without file systems cannot run the firmware.
_PROBE = "import sys, tls, vfs, asyncio, select; print(*sys.implementation[1][:2])"
_PROBE_TIMEOUT_S = 20
_BY_HAND = "install MicroPython 1.24 or newer so that `micropython` is on PATH, then run this again"


def find_or_unpack(progress: Report = silent) -> list[str]:
    """The command line that starts MicroPython; raises MicroPythonError when there is none.

    The one on PATH comes first when it is new enough; then the one unpacked earlier; then a new
    one is unpacked, which takes some seconds and 14 MB of download.
    """
    on_path = shutil.which("micropython")
    if on_path is not None and _usable([on_path]):
        return [on_path]
    release = apt_sources.release()
    if sys.platform != "linux" or not release.family:
        raise MicroPythonError(f"no MicroPython on PATH, and this is {release.name}: {_BY_HAND}")
    suite = newer_suite(release)
    folder = cache_folder() / f"micropython-{release.family}-{suite}-{os.uname().machine}"
    if folder.is_dir():
        command = _command(folder)
        if _usable(command):
            return command
        shutil.rmtree(folder)
    return _unpack(release, suite, folder, progress)


def newer_suite(release: apt_sources.Release) -> str:
    """The suite whose MicroPython is new enough: the machine's own, or a later one's."""
    older = release.codename in _OLDER[release.family]
    return _SUITE_FOR_OLDER[release.family] if older else release.codename


def cache_folder() -> Path:
    """Where what was fetched or built is kept for all checkouts of this user."""
    configured = os.environ.get("XDG_CACHE_HOME", "")
    base = Path(configured) if configured.startswith("/") else Path.home() / ".cache"
    return base / "tare"


def _usable(command: Sequence[str]) -> bool:
    """Whether `command` starts a MicroPython that is new enough and has what we need."""
    try:
        done = subprocess.run(
            [*command, "-c", _PROBE],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            timeout=_PROBE_TIMEOUT_S,
            check=False,
        )
        version = tuple(int(part) for part in done.stdout.split())
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0 and version >= OLDEST


def _unpack(release: apt_sources.Release, suite: str, folder: Path, progress: Report) -> list[str]:
    """Fetches and unpacks beside `folder`, tries it, and only then gives it that name."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix=".unpacking-", dir=folder.parent))
    except OSError as error:
        raise MicroPythonError(
            f"cannot write to {folder.parent} ({error.strerror}): set XDG_CACHE_HOME to a folder"
            " that you may write to"
        ) from error
    try:
        archive = PrivateArchive(release, suite, work)
        progress("reading the package index")
        archive.update()
        progress("fetching 14 MB")
        packages = archive.download("micropython")
        root = work / "root"
        for package in packages:
            progress(f"unpacking {package.name.partition('_')[0]}")
            archive.unpack(package, root)
        if not _usable(_command(root)):
            raise MicroPythonError(f"the MicroPython of {suite} does not run here, or is too old")
        _rename(root, folder)
    except ArchiveError as error:
        raise MicroPythonError(f"{error}\nEither mend that, or {_BY_HAND}") from error
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return _command(folder)


def _rename(root: Path, folder: Path) -> None:
    try:
        root.rename(folder)
    except OSError:
        # Another run was faster; what it made went through the same check.
        if not folder.is_dir():
            raise


def _command(root: Path) -> list[str]:
    """Started through its own loader, because the machine's C library may be older."""
    loader = next(iter(sorted(root.glob("usr/lib/*/ld-linux-*.so.*"))), None)
    if loader is None:
        return [str(root / "usr/bin/micropython")]
    libraries = str(loader.parent)
    return [str(loader), "--library-path", libraries, str(root / "usr/bin/micropython")]


def _main() -> int:
    try:
        with Step("Looking for MicroPython") as step:
            command = find_or_unpack(step)
    except ToolError as error:
        sys.stderr.write(f"micropython.py: {error}\n")
        return error.exit_code
    print(shlex.join(command))
    return 0


if __name__ == "__main__":
    raise SystemExit(_main())
