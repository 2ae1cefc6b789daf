"""Who read whose data: ids and times, no value. A year long, and it goes with the person."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

import sqlalchemy as sa

from cloud_agent.storage.oversight_schema import access as table
from cloud_agent.storage.oversight_schema import access_of_erased

if TYPE_CHECKING:
    from cloud_agent.service import Service

ActorKind = Literal["person", "operator"]

DAY_S: Final = 86_400
_KEPT_S: Final = 365 * 86_400


@dataclass(frozen=True, slots=True)
class Access:
    """One read. `actor`: account id in hex, or the name of an operator."""

    at_s: int
    actor_kind: str
    actor: str
    what: str
    reason: str | None


def note(
    service: Service,
    subject: bytes,
    *,
    actor_kind: ActorKind,
    actor: str,
    what: str,
    reason: str | None = None,
) -> None:
    """Writes down a read, before it: durable on return."""
    row = {
        "at_s": service.now(),
        "actor_kind": actor_kind,
        "actor": actor,
        "subject": subject,
        "what": what,
        "reason": reason,
    }
    service.writer.call(lambda c: c.execute(table.insert().values(row)))


def of_person(service: Service, subject: bytes) -> list[Access]:
    """Who read a person's data, oldest first."""
    query = (
        sa.select(table.c.at_s, table.c.actor_kind, table.c.actor, table.c.what, table.c.reason)
        .where(table.c.subject == subject)
        .order_by(table.c.id)
    )
    with service.database.reading() as connection:
        return [Access(*row) for row in connection.execute(query)]


def affected(service: Service, from_s: int, until_s: int, actor: str | None) -> list[bytes]:
    """Whose data were read in a time, by one actor or by anybody: the people of a breach."""
    where: list[sa.ColumnElement[bool]] = [table.c.at_s.between(from_s, until_s)]
    if actor is not None:
        where.append(table.c.actor == actor)
    query = sa.select(table.c.subject).where(*where).distinct()
    with service.database.reading() as connection:
        return sorted(connection.execute(query).scalars())


def keep_count(connection: sa.Connection, subject: bytes) -> None:
    """Before a person's rows go: on which days which operators read of them stays, under a random
    number, so that a breach that is found later still counts them.
    """
    where = (table.c.subject == subject, table.c.actor_kind == "operator")
    query = sa.select(table.c.at_s, table.c.actor).where(*where)
    days = {(row.at_s // DAY_S * DAY_S, row.actor) for row in connection.execute(query)}
    number = secrets.token_bytes(16)
    for day_s, actor in sorted(days):
        row = {"number": number, "day_s": day_s, "actor": actor}
        connection.execute(access_of_erased.insert().values(row))


def erased_since(service: Service, from_s: int, until_s: int, actor: str | None) -> int:
    """How many people whose data an operator read in a time (whole days) have been erased."""
    read = access_of_erased
    where: list[sa.ColumnElement[bool]] = [read.c.day_s.between(from_s - DAY_S + 1, until_s)]
    if actor is not None:
        where.append(read.c.actor == actor)
    query = sa.select(sa.func.count(sa.distinct(read.c.number))).where(*where)
    with service.database.reading() as connection:
        return int(connection.execute(query).scalar_one())


def remove_old(service: Service) -> None:
    """Housekeeping: after a year."""
    before_s = service.now() - _KEPT_S

    def remove(connection: sa.Connection) -> None:
        connection.execute(table.delete().where(table.c.at_s <= before_s))
        day_s = access_of_erased.c.day_s
        connection.execute(access_of_erased.delete().where(day_s <= before_s))

    service.writer.call(remove)
