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
from collections.abc import Mapping, Sequence
from pathlib import Path

if __name__ == "__main__":
    # The script's own folder would make every module in it a top-level one.
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from tools import apt_sources
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
_COMPONENTS = {"debian": "main", "ubuntu": "main universe"}
#: What must be there: a build without TLS or without file systems cannot run the firmware.
_PROBE = "import sys, tls, vfs, asyncio, select; print(*sys.implementation[1][:2])"
_PROBE_TIMEOUT_S = 20
_FETCH_TIMEOUT_S = 600
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
    suite = _suite(release)
    folder = _cache_folder() / f"micropython-{release.family}-{suite}-{os.uname().machine}"
    if folder.is_dir():
        command = _command(folder)
        if _usable(command):
            return command
        shutil.rmtree(folder)
    return _unpack(release, suite, folder, progress)


def _suite(release: apt_sources.Release) -> str:
    older = release.codename in _OLDER[release.family]
    return _SUITE_FOR_OLDER[release.family] if older else release.codename


def _cache_folder() -> Path:
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
    for program in ("apt-get", "dpkg"):
        if shutil.which(program) is None:
            raise MicroPythonError(f"this needs {program}, which {release.name} lacks: {_BY_HAND}")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix=".unpacking-", dir=folder.parent))
    except OSError as error:
        raise MicroPythonError(
            f"cannot write to {folder.parent} ({error.strerror}): set XDG_CACHE_HOME to a folder"
            " that you may write to"
        ) from error
    try:
        _fetch(release, suite, work, progress)
        root = work / "root"
        for package in sorted((work / "cache/archives").glob("*.deb")):
            progress(f"unpacking {package.name.partition('_')[0]}")
            _run(["dpkg", "-x", str(package), str(root)], "unpack a package")
        if not _usable(_command(root)):
            raise MicroPythonError(
                f"the MicroPython of {suite} does not run here, or is older than 1.24: {_BY_HAND}"
            )
        _rename(root, folder)
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


def _fetch(release: apt_sources.Release, suite: str, work: Path, progress: Report) -> None:
    source = apt_sources.archive(release)
    if source is None:
        raise MicroPythonError(
            f"apt has no source for {release.codename} main on this machine: {_BY_HAND}"
        )
    for folder in ("state/lists/partial", "cache/archives/partial", "root", "empty"):
        (work / folder).mkdir(parents=True)
    (work / "status").touch()
    options = f"arch={_output(['dpkg', '--print-architecture'])}"
    key = apt_sources.keyring(source, release)
    if key is not None:
        options += f" signed-by={key}"
    line = f"deb [{options}] {source.uri} {suite} {_COMPONENTS[release.family]}\n"
    (work / "sources.list").write_text(line)
    (work / "apt.conf").write_text(_apt_configuration(work))
    environment = {**os.environ, "APT_CONFIG": str(work / "apt.conf"), "LC_ALL": "C.UTF-8"}
    progress("reading the package index")
    _run(["apt-get", "-q", "update"], f"reach the archive of {release.name}", environment)
    progress("fetching 14 MB")
    # Against an empty status file this fetches MicroPython with every library that it needs.
    fetch = ["apt-get", "-q", "install", "-y", "--no-install-recommends", "--download-only"]
    _run([*fetch, "micropython"], f"fetch MicroPython from {suite}", environment)


def _apt_configuration(work: Path) -> str:
    """An apt configuration that reads and writes only below `work`.

    From the machine's own it keeps how to reach the archive (proxies, certificates), and leaves
    out hooks, pins and locks, which belong to the system.
    """
    reach = [
        line
        for line in _output(["apt-config", "dump"]).splitlines()
        if line.startswith("Acquire::") and not line.endswith(' "";')
    ]
    own = {
        "Dir::Etc::Parts": work / "empty",
        "Dir::Etc::Main": "/dev/null",
        "Dir::Etc::SourceList": work / "sources.list",
        "Dir::Etc::SourceParts": work / "empty",
        "Dir::Etc::Preferences": "/dev/null",
        "Dir::Etc::PreferencesParts": work / "empty",
        "Dir::State": work / "state",
        "Dir::State::status": work / "status",
        "Dir::Cache": work / "cache",
        "Dir::Cache::pkgcache": "",
        "Dir::Cache::srcpkgcache": "",
        "Acquire::Languages": "none",
        "Acquire::GzipIndexes": "true",
        # A plain user cannot change to another user, and root's files are not _apt's.
        "APT::Sandbox::User": "",
        # Without it an unreachable archive counts as success.
        "APT::Update::Error-Mode": "any",
        # Our folder is our own, and the system's locks are not ours to take.
        "Debug::NoLocking": "true",
    }
    return "\n".join([*reach, *(f'{name} "{value}";' for name, value in own.items())]) + "\n"


def _run(command: Sequence[str], aim: str, environment: Mapping[str, str] | None = None) -> str:
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=environment,
            timeout=_FETCH_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise MicroPythonError(f"could not {aim} within {_FETCH_TIMEOUT_S} s") from error
    if done.returncode:
        tail = "\n".join(f"    {line}" for line in done.stdout.splitlines()[-8:])
        raise MicroPythonError(f"could not {aim}:\n{tail}\nEither mend that, or {_BY_HAND}")
    return done.stdout


def _output(command: Sequence[str]) -> str:
    return _run(command, f"run {command[0]}").strip()


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
