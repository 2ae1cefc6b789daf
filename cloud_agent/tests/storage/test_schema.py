"""The schema says of every column what it is, and holds nothing but three types."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from cloud_agent.privacy.catalogue import STORES, register
from cloud_agent.storage.annotations import About, Basis, Category, Delete, Keep, Link, Scrub
from cloud_agent.storage.database import Database

TABLES = [table for metadata in STORES.values() for table in metadata.sorted_tables]


def missing_annotations(metadata: sa.MetaData) -> list[str]:
    return [
        f"{table.name}.{column.name}"
        for table in metadata.sorted_tables
        for column in table.columns
        if not isinstance(column.info.get("about"), About)
    ]


@pytest.mark.parametrize("store", STORES)
def test_every_column_is_annotated(store: str) -> None:
    assert missing_annotations(STORES[store]) == []


def test_a_column_without_annotation_is_noticed() -> None:
    metadata = sa.MetaData()
    sa.Table("forgotten", metadata, sa.Column("weight", sa.BigInteger))
    assert missing_annotations(metadata) == ["forgotten.weight"]


@pytest.mark.parametrize("table", TABLES, ids=lambda table: str(table.name))
def test_every_table_says_what_erasing_a_person_does(table: sa.Table) -> None:
    rule = table.info["erasing"]
    if isinstance(rule, Keep):
        assert rule.reason
        # What is kept must not name a person.
        assert not [c.name for c in table.columns if c.info["about"].link is Link.IS_PERSON]
    else:
        assert isinstance(rule, Delete | Scrub)
        assert table.c[rule.by].info["about"].link is Link.IS_PERSON
        for name in rule.columns if isinstance(rule, Scrub) else ():
            assert table.c[name].nullable


@pytest.mark.parametrize("table", TABLES, ids=lambda table: str(table.name))
def test_a_scrubbed_table_keeps_nothing_that_names_a_person(table: sa.Table) -> None:
    rule = table.info["erasing"]
    if isinstance(rule, Scrub):
        naming = {c.name for c in table.columns if c.info["about"].link is Link.IS_PERSON}
        assert naming <= set(rule.columns)


def test_health_data_rest_on_explicit_consent() -> None:
    for line in register():
        if line.about.category is Category.HEALTH:
            assert line.about.basis is Basis.HEALTH_CONSENT, line


def test_what_leads_to_a_person_is_not_called_technical() -> None:
    for line in register():
        if line.about.category is Category.TECHNICAL:
            assert line.about.link is Link.NONE, line


def test_the_register_has_every_column_of_both_stores() -> None:
    lines = list(register())
    assert len(lines) == sum(len(table.columns) for table in TABLES)
    assert {line.store for line in lines} == {"tare.db", "keys.db"}


def test_tables_are_strict_and_have_three_types_only(database: Database) -> None:
    with database.reading() as connection:
        rows = connection.exec_driver_sql(
            "SELECT l.name, l.strict, i.type FROM pragma_table_list() AS l, "
            "pragma_table_info(l.name) AS i WHERE l.schema = 'main' AND l.type = 'table' "
            "AND l.name NOT LIKE 'sqlite_%'"
        ).all()
    names = {row.name for row in rows}
    assert names == set(STORES["tare.db"].tables)
    assert {row.strict for row in rows} == {1}
    assert {row.type for row in rows} == {"INTEGER", "TEXT", "BLOB"}


@pytest.mark.parametrize("value", ["not an id", 7])
def test_a_value_of_another_type_is_refused(database: Database, value: object) -> None:
    statement = "INSERT INTO owner (id, kind) VALUES (?, 'tray')"
    with pytest.raises(sa.exc.StatementError):
        database.writer.call(lambda c: c.exec_driver_sql(statement, (value,)))
