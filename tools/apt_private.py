"""Fetches packages of another suite from the machine's own archive without touching the system.

Standard library only. apt runs with a configuration, lists and cache of its own below one folder,
verifies against the archive's keyring as always, and knows nothing of what is installed.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from tools import apt_sources, programs
from tools.errors import SetupError

_COMPONENTS = {"debian": "main", "ubuntu": "main universe"}
_TIMEOUT_S = 900


class ArchiveError(SetupError):
    """The archive could not be reached, or has not what was asked for."""


class PrivateArchive:
    """The packages of `suite`, kept below the existing folder `work` (which the caller removes).

    `source` adds source packages. Call `update` first.
    """

    def __init__(
        self, release: apt_sources.Release, suite: str, work: Path, *, source: bool = False
    ) -> None:
        for program in ("apt-get", "dpkg"):
            if shutil.which(program) is None:
                raise ArchiveError(f"this needs {program}, which {release.name} lacks")
        self._suite = suite
        self._work = work
        self._archives = work / "cache" / "archives"
        for folder in ("state/lists/partial", "cache/archives/partial", "empty"):
            (work / folder).mkdir(parents=True)
        (work / "status").touch()
        (work / "sources.list").write_text(_sources(release, suite, source=source))
        (work / "apt.conf").write_text(self._configuration())
        self.environment = {
            **os.environ,
            "APT_CONFIG": str(work / "apt.conf"),
            "LC_ALL": "C.UTF-8",
            "DEBIAN_FRONTEND": "noninteractive",
        }

    def update(self) -> None:
        """Fetches and verifies the index."""
        self.apt(["update"], "reach the archive")

    def download(self, *packages: str) -> list[Path]:
        """Fetches `packages` with all that they depend on; the package files."""
        # Against an empty status file apt thinks that nothing is installed, so nothing is left out.
        self.apt(
            ["install", "-y", "--no-install-recommends", "--download-only", *packages],
            f"fetch {', '.join(packages)} from {self._suite}",
        )
        return sorted(self._archives.glob("*.deb"))

    def unpack(self, package: Path, root: Path) -> None:
        """Unpacks one package file below `root`; runs none of its scripts."""
        _run(["dpkg", "-x", str(package), str(root)], f"unpack {package.name}", self.environment)

    def apt(self, arguments: Sequence[str], aim: str, *, cwd: Path | None = None) -> None:
        """Runs apt-get in this configuration; `aim` completes "could not ..."."""
        _run(["apt-get", "-q", *arguments], aim, self.environment, cwd)

    def _configuration(self) -> str:
        """What says how to reach the archive (proxies, certificates) is the machine's own.

        Hooks, pins and locks belong to the system and are left out.
        """
        dump = _run(["apt-config", "dump"], "read apt's configuration", dict(os.environ))
        reach = [
            line
            for line in dump.splitlines()
            if line.startswith("Acquire::") and not line.endswith(' "";')
        ]
        work = self._work
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


def _sources(release: apt_sources.Release, suite: str, *, source: bool) -> str:
    archive = apt_sources.archive(release)
    if archive is None:
        raise ArchiveError(f"apt has no source for {release.codename} main on this machine")
    key = apt_sources.keyring(archive, release)
    signed = "" if key is None else f"signed-by={key}"
    place = f"{archive.uri} {suite} {_COMPONENTS[release.family]}\n"
    architecture = _run(["dpkg", "--print-architecture"], "run dpkg", dict(os.environ)).strip()
    lines = [f"deb [arch={architecture} {signed}] {place}"]
    if source:
        lines.append(f"deb-src [{signed}] {place}" if signed else f"deb-src {place}")
    return "".join(lines)


def _run(
    command: Sequence[str], aim: str, environment: dict[str, str], cwd: Path | None = None
) -> str:
    return programs.run(
        command,
        aim,
        error=ArchiveError,
        environment=environment,
        timeout_s=_TIMEOUT_S,
        cwd=cwd,
    )
