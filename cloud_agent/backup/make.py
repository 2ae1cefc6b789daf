"""Makes backups: data, which may be kept, and keys, which end after a week.

Two sets, because a backup that has both brings an erased person back as long as it exists. The
key-encryption key is in neither: it is on paper (`sheet`). Blocks.
"""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from cloud_agent.backup import sealed_file
from cloud_agent.backup.sealed_file import BackupError
from cloud_agent.storage.backup_schema import backup as table

if TYPE_CHECKING:
    from cloud_agent.service import Service

DATA: Final = "data"
KEYS: Final = "keys"
KEYS_LIVE_S: Final = 7 * 86_400
SUFFIX: Final = ".tarebackup"


def make(service: Service, kind: str, folder: Path, passphrase: str) -> Path:
    """Makes one set in `folder`; returns its file. Keys of before whose time is over are removed
    there. Raises `BackupError`, `UsageError`.
    """
    sealed_file.check_passphrase(passphrase)
    if not folder.is_dir():
        raise BackupError(f"{folder} is no folder")
    now_s = service.now()
    until_s = now_s + KEYS_LIVE_S if kind == KEYS else None
    header = sealed_file.new_header(kind, now_s, until_s, service.ledger.id)
    stamp = datetime.fromtimestamp(now_s, UTC).strftime("%Y%m%dT%H%M%SZ")
    path = folder / f"tare-{kind}-{stamp}{SUFFIX}"
    # Before it is made: a receipt must not name an earlier end than that of a file that exists.
    row = {"kind": kind, "made_s": now_s, "until_s": until_s, "name": path.name}
    service.writer.call(lambda c: c.execute(table.insert().values(row)))
    staging = service.folder.staging
    with service.backup_lock:
        try:
            sealed_file.write(path, header, _files(service, kind, staging), passphrase)
        finally:
            empty(staging)
    if kind == KEYS:
        _remove_ended(folder, service.ledger.id, now_s)
    return path


def horizon_s(service: Service) -> int | None:
    """When the last backup of keys that exists today ends (Unix seconds): until then a destroyed
    key could be had from it. None: there is none.
    """
    query = sa.select(sa.func.max(table.c.until_s)).where(
        table.c.kind == KEYS, table.c.until_s > service.now()
    )
    with service.database.reading() as connection:
        found: int | None = connection.execute(query).scalar_one()
    return found


def list_backups(service: Service) -> list[dict[str, Any]]:
    """What was made: kind, when, until when, under which name; the oldest first."""
    with service.database.reading() as connection:
        rows = connection.execute(sa.select(table).order_by(table.c.id)).mappings()
        return [dict(row) for row in rows]


def empty(folder: Path) -> None:
    """Removes what lies in a folder of our own."""
    for path in folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()


def _files(service: Service, kind: str, staging: Path) -> dict[str, Path]:
    folder = service.folder
    empty(staging)
    if kind == KEYS:
        copy = staging / "keys.db"
        service.vault.store.copy_to(copy)
        authority = {f"ca/{each.name}": each for each in folder.ca.iterdir() if each.is_file()}
        return {"keys.db": copy, "receipt.key": folder.receipt_key, **authority}
    copy = staging / "tare.db"
    # Without the rows that were erased: SQLite's own backup would copy free pages as well.
    with service.database.reading(), closing(_open(folder.database)) as source:
        source.execute("VACUUM INTO ?", (str(copy),))
    # After the database: a ledger may be newer than it, and never older.
    files = {"tare.db": copy, "ledger": folder.ledger, "receipts": folder.receipts}
    if folder.controller.exists():
        files["controller.toml"] = folder.controller
    return files


def _open(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{path}?mode=ro", uri=True)


def _remove_ended(folder: Path, installation: str, now_s: int) -> None:
    for path in folder.glob(f"*{SUFFIX}"):
        try:
            header = sealed_file.read_header(path)
        except BackupError:
            continue
        ours = header.set == KEYS and header.installation == installation
        if ours and header.until_s is not None and header.until_s <= now_s:
            path.unlink()
