"""Who read whose data: ids and times, no value. A year long, and it goes with the person."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

import sqlalchemy as sa

from cloud_agent.storage.oversight_schema import access as table

if TYPE_CHECKING:
    from cloud_agent.service import Service

ActorKind = Literal["person", "operator"]

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


def remove_old(service: Service) -> None:
    """Housekeeping: after a year."""
    old = table.c.at_s <= service.now() - _KEPT_S
    service.writer.call(lambda c: c.execute(table.delete().where(old)))
