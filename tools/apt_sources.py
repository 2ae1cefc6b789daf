"""Reads where this machine gets its Debian or Ubuntu packages from, to fetch one more from there.

Standard library only, reads /etc, changes nothing. Both notations of sources are understood: the
one-line `deb [options] uri suite components` and the deb822 paragraphs of newer systems.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_ONE_LINE = re.compile(r"^deb\s+(?:\[(?P<options>[^\]]*)\]\s+)?(?P<uri>\S+)\s+(?P<rest>\S.*)$")
_KEYRINGS = {
    "debian": Path("usr/share/keyrings/debian-archive-keyring.gpg"),
    "ubuntu": Path("usr/share/keyrings/ubuntu-archive-keyring.gpg"),
}


@dataclass(frozen=True)
class Source:
    """One configured archive: where it is, which suites of it are used, and who signs it."""

    uri: str
    suites: tuple[str, ...]
    components: tuple[str, ...]
    signed_by: str = ""


@dataclass(frozen=True)
class Release:
    """What the machine runs: family is "debian", "ubuntu", or "" for anything else."""

    family: str
    codename: str
    name: str


def release(root: Path = Path("/")) -> Release:
    """Reads etc/os-release; derivatives of Ubuntu count as the Ubuntu that they name."""
    values: dict[str, str] = {}
    try:
        lines = (root / "etc/os-release").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    for line in lines:
        name, _, value = line.partition("=")
        values[name] = "".join(shlex.split(value))
    name = values.get("PRETTY_NAME", "an unknown system")
    if values.get("ID") == "debian":
        return Release("debian", values.get("VERSION_CODENAME", "sid"), name)
    if "UBUNTU_CODENAME" in values:
        return Release("ubuntu", values["UBUNTU_CODENAME"], name)
    return Release("", "", name)


def archive(of: Release, root: Path = Path("/")) -> Source | None:
    """The source that has the release's own suite with component main, or None."""
    for source in configured(root):
        if of.codename in source.suites and "main" in source.components:
            return source
    return None


def keyring(source: Source, of: Release, root: Path = Path("/")) -> Path | None:
    """The file of keys that signs `source`; None leaves it to the keys that apt trusts anyway."""
    candidates = [*map(Path, source.signed_by.split()), root / _KEYRINGS[of.family]]
    return next((path for path in candidates if path.is_absolute() and path.is_file()), None)


def configured(root: Path = Path("/")) -> list[Source]:
    """All configured sources of binary packages, in apt's order."""
    folder = root / "etc/apt/sources.list.d"
    files = [root / "etc/apt/sources.list"]
    if folder.is_dir():
        files += sorted(folder.iterdir())
    found: list[Source] = []
    for file in files:
        if file.suffix not in {".list", ".sources"} or not file.is_file():
            continue
        text = file.read_text(encoding="utf-8", errors="replace")
        found += _paragraphs(text) if file.suffix == ".sources" else _one_lines(text)
    return found


def _one_lines(text: str) -> Iterator[Source]:
    for line in text.splitlines():
        match = _ONE_LINE.match(line.partition("#")[0].strip())
        if match is None:
            continue
        suite, *components = match["rest"].split()
        options = dict(
            part.split("=", 1) for part in (match["options"] or "").split() if "=" in part
        )
        yield Source(match["uri"], (suite,), tuple(components), options.get("signed-by", ""))


def _paragraphs(text: str) -> Iterator[Source]:
    uncommented = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    for paragraph in re.split(r"\n\s*\n", uncommented):
        fields = _fields(paragraph)
        enabled = fields.get("enabled", "yes").lower() not in {"no", "false", "0"}
        if not enabled or "deb" not in fields.get("types", "").split():
            continue
        for uri in fields.get("uris", "").split():
            yield Source(
                uri,
                tuple(fields.get("suites", "").split()),
                tuple(fields.get("components", "").split()),
                _key_files(fields.get("signed-by", "")),
            )


def _fields(paragraph: str) -> dict[str, str]:
    fields: dict[str, str] = {}
    name = ""
    for line in paragraph.splitlines():
        if line[:1].isspace():
            fields[name] = f"{fields.get(name, '')} {line.strip()}"
        elif ":" in line:
            name, _, value = line.partition(":")
            name = name.strip().lower()
            fields[name] = value.strip()
    return fields


def _key_files(signed_by: str) -> str:
    """Only file names: a key that stands in the source itself is left to the default keyring."""
    return "" if "BEGIN PGP" in signed_by else signed_by
