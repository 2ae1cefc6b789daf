"""Which devices there are: for verifying (by kid) and for showing. Reads the main database."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from cloud_agent.devices.pki import public_key
from cloud_agent.ingest.verify import KnownDevice
from cloud_agent.storage import Database, schema
from protocol import topics

# Bounds memory, not speed: a device is read again when it speaks again.
_MOST_KEPT = 10_000


class Directory:
    """Finds devices by kid. Enrolled ones are kept in memory: `forget` one that is changed."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._enrolled: dict[bytes, KnownDevice] = {}

    def find(self, kid: bytes) -> KnownDevice | None:
        """The device, or None. One that is being enrolled is read anew each time."""
        known = self._enrolled.get(kid)
        if known is None:
            known = self._read(topics.device_id(kid))
            if known is not None and known.enrolled and not known.revoked:
                if len(self._enrolled) >= _MOST_KEPT:
                    self._enrolled.clear()
                self._enrolled[kid] = known
        return known

    def forget(self, device: str) -> None:
        """Reads it anew the next time."""
        self._enrolled.pop(topics.kid_of(device), None)

    def _read(self, device: str) -> KnownDevice | None:
        table = schema.device
        query = sa.select(table.c.public_key, table.c.state).where(table.c.id == device)
        with self._database.reading() as connection:
            row = connection.execute(query).one_or_none()
        if row is None:
            return None
        return KnownDevice(
            device,
            public_key(row.public_key),
            enrolled=row.state != "enrolling",
            revoked=row.state == "revoked",
        )


def list_devices(database: Database) -> list[dict[str, Any]]:
    """Every device as it is shown: id, model, firmware, state, claim, journal, waiting orders."""
    device, claim, outbox = schema.device, schema.claim, schema.command_outbox
    open_claim = (
        sa.select(sa.func.max(claim.c.epoch))
        .where(claim.c.device == device.c.id, claim.c.until_s.is_(None))
        .scalar_subquery()
    )
    waiting = (
        sa.select(sa.func.count())
        .where(outbox.c.device == device.c.id, outbox.c.state == "waiting")
        .scalar_subquery()
    )
    query = sa.select(
        device.c.id,
        device.c.model,
        device.c.firmware,
        device.c.state,
        device.c.enrolled_s,
        device.c.hello_s,
        device.c.cursor.label("settled"),
        device.c.journal_oldest,
        device.c.journal_next,
        sa.func.coalesce(open_claim, 0).label("claim_epoch"),
        waiting.label("orders_waiting"),
    ).order_by(device.c.enrolled_s, device.c.id)
    with database.reading() as connection:
        return [dict(row) for row in connection.execute(query).mappings()]
