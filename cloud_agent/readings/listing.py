"""Reads a person's readings back: decrypted, with the time in their zone and its doubt."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from cloud_agent.privacy.vault import Purpose, Vault
from cloud_agent.readings import values, zones
from cloud_agent.readings.values import ALL_QUANTITIES, QUANTITIES, Content
from cloud_agent.storage import Database, schema


@dataclass(frozen=True, slots=True)
class Reading:
    """One reading in the clear. Keep it out of logs."""

    id: bytes
    device: str | None
    source: str
    status: str
    attribution: str
    revision: int
    taken_s: int
    taken_quality: str
    taken_uncertainty_s: int
    offset_s: int
    stored_s: int
    frame: bytes | None
    content: Content

    @property
    def taken_text(self) -> str:
        """RFC 3339 in the person's zone at that time."""
        return zones.iso_text(self.taken_s, self.offset_s)


def list_readings(
    database: Database, vault: Vault, owner: bytes, *, limit: int | None = None
) -> list[Reading]:
    """The owner's readings, oldest first; with `limit` the latest ones only.

    Raises `KeyGoneError` when the owner was erased meanwhile.
    """
    table = schema.reading
    query = (
        sa.select(table)
        .where(table.c.owner == owner)
        .order_by(table.c.taken_s.desc(), table.c.change.desc())
        .limit(limit)
    )
    with database.reading() as connection:
        rows = connection.execute(query).all()
    return [_reading(vault, owner, row) for row in reversed(rows)]


def _reading(vault: Vault, owner: bytes, row: Any) -> Reading:
    plaintext = vault.decrypt(owner, Purpose.HEALTH, "reading", row.id, row.ciphertext)
    return Reading(
        id=row.id,
        device=row.device,
        source=row.source,
        status=row.status,
        attribution=row.attribution,
        revision=row.revision,
        taken_s=row.taken_s,
        taken_quality=row.taken_quality,
        taken_uncertainty_s=row.taken_uncertainty_s,
        offset_s=row.offset_s or 0,
        stored_s=row.stored_s,
        frame=row.frame,
        content=values.decode(plaintext),
    )


CSV_HEADER = (
    "taken",
    "taken_utc",
    "utc_offset_s",
    "uncertainty_s",
    "kind",
    *(
        f"{quantity.name}_{_unit}"
        for quantity, _unit in zip(
            ALL_QUANTITIES, ("kg", "ohm", "mmhg", "mmhg", "mmhg", "per_min"), strict=True
        )
    ),
    "remarks",
    "device",
    "status",
    "attribution",
    "id",
)


def _csv_row(reading: Reading) -> list[str]:
    """The fields of `CSV_HEADER`."""
    texts = reading.content.texts()
    return [
        reading.taken_text,
        zones.iso_text(reading.taken_s, 0),
        str(reading.offset_s),
        str(reading.taken_uncertainty_s),
        reading.content.kind_name,
        *(texts.get(quantity.name, "") for quantity in ALL_QUANTITIES),
        "; ".join(reading.content.flags()),
        reading.device or "",
        reading.status,
        reading.attribution,
        reading.id.hex(),
    ]


def as_csv(readings: Iterable[Reading]) -> str:
    """The text of a CSV file with its header."""
    text = io.StringIO(newline="")
    table = csv.writer(text)
    table.writerow(CSV_HEADER)
    table.writerows(_csv_row(reading) for reading in readings)
    return text.getvalue()


def as_json(reading: Reading) -> dict[str, Any]:
    """One reading as JSON with units (UCUM) and both times."""
    units = {quantity.name: quantity.unit for quantity in QUANTITIES.get(reading.content.kind, ())}
    measured = {
        # Shortest decimal form: a float prints it back exactly.
        name: {"value": float(text), "unit": units[name]}
        for name, text in reading.content.texts().items()
    }
    return {
        "id": reading.id.hex(),
        "taken": reading.taken_text,
        "taken_utc": zones.iso_text(reading.taken_s, 0),
        "utc_offset_s": reading.offset_s,
        "time_quality": reading.taken_quality,
        "uncertainty_s": reading.taken_uncertainty_s,
        "kind": reading.content.kind_name,
        "values": measured,
        "remarks": reading.content.flags(),
        "device": reading.device,
        "source": reading.source,
        "status": reading.status,
        "attribution": reading.attribution,
        "revision": reading.revision,
        "stored_utc": zones.iso_text(reading.stored_s, 0),
    }
