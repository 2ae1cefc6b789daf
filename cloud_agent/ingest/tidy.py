"""Removes what has had its time: notes of refused messages after 90 days, closed claim windows."""

from __future__ import annotations

import logging

import sqlalchemy as sa

from cloud_agent.errors import StorageError
from cloud_agent.service import Service
from cloud_agent.storage import schema

log = logging.getLogger("tare.ingest")

_REFUSED_LIFE_S = 90 * 86_400


async def tidy(service: Service) -> None:
    """Does it now; a store that is full or busy is told in the log and tried the next time."""
    now_s = service.now()

    def remove(connection: sa.Connection) -> None:
        refused, window = schema.refused_frame, schema.claim_window
        old = refused.c.received_s < now_s - _REFUSED_LIFE_S
        connection.execute(refused.delete().where(old))
        connection.execute(window.delete().where(window.c.until_s <= now_s))

    try:
        await service.writer.run(remove)
    except StorageError as error:
        log.warning("nothing was tidied: %s", error)
