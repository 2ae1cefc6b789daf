"""Schema, database, catalogue, export, erasure and register know the same columns: one that any of
them does not know is found, and a new table is known to all by its annotations alone.
"""

from __future__ import annotations

import json
import secrets
import zipfile
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
import sqlalchemy as sa

from cloud_agent.accounts.accounts import Account
from cloud_agent.errors import StorageError
from cloud_agent.privacy import export, register
from cloud_agent.privacy.catalogue import STORES
from cloud_agent.privacy.register import Controller
from cloud_agent.storage import abouts as a
from cloud_agent.storage import schema
from cloud_agent.storage.annotations import Delete, Keep, Link, column
from cloud_agent.storage.types import BLOB, TEXT
from cloud_agent.tests.privacy.home import Home

CANARY = "a note of hers"


def in_database(home: Home) -> set[str]:
    """As SQLite itself tells it."""
    with home.service.database.reading() as connection:
        rows = connection.exec_driver_sql(
            "SELECT l.name || '.' || i.name FROM pragma_table_list() AS l, "
            "pragma_table_info(l.name) AS i WHERE l.schema = 'main' AND l.type = 'table' "
            "AND l.name NOT LIKE 'sqlite_%'"
        )
        return set(rows.scalars())


def in_schema(store: str = "tare.db") -> set[str]:
    return {f"{t.name}.{c.name}" for t in STORES[store].sorted_tables for c in t.columns}


def in_register(store: str = "tare.db") -> set[str]:
    lines = register.as_json(Controller({}))["stores"]
    return {f"{each['table']}.{each['column']}" for each in lines if each["store"] == store}


def of_people(store: str = "tare.db") -> set[str]:
    """Columns of tables that erasing a person touches, but for our numbers of the person."""
    return {
        f"{t.name}.{c.name}"
        for t in STORES[store].sorted_tables
        if not isinstance(t.info["erasing"], Keep)
        for c in t.columns
        if c.info["about"].link is not Link.IS_PERSON
    }


def records(home: Home, account: Account) -> dict[str, list[dict[str, Any]]]:
    with zipfile.ZipFile(export.make_export(home.service, account)) as archive:
        tables = json.loads(archive.read("records.json"))
    return {
        each["table"]: [dict(zip(each["columns"], row, strict=True)) for row in each["rows"]]
        for each in tables
    }


def in_export(home: Home) -> set[str]:
    with zipfile.ZipFile(export.make_export(home.service, home.ann)) as archive:
        tables = json.loads(archive.read("records.json"))
    return {f"{each['table']}.{name}" for each in tables for name in each["columns"]}


def left_out(store: str = "tare.db") -> set[str]:
    return {
        name
        for name in of_people(store)
        if name in export.LEFT_OUT or name.partition(".")[0] in export.LEFT_OUT
    }


def differences(home: Home) -> list[str]:
    """Every column that one of them does not know."""
    known = {"database": in_database(home), "schema": in_schema(), "register": in_register()}
    every = set().union(*known.values())
    found = [f"{who}: {name}" for who, names in known.items() for name in every - names]
    exported = in_export(home) | left_out()
    return sorted(found + [f"export: {name}" for name in of_people() ^ exported])


def test_all_know_the_same_columns(home: Home) -> None:
    assert differences(home) == []
    assert in_schema("keys.db") == in_register("keys.db")
    assert of_people("keys.db") == left_out("keys.db")
    assert of_people() - left_out() > {"access.what", "reading.taken_s", "disclosure.amount"}


def test_what_is_left_out_is_there_and_says_why() -> None:
    people = of_people() | of_people("keys.db")
    there = people | {name.partition(".")[0] for name in people}
    assert set(export.LEFT_OUT) <= there
    assert all(len(reason) > 15 for reason in export.LEFT_OUT.values())


def test_no_sealed_column_is_exported_as_it_is(home: Home) -> None:
    for store in STORES.values():
        for table in store.sorted_tables:
            for each in table.columns:
                if each.name in {"ciphertext", "contact", "wrapped", "password_hash"}:
                    kept = isinstance(table.info["erasing"], Keep)
                    assert kept or export.is_left_out(each), each
    assert home.ann.subject.hex() not in json.dumps(records(home, home.ann))


def test_mutation_a_column_that_only_the_database_has(home: Home) -> None:
    add = "ALTER TABLE reading ADD COLUMN note TEXT"
    home.service.writer.call(lambda c: c.exec_driver_sql(add))
    assert differences(home) == ["register: reading.note", "schema: reading.note"]


def test_mutation_a_column_that_the_export_forgets(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = export.is_left_out
    monkeypatch.setattr(export, "is_left_out", lambda c: c.name == "what" or right(c))
    assert differences(home) == ["export: access.what"]


def _execute(statement: sa.Executable, connection: sa.Connection) -> None:
    connection.execute(statement)


@pytest.fixture
def note() -> Iterator[sa.Table]:
    """A table that somebody adds, with nothing but its annotations."""
    made = schema.table(
        "note",
        Delete("subject"),
        column("id", BLOB, primary_key=True, about=a.RIGHT),
        column("subject", BLOB, about=a.PERSON_ID),
        column("words", TEXT, about=a.RIGHT),
    )
    yield made
    schema.metadata.remove(made)


def test_mutation_a_table_that_was_never_made(home: Home, note: sa.Table) -> None:
    with pytest.raises(StorageError):  # the export asks for it
        export.make_export(home.service, home.ann)
    assert in_schema() - in_database(home) == {f"note.{c.name}" for c in note.columns}


def test_a_new_table_is_known_to_all_by_its_annotations(home: Home, note: sa.Table) -> None:
    home.service.writer.call(note.create)
    for person in (home.ann, home.bob):
        row = {"id": secrets.token_bytes(16), "subject": person.subject, "words": CANARY}
        insert = note.insert().values(row)
        home.service.writer.call(partial(_execute, insert))
    assert differences(home) == []
    assert {"note.id", "note.subject", "note.words"} <= in_register()
    assert [each["words"] for each in records(home, home.ann)["note"]] == [CANARY]
    report = home.erase()
    assert report.rows_erased["note"] == 1
    assert [each["words"] for each in records(home, home.bob)["note"]] == [CANARY]


def test_a_column_without_annotation_stops_the_register(note: sa.Table) -> None:
    note.append_column(sa.Column("forgotten", TEXT))
    with pytest.raises(KeyError, match="about"):
        register.as_json(Controller({}))


def test_records_are_of_the_one_person(home: Home) -> None:
    before = records(home, home.bob)
    anns = records(home, home.ann)
    assert anns["reading"]
    assert {each["id"] for each in anns["reading"]}.isdisjoint(
        each["id"] for each in before["reading"]
    )
    home.erase()
    assert records(home, home.bob) == before
