"""Ends consents. The ledger has it before the rows do, so that no restore brings one back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa

from cloud_agent.privacy.ledger import ConsentWithdrawn, owner_hash

if TYPE_CHECKING:
    from cloud_agent.service import Service


def withdraw(
    service: Service, connection: sa.Connection, table: sa.Table, *where: sa.ColumnElement[bool]
) -> int:
    """The step of the writer: ends the consents of `table` that are open, at once; returns how
    many. Raises `LedgerError`: nothing has changed then. Where only the commit fails, the next
    start does it again.
    """
    query = sa.select(table.c.id).where(table.c.withdrawn_s.is_(None), *where)
    ended = list(connection.execute(query).scalars())
    if ended:
        now_s = service.now()
        service.ledger.append([ConsentWithdrawn(owner_hash(each), now_s) for each in ended])
        statement = table.update().where(table.c.id.in_(ended)).values(withdrawn_s=now_s)
        connection.execute(statement)
    return len(ended)
