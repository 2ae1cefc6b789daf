"""The ledger of what may not come back: erasures, withdrawn consents, removed readings. An
append-only, hash-chained text file that outlives every restore.

One line a fact, each with the hash of the line before. It names nobody: an owner, a consent or a
reading is the SHA-256 of a random id. Everything is kept in memory too: asking costs nothing.

    ledger = Ledger(path)                      # LedgerError when the chain is broken
    ledger.append([Tombstone(...), ...])       # durable on return
    ledger.is_erased(device, epoch, handle)    # before any record is stored

A last line without its newline is a write that was cut: nobody was told that it lasts, so it
is dropped. Any other deviation is refused.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import threading
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar, Final, NamedTuple, get_args

from cloud_agent.append_file import AppendFile
from cloud_agent.errors import LedgerError, StorageError

_VERSION: Final = 1
_NO_HASH: Final = "0" * 64


@dataclass(frozen=True, slots=True)
class Begun:
    """An erasure was asked for; until `Finished` it is carried on at every start."""

    kind: ClassVar[str] = "begun"
    request: str  # hex of the random request id
    at_s: int


@dataclass(frozen=True, slots=True)
class OwnerErased:
    """Nothing of this owner may be stored or kept any more."""

    kind: ClassVar[str] = "owner"
    request: str
    owner_hash: str
    at_s: int


@dataclass(frozen=True, slots=True)
class ReadingsErased:
    """The readings of this owner under this key are erased; their account stays."""

    kind: ClassVar[str] = "readings"
    request: str
    owner_hash: str
    key_hash: str  # SHA-256 of the random id of the health key
    at_s: int


@dataclass(frozen=True, slots=True)
class Tombstone:
    """Records of this device, claim epoch and handle (None: all handles) come too late."""

    kind: ClassVar[str] = "tombstone"
    device: str
    epoch: int
    handle: int | None
    owner_hash: str
    at_s: int


@dataclass(frozen=True, slots=True)
class Finished:
    """The erasure was carried out in every store of the cloud."""

    kind: ClassVar[str] = "finished"
    request: str
    at_s: int


@dataclass(frozen=True, slots=True)
class ConsentWithdrawn:
    """This consent does not hold any more. One that is given afterwards is another row."""

    kind: ClassVar[str] = "consent-withdrawn"
    consent_hash: str  # SHA-256 of the random id of its row
    at_s: int


@dataclass(frozen=True, slots=True)
class ReadingRemoved:
    """A person deleted this reading for good."""

    kind: ClassVar[str] = "reading-removed"
    reading_hash: str  # SHA-256 of the random id of its row
    at_s: int


Entry = (
    Begun | OwnerErased | ReadingsErased | Tombstone | Finished | ConsentWithdrawn | ReadingRemoved
)
_KINDS: Final[dict[str, type[Entry]]] = {kind.kind: kind for kind in get_args(Entry)}


class Head(NamedTuple):
    """How far the chain goes: number of lines, and the hash of the last."""

    lines: int
    last_hash: str


def owner_hash(owner: bytes) -> str:
    """The name of an owner, or of a key or a row, in the ledger. Ids are random: nobody guesses
    it back.
    """
    return hashlib.sha256(owner).hexdigest()


class Ledger:
    """The open ledger. Made when the file is not there; use from any thread."""

    def __init__(self, path: Path) -> None:
        """Raises `LedgerError` for a file that is not an unbroken chain."""
        self._lock = threading.Lock()
        self._hashes: list[str] = []
        self._id = ""
        self._entries: list[Entry] = []
        self._owners: set[str] = set()
        self._erased_keys: set[tuple[str, str]] = set()
        self._withdrawn: dict[str, int] = {}
        self._removed: set[str] = set()
        # Handles of (device, epoch); None among them stands for all.
        self._tombstones: dict[tuple[str, int], set[int | None]] = {}
        self._file = AppendFile(path)
        try:
            self._load(self._file.take_lines())
        except BaseException:
            self._file.close()
            raise

    def append(self, entries: Sequence[Entry]) -> None:
        """Adds the entries in one write; they are durable on return, or `LedgerError`."""
        with self._lock:
            previous = self._hashes[-1]
            hashes = []
            lines = []
            for entry in entries:
                line, previous = _line({"kind": entry.kind, **asdict(entry)}, previous)
                lines.append(line)
                hashes.append(previous)
            self._write(b"".join(lines))
            self._hashes += hashes
            for entry in entries:
                self._remember(entry)

    def is_erased(
        self, device: str, epoch: int, handle: int, *, owner: bytes | None = None
    ) -> bool:
        """Whether a record of this origin, or for this owner, comes after an erasure."""
        handles = self._tombstones.get((device, epoch), ())
        if handle in handles or None in handles:
            return True
        return owner is not None and self.is_owner_erased(owner)

    def is_owner_erased(self, owner: bytes) -> bool:
        """Whether this subject or tray was erased."""
        return owner_hash(owner) in self._owners

    def are_readings_erased(self, owner: bytes, key_id: bytes) -> bool:
        """Whether what this health key of the owner sealed was erased."""
        return (owner_hash(owner), owner_hash(key_id)) in self._erased_keys

    def had_readings_erased(self, owner: bytes) -> bool:
        """Whether readings of this owner were erased at any time."""
        name = owner_hash(owner)
        return any(name == each for each, _ in self._erased_keys)

    def withdrawn_s(self, consent: bytes) -> int | None:
        """When the consent of this row was withdrawn (Unix seconds); None: it was not."""
        return self._withdrawn.get(owner_hash(consent))

    def is_reading_removed(self, reading: bytes) -> bool:
        """Whether the person deleted the reading of this row."""
        # Most installations have none: a start asks for every reading that there is.
        return bool(self._removed) and owner_hash(reading) in self._removed

    def unfinished(self) -> list[str]:
        """Requests (hex) that were begun and not finished, oldest first."""
        finished = {entry.request for entry in self._entries if isinstance(entry, Finished)}
        return [
            entry.request
            for entry in self._entries
            if isinstance(entry, Begun) and entry.request not in finished
        ]

    def entries(self) -> Iterator[Entry]:
        """Every entry, oldest first."""
        return iter(tuple(self._entries))

    def head(self) -> Head:
        """The end of the chain, for a database to remember."""
        with self._lock:
            return Head(len(self._hashes), self._hashes[-1])

    def continues(self, seen: Head) -> bool:
        """Whether this ledger is the one that had the head `seen`, then or later."""
        with self._lock:
            known = 1 <= seen.lines <= len(self._hashes)
            return known and self._hashes[seen.lines - 1] == seen.last_hash

    @property
    def id(self) -> str:
        """The random name of this installation, from the first line."""
        return self._id

    def close(self) -> None:
        """Closes the file; a second call does nothing."""
        self._file.close()

    def _load(self, lines: list[bytes]) -> None:
        if not lines:
            first = {"kind": "ledger", "version": _VERSION, "id": secrets.token_hex(16)}
            line, line_hash = _line(first, _NO_HASH)
            self._write(line)
            self._hashes.append(line_hash)
            self._id = str(first["id"])
            return
        previous = _NO_HASH
        for number, line in enumerate(lines, start=1):
            body, previous = _check(line, previous, number)
            self._hashes.append(previous)
            if number == 1:
                _check_header(body)
                self._id = str(body.get("id", ""))
            else:
                self._remember(_entry(body, number))

    def _write(self, lines: bytes) -> None:
        try:
            self._file.append(lines)
        except StorageError as error:
            raise LedgerError(str(error)) from error

    def _remember(self, entry: Entry) -> None:
        self._entries.append(entry)
        if isinstance(entry, OwnerErased):
            self._owners.add(entry.owner_hash)
        elif isinstance(entry, ReadingsErased):
            self._erased_keys.add((entry.owner_hash, entry.key_hash))
        elif isinstance(entry, ConsentWithdrawn):
            self._withdrawn.setdefault(entry.consent_hash, entry.at_s)
        elif isinstance(entry, ReadingRemoved):
            self._removed.add(entry.reading_hash)
        elif isinstance(entry, Tombstone):
            key = (entry.device, entry.epoch)
            # A new set: readers in other threads hold no lock.
            self._tombstones[key] = self._tombstones.get(key, set()) | {entry.handle}


def _line(body: dict[str, Any], previous: str) -> tuple[bytes, str]:
    """The line of `body` after `previous`, and its hash."""
    text = json.dumps(body, sort_keys=True, separators=(",", ":"))
    line_hash = hashlib.sha256(f"{previous}\n{text}".encode()).hexdigest()
    return f"{line_hash} {text}\n".encode(), line_hash


def _check(line: bytes, previous: str, number: int) -> tuple[dict[str, Any], str]:
    try:
        claimed, text = line.decode().split(" ", 1)
        body = json.loads(text)
    except ValueError as error:
        raise LedgerError(f"line {number} of the ledger cannot be read") from error
    expected = hashlib.sha256(f"{previous}\n{text}".encode()).hexdigest()
    if claimed != expected or not isinstance(body, dict):
        raise LedgerError(f"the ledger was changed at line {number}: nothing may run on it")
    return body, expected


def _check_header(body: dict[str, Any]) -> None:
    if body.get("kind") != "ledger" or body.get("version") != _VERSION:
        raise LedgerError("the ledger is of a version that this Tare does not know")


def _entry(body: dict[str, Any], number: int) -> Entry:
    kind = _KINDS.get(str(body.pop("kind", "")))
    try:
        if kind is None:
            raise TypeError  # noqa: TRY301 # the same answer as for wrong fields
        return kind(**body)
    except TypeError as error:
        raise LedgerError(f"line {number} of the ledger is not known to this Tare") from error
