"""The ledger keeps what was written, in order, and nothing in it can be changed unnoticed."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud_agent.errors import LedgerError
from cloud_agent.privacy.ledger import (
    Begun,
    ConsentWithdrawn,
    Entry,
    Finished,
    Head,
    Ledger,
    OwnerErased,
    ReadingRemoved,
    Tombstone,
    owner_hash,
)

DEVICE = "ab" * 8

_times = st.integers(0, 2**36)
_requests = st.binary(min_size=16, max_size=16).map(bytes.hex)
_owners = st.binary(min_size=16, max_size=16)
_hashes = _owners.map(owner_hash)
_devices = st.sampled_from([DEVICE, "cd" * 8])
_epochs = st.integers(1, 3)
_handles = st.integers(0, 4)
ENTRIES: st.SearchStrategy[Entry] = st.one_of(
    st.builds(Begun, _requests, _times),
    st.builds(Finished, _requests, _times),
    st.builds(OwnerErased, _requests, _hashes, _times),
    st.builds(Tombstone, _devices, _epochs, st.none() | _handles, _hashes, _times),
    st.builds(ConsentWithdrawn, _hashes, _times),
    st.builds(ReadingRemoved, _hashes, _times),
)


@contextmanager
def ledger_with(batches: Sequence[Sequence[Entry]]) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ledger"
        ledger = Ledger(path)
        for batch in batches:
            ledger.append(batch)
        ledger.close()
        yield path


def read(path: Path) -> list[Entry]:
    ledger = Ledger(path)
    ledger.close()
    return list(ledger.entries())


@given(st.lists(st.lists(ENTRIES, min_size=1, max_size=4), max_size=5))
def test_everything_comes_back_in_order(batches: list[list[Entry]]) -> None:
    with ledger_with(batches) as path:
        assert read(path) == [entry for batch in batches for entry in batch]


@given(st.lists(ENTRIES, min_size=1, max_size=6), st.data())
def test_a_changed_byte_is_refused(entries: list[Entry], data: st.DataObject) -> None:
    with ledger_with([entries]) as path:
        content = bytearray(path.read_bytes())
        # The last newline apart: without it the line counts as never written.
        place = data.draw(st.integers(0, len(content) - 2))
        content[place] ^= data.draw(st.integers(1, 255))
        path.write_bytes(content)
        with pytest.raises(LedgerError):
            Ledger(path)


@given(st.lists(ENTRIES, min_size=2, max_size=6), st.data())
def test_a_missing_or_moved_line_is_refused(entries: list[Entry], data: st.DataObject) -> None:
    with ledger_with([entries]) as path:
        lines = path.read_bytes().splitlines(keepends=True)
        removed = data.draw(st.integers(0, len(lines) - 2))
        path.write_bytes(b"".join(lines[:removed] + lines[removed + 1 :]))
        with pytest.raises(LedgerError):
            Ledger(path)
        path.write_bytes(b"".join([lines[0], *lines[:0:-1]]))
        with pytest.raises(LedgerError):
            Ledger(path)


@given(st.lists(ENTRIES, min_size=1, max_size=4), st.data())
def test_a_write_that_was_cut_leaves_what_was_before(
    entries: list[Entry], data: st.DataObject
) -> None:
    with ledger_with([entries]) as path:
        content = path.read_bytes()
        cut = data.draw(st.integers(0, len(content) - 1))
        path.write_bytes(content[:cut])
        kept = content[:cut].count(b"\n")
        assert read(path) == entries[: max(kept - 1, 0)]
        # And it goes on from there as an unbroken chain.
        ledger = Ledger(path)
        ledger.append([Begun("00" * 16, 1)])
        ledger.close()
        assert read(path)[-1] == Begun("00" * 16, 1)


@given(st.lists(ENTRIES, max_size=8), _devices, _epochs, _handles, st.none() | _owners)
def test_lookup_is_what_the_entries_say(
    entries: list[Entry], device: str, epoch: int, handle: int, owner: bytes | None
) -> None:
    if owner is not None and len(entries) % 2:
        entries = [*entries, OwnerErased("00" * 16, owner_hash(owner), 0)]
    with ledger_with([entries] if entries else []) as path:
        ledger = Ledger(path)
        ledger.close()
    expected = any(
        isinstance(entry, Tombstone)
        and (entry.device, entry.epoch) == (device, epoch)
        and entry.handle in {None, handle}
        for entry in entries
    ) or any(
        isinstance(entry, OwnerErased) and owner and entry.owner_hash == owner_hash(owner)
        for entry in entries
    )
    assert ledger.is_erased(device, epoch, handle, owner=owner) == expected


def test_tombstones_hold_for_their_device_epoch_and_handle_only(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger")
    ledger.append([Tombstone(DEVICE, 2, 3, owner_hash(b"x" * 16), 1)])
    assert ledger.is_erased(DEVICE, 2, 3)
    assert not ledger.is_erased(DEVICE, 2, 4)
    assert not ledger.is_erased(DEVICE, 1, 3)
    assert not ledger.is_erased("cd" * 8, 2, 3)
    ledger.append([Tombstone(DEVICE, 2, None, owner_hash(b"x" * 16), 1)])
    assert ledger.is_erased(DEVICE, 2, 4)
    ledger.close()


def test_unfinished_requests_are_known_after_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "ledger"
    ledger = Ledger(path)
    ledger.append([Begun("aa" * 16, 1), Begun("bb" * 16, 2)])
    ledger.append([Finished("aa" * 16, 3)])
    ledger.close()
    reopened = Ledger(path)
    assert reopened.unfinished() == ["bb" * 16]
    reopened.close()


def test_an_older_ledger_does_not_continue_a_newer_one(tmp_path: Path) -> None:
    path = tmp_path / "ledger"
    ledger = Ledger(path)
    ledger.append([Begun("aa" * 16, 1)])
    old = path.read_bytes()
    ledger.append([Finished("aa" * 16, 1)])
    head = ledger.head()
    assert ledger.continues(head)
    ledger.append([Begun("bb" * 16, 1)])
    assert ledger.continues(head)
    ledger.close()

    path.write_bytes(old)
    older = Ledger(path)
    assert not older.continues(head)
    # Of the same length, but another history.
    older.append([Finished("cc" * 16, 1)])
    assert older.head().lines == head.lines
    assert not older.continues(head)
    assert not older.continues(Head(0, ""))
    older.close()


def test_it_is_private_and_names_nobody(tmp_path: Path) -> None:
    path = tmp_path / "ledger"
    owner = os.urandom(16)
    ledger = Ledger(path)
    ledger.append([OwnerErased("aa" * 16, owner_hash(owner), 1)])
    ledger.close()
    assert path.stat().st_mode & 0o777 == 0o600
    assert owner not in path.read_bytes()
    assert owner.hex().encode() not in path.read_bytes()


def test_a_ledger_of_another_version_is_refused(tmp_path: Path) -> None:
    import hashlib

    path = tmp_path / "ledger"
    text = '{"id":"00","kind":"ledger","version":2}'
    line_hash = hashlib.sha256(f"{'0' * 64}\n{text}".encode()).hexdigest()
    path.write_text(f"{line_hash} {text}\n")
    with pytest.raises(LedgerError, match="version"):
        Ledger(path)
