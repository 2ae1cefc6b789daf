"""At the start: what people ended or deleted since, and a restored file brought back, ends again.

The ledger knows it by the hashes of random row ids. Whom it erased is not looked after here but
in `erasure`. Blocks.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import sqlalchemy as sa

from cloud_agent.privacy import notices
from cloud_agent.readings import changes
from cloud_agent.storage import schema
from cloud_agent.storage.partners_schema import partner_consent

if TYPE_CHECKING:
    from cloud_agent.service import Service

_log = logging.getLogger(__name__)


def replay(service: Service) -> None:
    """Before anybody is served. Raises `StorageError`; all of it may be repeated."""
    consents = sum(_withdraw(service, table) for table in (schema.consent, partner_consent))
    readings = _remove_readings(service)
    if readings:
        service.database.compact()
    if consents or readings:
        message = "ended again what a restore had brought back: %d consents, %d readings"
        _log.warning(message, consents, readings)


def _withdraw(service: Service, table: sa.Table) -> int:
    query = sa.select(table.c.id).where(table.c.withdrawn_s.is_(None))
    with service.database.reading() as connection:
        held = list(connection.execute(query).scalars())
    ended = {each: service.ledger.withdrawn_s(each) for each in held}
    back = {each: at_s for each, at_s in ended.items() if at_s is not None}

    def end(connection: sa.Connection) -> None:
        for each, at_s in back.items():
            where = table.c.id == each
            connection.execute(table.update().where(where).values(withdrawn_s=at_s))

    if back:
        service.writer.call(end)
    return len(back)


def _remove_readings(service: Service) -> int:
    table = schema.reading
    with service.database.reading() as connection:
        held = connection.execute(sa.select(table.c.id)).scalars()
        back = [each for each in held if service.ledger.is_reading_removed(each)]

    def remove(connection: sa.Connection) -> None:
        for each in back:
            row = connection.execute(sa.select(table).where(table.c.id == each)).one()
            changes.delete_row(connection, row)
            # Whom the backup still knew as a recipient: told twice is better than never.
            notices.place_correction(connection, row.owner, row.stored_s, service.now())

    if back:
        service.writer.call(remove)
    return len(back)
