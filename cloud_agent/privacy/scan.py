"""Looks for bytes in files: the proof that something is there, or nowhere any more.

Raw bytes in every file, whatever its format, and what is packed in archives. A scan that finds
nothing proves nothing by itself: the same patterns must have been found before, where they belong.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import math
import quopri
import urllib.parse
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final, cast

# Shorter ones turn up by chance: 7 random bytes in a gigabyte once in 70 million.
MIN_PATTERN_SIZE: Final = 8
_CHUNK_SIZE: Final = 1 << 20
# Of one packed member: a few kilobytes can unpack to gigabytes.
_MOST_UNPACKED: Final = 64 << 20


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


def spellings(text: str) -> dict[str, bytes]:
    """How a text may stand in a file: the plain UTF-8, and what formats and programs make of it.
    Only those that differ and are long enough to look for.
    """
    plain = text.encode()
    found = {"": plain}
    found["JSON"] = json.dumps(text, ensure_ascii=False)[1:-1].encode()
    found["JSON, ASCII"] = json.dumps(text)[1:-1].encode()
    found["UTF-16, little end first"] = text.encode("utf-16-le")
    found["UTF-16, big end first"] = text.encode("utf-16-be")
    for shift in range(3):
        # What the bytes before and after it leave of the first and last letters is cut off.
        encoded = base64.b64encode(bytes(shift) + plain + bytes(2))
        first, last = -(-shift * 8 // 6), (shift + len(plain)) * 8 // 6
        found[f"base64, shifted by {shift}"] = encoded[first:last]
        found[f"base64 for addresses, shifted by {shift}"] = encoded[first:last].translate(
            bytes.maketrans(b"+/", b"-_")
        )
    found["hexadecimal"] = plain.hex().encode()
    found["hexadecimal, capitals"] = plain.hex().upper().encode()
    found["URL"] = urllib.parse.quote(text, safe="").encode()
    found["URL of a form"] = urllib.parse.quote_plus(text).encode()
    found["quoted-printable"] = quopri.encodestring(plain).replace(b"=\n", b"")
    found["SHA-256"] = hashlib.sha256(plain).digest()
    found["SHA-256 in hexadecimal"] = found["SHA-256"].hex().encode()
    found["MD5"] = hashlib.md5(plain, usedforsecurity=False).digest()
    found["MD5 in hexadecimal"] = found["MD5"].hex().encode()
    unique: dict[bytes, str] = {}
    for name, data in found.items():
        if len(data) >= MIN_PATTERN_SIZE:
            unique.setdefault(data, name)
    return {name: data for data, name in unique.items()}


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
    with file.open("rb") as stream:
        _scan_stream(stream, patterns, counts)
        stream.seek(0)
        try:
            for member in _members(stream):
                _scan_stream(member, patterns, counts, most=_MOST_UNPACKED)
        except _CANNOT_UNPACK:
            pass  # no archive, or a damaged one: its bytes were looked at as they are
    return counts


_CANNOT_UNPACK: Final = (
    zipfile.BadZipFile,
    zlib.error,
    OSError,
    EOFError,
    ValueError,
    RuntimeError,
    NotImplementedError,
)


def _members(stream: IO[bytes]) -> Iterator[IO[bytes]]:
    """What is packed in a file: of a ZIP archive the compressed members, of gzip the whole."""
    start = stream.read(4)
    stream.seek(0)
    if start == b"PK\x03\x04":
        with zipfile.ZipFile(stream) as archive:
            for entry in archive.infolist():
                if entry.compress_type != zipfile.ZIP_STORED:
                    with archive.open(entry) as member:
                        yield member
    elif start[:2] == b"\x1f\x8b":
        with gzip.open(stream) as whole:
            yield cast("IO[bytes]", whole)


def _scan_stream(
    stream: IO[bytes],
    patterns: Sequence[Pattern],
    counts: dict[str, int],
    *,
    most: float = math.inf,
) -> None:
    longest = max((len(pattern.data) for pattern in patterns), default=1)
    kept = b""
    done = 0
    while done < most and (chunk := stream.read(_CHUNK_SIZE)):
        done += len(chunk)
        window = kept + chunk
        for pattern in patterns:
            # What lies wholly in the kept part was counted with the chunk before.
            start = max(len(kept) - len(pattern.data) + 1, 0)
            counts[pattern.label] += _count(window, pattern.data, start)
        kept = window[-(longest - 1) :] if longest > 1 else b""


def _count(window: bytes, data: bytes, start: int) -> int:
    found = 0
    position = window.find(data, start)
    while position >= 0:
        found += 1
        position = window.find(data, position + 1)
    return found
