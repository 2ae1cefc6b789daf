"""The catalogue: what every column of every store is, and what erasing a person does.

Read from the annotations of the tables, so it cannot differ from the schema.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa

from cloud_agent.storage import keys_schema, schema
from cloud_agent.storage.annotations import About, Category, Delete, Erasing, Keep, Match, Scrub

STORES: Final = {"tare.db": schema.metadata, "keys.db": keys_schema.metadata}


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the register: a column, what it is, and what erasing does to its table."""

    store: str
    table: str
    column: str
    about: About
    erasing: Erasing


@dataclass(frozen=True, slots=True)
class Person:
    """The identifiers under which rows of a person (or of several at once) are found."""

    accounts: tuple[bytes, ...]
    owners: tuple[bytes, ...]  # the subject, then the trays of their claims


def register() -> Iterator[Line]:
    """Every column of every store."""
    for store, metadata in STORES.items():
        for table in metadata.sorted_tables:
            for column in table.columns:
                yield Line(
                    store, table.name, column.name, column.info["about"], table.info["erasing"]
                )


def rows_of(
    connection: sa.Connection, metadata: sa.MetaData, person: Person
) -> Iterator[tuple[sa.Table, Sequence[sa.Row[Any]]]]:
    """The person's rows in every table that erasing them would touch; also where there are none."""
    for table in metadata.sorted_tables:
        rule: Erasing = table.info["erasing"]
        if isinstance(rule, Delete | Scrub):
            where = table.c[rule.by].in_(_identifiers(rule.match, person))
            order = list(table.primary_key)
            yield table, connection.execute(sa.select(table).where(where).order_by(*order)).all()


def erase_rows(
    connection: sa.Connection,
    metadata: sa.MetaData,
    person: Person,
    *,
    only_health: bool = False,
) -> dict[str, int]:
    """Deletes or scrubs the person's rows in all tables, or in those with health data; returns
    how many rows of each.
    """
    done = {}
    # Referring tables before those that they refer to.
    for table in reversed(metadata.sorted_tables):
        rule: Erasing = table.info["erasing"]
        if isinstance(rule, Keep) or (only_health and not has_health_data(table)):
            continue
        where = table.c[rule.by].in_(_identifiers(rule.match, person))
        if isinstance(rule, Delete):
            result = connection.execute(table.delete().where(where))
        else:
            emptied = dict.fromkeys(rule.columns)
            result = connection.execute(table.update().where(where).values(emptied))
        done[table.name] = result.rowcount
    return done


def has_health_data(table: sa.Table) -> bool:
    """Whether a table has a column with health data."""
    return any(each.info["about"].category is Category.HEALTH for each in table.columns)


def remaining_rows(
    connection: sa.Connection, metadata: sa.MetaData, person: Person
) -> dict[str, int]:
    """How many rows still lead to the person, for every table that has any."""
    left = {}
    for table in metadata.sorted_tables:
        rule: Erasing = table.info["erasing"]
        if isinstance(rule, Delete | Scrub):
            where = table.c[rule.by].in_(_identifiers(rule.match, person))
            query = sa.select(sa.func.count()).select_from(table).where(where)
            count = connection.execute(query).scalar_one()
            if count:
                left[table.name] = count
    return left


def _identifiers(match: Match, person: Person) -> Collection[bytes]:
    return person.owners if match is Match.OWNER else person.accounts
