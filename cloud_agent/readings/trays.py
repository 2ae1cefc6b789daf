"""Trays: readings that the device could put to nobody are counted, and go after 14 days."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import sqlalchemy as sa

from cloud_agent.storage import schema

if TYPE_CHECKING:
    from cloud_agent.accounts.accounts import Account
    from cloud_agent.service import Service

KEPT_S: Final = 14 * 86_400


@dataclass(frozen=True, slots=True)
class Waiting:
    """How many readings are in the trays of an account's devices, and when the oldest goes (Unix
    seconds; None when there is none). What was measured stays closed: it may be a guest's.
    """

    count: int
    until_s: int | None


def waiting(service: Service, account: Account) -> Waiting:
    """What the account's devices could put to nobody."""
    claim, reading = schema.claim, schema.reading
    trays = sa.select(claim.c.tray).where(claim.c.account == account.id, claim.c.tray.is_not(None))
    query = sa.select(sa.func.count(), sa.func.min(reading.c.stored_s)).where(
        reading.c.owner.in_(trays)
    )
    with service.database.reading() as connection:
        count, oldest_s = connection.execute(query).one()
    return Waiting(count, None if oldest_s is None else oldest_s + KEPT_S)


def remove_old(service: Service) -> int:
    """Deletes what has been in a tray for too long; returns how many readings."""
    before_s = service.now() - KEPT_S
    owner, reading, frame, ingest = schema.owner, schema.reading, schema.frame, schema.ingest
    trays = sa.select(owner.c.id).where(owner.c.kind == "tray")

    def remove(connection: sa.Connection) -> int:
        old = (reading.c.owner.in_(trays), reading.c.stored_s <= before_s)
        removed = connection.execute(reading.delete().where(*old)).rowcount
        if removed:
            unused = ~sa.exists().where(reading.c.frame == frame.c.id)
            connection.execute(frame.delete().where(frame.c.owner.in_(trays), unused))
            # A tray that is empty has nothing that a late repetition could be compared with.
            left = sa.select(reading.c.owner).where(reading.c.owner.in_(trays))
            emptied = (ingest.c.owner.in_(trays), ingest.c.owner.not_in(left))
            connection.execute(ingest.update().where(*emptied).values(owner=None, digest=None))
        return removed

    return service.writer.call(remove)
