"""The main database: one writer, a few readers, the schema version, compaction."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa

from cloud_agent.errors import SchemaVersionError, StorageError
from cloud_agent.storage import backup_schema as _backup  # noqa: F401 - adds its tables
from cloud_agent.storage import household_schema as _household  # noqa: F401 - adds its tables
from cloud_agent.storage import mail_schema as _mail  # noqa: F401 - adds its tables
from cloud_agent.storage import oversight_schema as _oversight  # noqa: F401 - adds its tables
from cloud_agent.storage import partners_schema as _partners  # noqa: F401 - adds its tables
from cloud_agent.storage import readings_schema as _readings  # noqa: F401 - adds its tables
from cloud_agent.storage import requests_schema as _requests  # noqa: F401 - adds its tables
from cloud_agent.storage import schema
from cloud_agent.storage.engine import Synchronous, open_readers, open_writer
from cloud_agent.storage.writer import Writer


class Database:
    """An open main database. `writer` writes; `reading` gives connections that only read."""

    def __init__(self, path: Path, *, synchronous: Synchronous = "FULL") -> None:
        """Opens or makes the file. Raises `SchemaVersionError` for one of another version."""
        engine = open_writer(path, journal="WAL", synchronous=synchronous)
        self.path = path
        self.writer = Writer(engine, name=path.stem)
        try:
            self.writer.call(_create_or_check)
            self._readers = open_readers(path)
        except BaseException:
            self.writer.close()
            raise
        self._gate = _ReaderGate()

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """A connection that sees one moment of the database and cannot change it.

        Keep it short: compaction waits for all of them, because an open reader keeps erased
        rows in the write-ahead log. Raises `StorageError` for what SQLite cannot do.
        """
        try:
            with self._gate.reader(), self._readers.begin() as connection:
                yield connection
        except sa.exc.OperationalError as error:
            raise StorageError(f"the database cannot be read: {error.orig}") from error

    @property
    def size(self) -> int:
        """Bytes of the file, without the log beside it."""
        return self.path.stat().st_size

    def compact(self) -> None:
        """Rewrites the file without its free space and empties the write-ahead log.

        Only this makes erased bytes go: `secure_delete` leaves some in gaps of live pages.
        Raises `StorageError` when the log could not be emptied.
        """
        with self._gate.alone():
            self._readers.dispose()
            self.writer.call_alone(_vacuum)

    def close(self) -> None:
        """Ends the readers, then the writer, whose last close folds the log into the file."""
        self._readers.dispose()
        self.writer.close()


class _ReaderGate:
    """Many readers, or one compaction that waits for them and holds new ones back."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._readers = 0
        self._alone = False

    @contextmanager
    def reader(self) -> Iterator[None]:
        with self._condition:
            self._condition.wait_for(lambda: not self._alone)
            self._readers += 1
        try:
            yield
        finally:
            with self._condition:
                self._readers -= 1
                self._condition.notify_all()

    @contextmanager
    def alone(self) -> Iterator[None]:
        with self._condition:
            self._condition.wait_for(lambda: not self._alone)
            self._alone = True
            self._condition.wait_for(lambda: self._readers == 0)
        try:
            yield
        finally:
            with self._condition:
                self._alone = False
                self._condition.notify_all()


def _create_or_check(connection: sa.Connection) -> None:
    if not sa.inspect(connection).get_table_names():
        schema.metadata.create_all(connection)
        connection.execute(schema.schema_version.insert().values(version=schema.SCHEMA_VERSION))
        return
    check_version(connection, schema.schema_version, schema.SCHEMA_VERSION)
    # A table may be added within a version: who does not know it does not miss it.
    schema.metadata.create_all(connection)


def check_version(connection: sa.Connection, table: sa.Table, expected: int) -> None:
    """Raises `SchemaVersionError` unless the file says that it has the version `expected`."""
    try:
        found = connection.execute(sa.select(table.c.version)).scalar_one()
    except sa.exc.SQLAlchemyError as error:
        raise SchemaVersionError("this is not a database of Tare") from error
    if found != expected:
        raise SchemaVersionError(
            f"the database has schema version {found}; this Tare reads version {expected} only"
        )


def _vacuum(connection: sa.Connection) -> None:
    driver = connection.connection.driver_connection
    if driver is None:
        raise StorageError("the database is closed")
    try:
        driver.execute("VACUUM")
        busy, _log_pages, _moved = driver.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    except sqlite3.Error as error:
        raise StorageError(f"the database could not be compacted: {error}") from error
    if busy:
        raise StorageError("the write-ahead log could not be emptied: another program reads it")
