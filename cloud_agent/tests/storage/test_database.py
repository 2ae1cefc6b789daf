"""The main database: settings that took, versions refused, erased bytes gone after compaction."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path

import pytest
import sqlalchemy as sa

from cloud_agent.errors import SchemaVersionError, StorageError
from cloud_agent.storage import Database, schema

CANARY = b"canary 4711 in the coal mine"


def pragma(database: Database, name: str) -> object:
    return database.writer.call(lambda c: c.exec_driver_sql(f"PRAGMA {name}").scalar_one())


def test_a_commit_is_synced_and_removed_bytes_are_overwritten(database: Database) -> None:
    assert pragma(database, "journal_mode") == "wal"
    assert pragma(database, "synchronous") == 2  # FULL
    assert pragma(database, "secure_delete") == 1
    assert pragma(database, "foreign_keys") == 1
    assert pragma(database, "temp_store") == 2  # memory


def test_the_weaker_setting_can_be_chosen_for_the_test_that_shows_why_not(tmp_path: Path) -> None:
    database = Database(tmp_path / "tare.db", synchronous="NORMAL")
    assert pragma(database, "synchronous") == 1
    database.close()


def test_readers_cannot_write(database: Database) -> None:
    row = {"id": bytes(16), "kind": "tray"}
    with pytest.raises(StorageError, match="readonly"), database.reading() as connection:
        connection.execute(schema.owner.insert().values(row))


def test_files_are_private(database: Database) -> None:
    database.writer.call(lambda c: c.execute(schema.claim_window.delete()))
    modes = {path.stat().st_mode & 0o777 for path in database.path.parent.iterdir()}
    assert modes == {0o600}


def test_another_schema_version_is_refused(tmp_path: Path) -> None:
    database = Database(tmp_path / "tare.db")
    version = schema.schema_version.update().values(version=99)
    database.writer.call(lambda c: c.execute(version))
    database.close()
    with pytest.raises(SchemaVersionError, match="version 99"):
        Database(tmp_path / "tare.db")


def test_a_foreign_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "tare.db"
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE recipes (soup TEXT)")
    other.close()
    with pytest.raises(SchemaVersionError):
        Database(path)
    with sqlite3.connect(path) as other:
        tables = other.execute("SELECT name FROM sqlite_master").fetchall()
    other.close()
    assert tables == [("recipes",)]


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "tare.db"
    path.write_bytes(b"all my notes\n" * 1000)
    with pytest.raises(StorageError):
        Database(path)
    assert path.read_bytes().startswith(b"all my notes")


def fill_and_delete(database: Database) -> None:
    def fill(connection: sa.Connection) -> None:
        for number in range(300):
            connection.execute(
                schema.refused_frame.insert().values(
                    reason="size",
                    topic=CANARY.decode() * (number % 7 + 1),
                    length=number,
                    received_s=0,
                )
            )

    database.writer.call(fill)
    assert hits(database) > 300  # the scan can find what is there
    table = schema.refused_frame
    database.writer.call(lambda c: c.execute(table.delete().where(table.c.length % 5 != 0)))
    database.writer.call(lambda c: c.execute(table.delete()))


def hits(database: Database) -> int:
    return sum(path.read_bytes().count(CANARY) for path in database.path.parent.iterdir())


def test_deleted_bytes_stay_until_compaction_and_not_after(database: Database) -> None:
    fill_and_delete(database)
    assert hits(database) > 0, "the write-ahead log keeps them: else compaction proves nothing"
    database.compact()
    assert hits(database) == 0


def test_compaction_waits_for_readers_of_ours(database: Database) -> None:
    fill_and_delete(database)
    compacting = threading.Thread(target=database.compact)
    with database.reading() as connection:
        connection.execute(sa.select(schema.owner)).all()
        compacting.start()
        compacting.join(0.2)
        assert compacting.is_alive()
    compacting.join(10)
    assert not compacting.is_alive()
    assert hits(database) == 0
    with database.reading() as connection:
        assert connection.execute(sa.select(schema.owner)).all() == []


def test_compaction_says_so_when_a_foreign_reader_prevents_it(database: Database) -> None:
    fill_and_delete(database)
    foreign = sqlite3.connect(database.path, isolation_level=None)
    foreign.execute("BEGIN")
    foreign.execute("SELECT count(*) FROM refused_frame").fetchone()
    with pytest.raises(StorageError):
        database.compact()
    foreign.close()
    database.compact()
    assert hits(database) == 0
