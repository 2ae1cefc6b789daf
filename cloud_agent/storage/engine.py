"""Opens SQLite files the one right way and proves that the settings took.

Rules: the main database is WAL with `synchronous=FULL` (NORMAL may lose the last commits on
a power cut, and an ack may have left by then); the key database has a rollback journal;
`secure_delete`, foreign keys and a busy timeout everywhere; no memory map; temporary data in
memory, because a VACUUM would otherwise leave a copy in the system's temporary folder.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Literal

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.pool import NullPool, Pool, QueuePool

from cloud_agent.config import PRIVATE_FILE_MODE
from cloud_agent.errors import StorageError

Synchronous = Literal["NORMAL", "FULL", "EXTRA"]
Journal = Literal["WAL", "DELETE"]

_log = logging.getLogger(__name__)

_BUSY_TIMEOUT_MS: Final = 5_000
_CACHE_KIB: Final = 16_384
_STRICT_SINCE: Final = (3, 37, 0)
_SYNCHRONOUS_NUMBERS: Final = {"NORMAL": 1, "FULL": 2, "EXTRA": 3}


def open_writer(path: Path, *, journal: Journal, synchronous: Synchronous) -> sa.Engine:
    """An engine whose transactions begin IMMEDIATE; the caller holds its one connection."""
    _check_version()
    path.touch(mode=PRIVATE_FILE_MODE)
    settings: dict[str, str] = {
        "journal_mode": journal,
        "synchronous": synchronous,
        "secure_delete": "ON",
        "foreign_keys": "ON",
    }
    expected: dict[str, str | int] = {
        "journal_mode": journal.lower(),
        "synchronous": _SYNCHRONOUS_NUMBERS[synchronous],
        "secure_delete": 1,
        "foreign_keys": 1,
    }
    return _engine(path, "BEGIN IMMEDIATE", settings, expected, NullPool)


def open_readers(path: Path) -> sa.Engine:
    """An engine of a few pooled connections that can only read."""
    expected = {"query_only": 1}
    return _engine(path, "BEGIN", {"query_only": "ON"}, expected, QueuePool)


def _engine(
    path: Path,
    begin: str,
    settings: Mapping[str, str],
    expected: Mapping[str, str | int],
    pool: type[Pool],
) -> sa.Engine:
    engine = sa.create_engine(
        sa.URL.create("sqlite", database=str(path)),
        poolclass=pool,
        hide_parameters=True,  # an error's text goes to logs; its parameters are personal data
        # A connection is made in one thread and used, one at a time, in others.
        connect_args={"check_same_thread": False, "timeout": _BUSY_TIMEOUT_MS / 1000},
    )

    def on_connect(connection: Any, _record: object) -> None:
        _configure(connection, path, settings, expected)

    def on_begin(connection: sa.Connection) -> None:
        connection.exec_driver_sql(begin)

    event.listen(engine, "connect", on_connect)
    event.listen(engine, "begin", on_begin)
    return engine


def _configure(
    connection: sqlite3.Connection,
    path: Path,
    settings: Mapping[str, str],
    expected: Mapping[str, str | int],
) -> None:
    # Without this the driver begins transactions by itself, and not IMMEDIATE.
    connection.isolation_level = None
    try:
        connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        connection.execute("PRAGMA temp_store = MEMORY")
        connection.execute("PRAGMA mmap_size = 0")
        for name, value in settings.items():
            connection.execute(f"PRAGMA {name} = {value}")
        found = {name: connection.execute(f"PRAGMA {name}").fetchone()[0] for name in expected}
    except sqlite3.Error as error:
        raise StorageError(f"{path.name} is not a usable database: {error}") from error
    if found != expected:
        raise StorageError(f"{path.name}: SQLite keeps {found} where {expected} is needed")


def _check_version() -> None:
    if sqlite3.sqlite_version_info < _STRICT_SINCE:
        raise StorageError(f"SQLite {sqlite3.sqlite_version} is too old: 3.37 or later is needed")
    # Before 3.51.3 two connections that write or checkpoint at once may corrupt a WAL; here
    # one connection does both, and the version is in the log for whoever has to look.
    _log.info("SQLite %s, SQLAlchemy %s", sqlite3.sqlite_version, sa.__version__)
