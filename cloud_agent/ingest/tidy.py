"""Removes what has had its time: notes of refused messages after 90 days, or when there are too
many, and closed claim windows.
"""

from __future__ import annotations

import logging

import sqlalchemy as sa

from cloud_agent.errors import StorageError
from cloud_agent.service import Service
from cloud_agent.storage import schema

log = logging.getLogger("tare.ingest")

_REFUSED_LIFE_S = 90 * 86_400
_MOST_REFUSED = 100_000


async def tidy(service: Service) -> None:
    """Does it now; a store that is full or busy is told in the log and tried the next time."""
    now_s = service.now()

    def remove(connection: sa.Connection) -> None:
        refused, window = schema.refused_frame, schema.claim_window
        old = refused.c.received_s < now_s - _REFUSED_LIFE_S
        newest = connection.execute(sa.select(sa.func.max(refused.c.id))).scalar_one() or 0
        connection.execute(refused.delete().where(old | (refused.c.id <= newest - _MOST_REFUSED)))
        connection.execute(window.delete().where(window.c.until_s <= now_s))

    try:
        await service.writer.run(remove)
    except StorageError as error:
        log.warning("nothing was tidied: %s", error)
