"""Looks for bytes in files: the proof that something is there, or nowhere any more.

Raw bytes only, in every file, whatever its format. A scan that finds nothing proves nothing
by itself: the same patterns must have been found before, where they belong.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

# Shorter ones turn up by chance: 7 random bytes in a gigabyte once in 70 million.
MIN_PATTERN_SIZE: Final = 8
_CHUNK_SIZE: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Pattern:
    """Bytes to look for. `home`: the store where they must be found before an erasure;
    empty where they should not be in the data folder at all.
    """

    label: str
    data: bytes
    home: str = ""


@dataclass(frozen=True, slots=True)
class Hit:
    """`count` places of a pattern in one file."""

    label: str
    file: Path
    count: int


def files_below(root: Path) -> Iterator[Path]:
    """Every regular file below `root`, hidden ones too; links are not followed."""
    for path in sorted(root.rglob("*")):
        if path.is_file() and not path.is_symlink():
            yield path


def scan(files: Iterable[Path], patterns: Sequence[Pattern]) -> list[Hit]:
    """The hits of all patterns in all files. Raises ValueError for a pattern too short to mean
    anything, and OSError for a file that cannot be read; one that went meanwhile is passed over.
    """
    for pattern in patterns:
        if len(pattern.data) < MIN_PATTERN_SIZE:
            raise ValueError(f"the pattern {pattern.label!r} is too short to mean anything")
    hits = []
    for file in files:
        try:
            counts = _scan_file(file, patterns)
        except FileNotFoundError:
            continue  # a journal that its database removed
        hits += [Hit(label, file, count) for label, count in counts.items() if count]
    return hits


def _scan_file(file: Path, patterns: Sequence[Pattern]) -> dict[str, int]:
    counts = dict.fromkeys((pattern.label for pattern in patterns), 0)
    longest = max((len(pattern.data) for pattern in patterns), default=1)
    kept = b""
    with file.open("rb") as stream:
        while chunk := stream.read(_CHUNK_SIZE):
            window = kept + chunk
            for pattern in patterns:
                # What lies wholly in the kept part was counted with the chunk before.
                start = max(len(kept) - len(pattern.data) + 1, 0)
                counts[pattern.label] += _count(window, pattern.data, start)
            kept = window[-(longest - 1) :] if longest > 1 else b""
    return counts


def _count(window: bytes, data: bytes, start: int) -> int:
    found = 0
    position = window.find(data, start)
    while position >= 0:
        found += 1
        position = window.find(data, position + 1)
    return found
