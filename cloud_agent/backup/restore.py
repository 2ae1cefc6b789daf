"""Puts backups back so that nobody who was erased comes with them. For a server that is stopped.

Everything is opened, checked and laid ready first; then files change places, which a cut may
interrupt at any moment: the next start finishes it. The newest ledger counts, wherever it is, and
the start erases again whoever is in it, and ends again what people ended, before it serves
anybody. Blocks.
"""

from __future__ import annotations

import secrets
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cloud_agent.backup import sealed_file, staged
from cloud_agent.backup.make import DATA, KEYS, empty
from cloud_agent.backup.sealed_file import BackupError
from cloud_agent.config import DataFolder, FolderLock
from cloud_agent.errors import KeyEncryptionKeyError, UsageError
from cloud_agent.files import sync_folder, write_private
from cloud_agent.privacy import kek
from cloud_agent.privacy.ledger import Ledger

_READY: Final = "ready"
# Handles that were given after the backup: none of them may be given again.
_HANDLES_AHEAD: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Sets:
    """What to restore from. `ledger`: a newer one than that of the backup, from where it is
    copied to. `key`: the key-encryption key, where the folder has none.
    """

    data: Path
    keys: Path
    passphrase: str
    ledger: Path | None = None
    key: bytes | None = None


@dataclass(frozen=True, slots=True)
class Restored:
    """What whoever restores has to see to. `operators`: who worked here at the time of the
    backup, and does not any more.
    """

    operators: tuple[str, ...]


def restore(root: Path, sets: Sets, now_s: int, *, replace: bool = False) -> Restored:
    """Restores into the data folder `root`. Sessions, links that open an account, and operators
    of the backup are ended: they may have been ended since. Raises `BackupError`, `LedgerError`,
    `UsageError`; the folder is as before then.
    """
    folder = DataFolder(root)
    if folder.holds_data() and not replace:
        raise UsageError(f"{root} holds an installation: add --replace to put another in its place")
    folder.create()
    lock = FolderLock(folder)
    try:
        finish(folder)
        staging = folder.staging
        empty(staging)
        try:
            restored = _lay_ready(folder, staging, sets, now_s)
        except BaseException:
            empty(staging)
            raise
        finish(folder)
    finally:
        lock.release()
    return restored


def finish(folder: DataFolder) -> None:
    """At the start: finishes a restore that was cut while files changed places. What else lies
    in the staging folder was left by a backup that was cut.
    """
    staging = folder.staging
    if not (staging / _READY).exists():
        empty(staging)
        return
    for name in ("tare.db", "keys.db"):
        if (staging / name).exists():
            # What belonged to the database of before must not be taken for this one's.
            for suffix in ("-wal", "-shm", "-journal"):
                (folder.root / f"{name}{suffix}").unlink(missing_ok=True)
    for path in sorted(staging.rglob("*")):
        if path.is_file() and path.name != _READY:
            target = folder.root / path.relative_to(staging)
            target.parent.mkdir(mode=0o700, exist_ok=True)
            path.replace(target)
            sync_folder(target.parent)
    (staging / _READY).unlink()
    empty(staging)
    sync_folder(staging)


def _lay_ready(folder: DataFolder, staging: Path, sets: Sets, now_s: int) -> Restored:
    data = _unpack(sets.data, staging, sets.passphrase, DATA)
    keys = _unpack(sets.keys, staging, sets.passphrase, KEYS)
    if data.installation != keys.installation:
        raise BackupError("these two backups are of two installations")
    if keys.until_s is not None and keys.until_s <= now_s:
        raise BackupError("the time of this backup of keys is over: use a newer one")
    _choose_ledger(folder, staging, sets.ledger)
    _choose_receipts(folder, staging)
    _check_key(folder, staging, sets.key)
    _check_database(staging / "tare.db")
    _check_database(staging / "keys.db")
    _skip_handles(staging / "tare.db")
    staged.note_keys(staging / "tare.db", sets.keys, keys, now_s)
    operators = staged.end_access(staging / "keys.db")
    sync_folder(staging)
    write_private(staging / _READY, b"", replace=False)
    return Restored(operators=tuple(operators))


def _unpack(path: Path, staging: Path, passphrase: str, kind: str) -> sealed_file.Header:
    header = sealed_file.read_header(path)
    if header.set != kind:
        raise BackupError(f"{path.name} is a backup of {header.set}, not of {kind}")
    part = staging / f"{kind}-{secrets.token_hex(4)}"
    part.mkdir(mode=0o700)
    sealed_file.unpack(path, part, passphrase)
    for each in sorted(part.iterdir()):
        each.rename(staging / each.name)
    part.rmdir()
    return header


def _choose_ledger(folder: DataFolder, staging: Path, given: Path | None) -> None:
    """The newest of the ledgers that are there; each must be the beginning of it."""
    candidates = [staging / "ledger", folder.ledger, *([given] if given is not None else [])]
    contents = [path.read_bytes() for path in candidates if path.exists()]
    whole = [content[: content.rfind(b"\n") + 1] for content in contents]
    newest = max(whole, key=len)
    if not all(newest.startswith(content) for content in whole):
        raise BackupError("these ledgers are of two installations, or one of them was changed")
    chosen = staging / "ledger"
    chosen.unlink(missing_ok=True)
    write_private(chosen, newest, replace=True)
    Ledger(chosen).close()  # an unbroken chain, or LedgerError


def _choose_receipts(folder: DataFolder, staging: Path) -> None:
    ours, theirs = folder.receipts, staging / "receipts"
    if ours.exists() and theirs.exists() and ours.read_bytes().startswith(theirs.read_bytes()):
        theirs.unlink()


def _check_key(folder: DataFolder, staging: Path, given: bytes | None) -> None:
    if given is not None:
        kek.write(staging / folder.kek.name, given)
    elif not folder.kek.exists():
        raise KeyEncryptionKeyError(
            "the key-encryption key is in no backup: give the recovery sheet with --sheet"
        )


def _check_database(path: Path) -> None:
    try:
        with closing(sqlite3.connect(path)) as connection:
            [answer] = connection.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.Error as error:
        raise BackupError(f"{path.name} in the backup is damaged") from error
    if answer != "ok":
        raise BackupError(f"{path.name} in the backup is damaged")


def _skip_handles(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        known = connection.execute("SELECT name FROM sqlite_schema WHERE name = 'device_handles'")
        if known.fetchone() is None:
            return  # of a version that counted none
        # A device whose handles nobody has counted yet, too.
        connection.execute(
            "INSERT OR IGNORE INTO device_handles (device, last) SELECT id, max("
            "coalesce((SELECT max(handle) FROM person_handle WHERE device = id), 0), "
            "coalesce((SELECT max(handle) FROM former_handle WHERE device = id), 0)) FROM device"
        )
        connection.execute(
            "UPDATE device_handles SET last = min(last + ?, 65535)", (_HANDLES_AHEAD,)
        )
