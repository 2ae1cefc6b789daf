"""Stores owners, signed frames and readings inside the caller's transaction.

Every function takes the connection that the writer gives and commits nothing. What can be
read as a value is sealed under the owner's health key before it reaches a row. Use:

    frame = store_frame(connection, vault, NewFrame(owner, device, signed, now_s))
    store_readings(connection, vault, [NewReading(...), ...], stored_s=now_s)
"""

from __future__ import annotations

import secrets
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import sqlalchemy as sa

from cloud_agent.errors import NotFoundError
from cloud_agent.privacy.vault import OWNER_ID_SIZE, Purpose, Vault
from cloud_agent.readings import values, zones
from cloud_agent.storage import schema

ROW_ID_SIZE: Final = 16

OwnerKind = Literal["subject", "tray"]
Attribution = Literal["unknown", "sure", "asked", "moved"]
TakenQuality = Literal["wall", "dated", "interval"]

# Attribution bits of a record (SPEC 4.4) in the words of the table.
ATTRIBUTIONS: Final[dict[int, Attribution]] = {0: "unknown", 1: "sure", 2: "asked"}


@dataclass(frozen=True, slots=True)
class Taken:
    """When a reading was taken: the middle of what is known, and how far off it may be.

    wall: the device knew the time. dated: counted from a clock epoch that was dated later.
    interval: only earliest and latest are known (SPEC 9.3).
    """

    at_s: int
    quality: TakenQuality
    uncertainty_s: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class NewFrame:
    """A signed message as it arrived, kept so that its owner can verify the history."""

    owner: bytes
    device: str
    signed: bytes
    stored_s: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NewReading:
    """One accepted record of a device. `frame` is what `store_frame` returned."""

    owner: bytes
    device: str
    claim_epoch: int
    frame: bytes
    taken: Taken
    attribution: Attribution
    packed: int
    values: tuple[int, ...]


def create_owner(
    connection: sa.Connection, vault: Vault, kind: OwnerKind, purposes: Collection[Purpose]
) -> bytes:
    """Makes a new subject or tray with its keys; returns its random id.

    The keys are durable at once; if the transaction fails they remain as keys of nobody.
    """
    owner = secrets.token_bytes(OWNER_ID_SIZE)
    vault.create_owner(owner, purposes)
    connection.execute(schema.owner.insert().values(id=owner, kind=kind))
    return owner


def create_tray(connection: sa.Connection, vault: Vault) -> bytes:
    """Makes the tray of a new claim, for readings that nobody is known for (SPEC 16.3)."""
    return create_owner(connection, vault, "tray", (Purpose.HEALTH,))


def store_frame(connection: sa.Connection, vault: Vault, frame: NewFrame) -> bytes:
    """Keeps a signed message sealed; returns the row's id. Raises `KeyGoneError`."""
    row = secrets.token_bytes(ROW_ID_SIZE)
    sealed = vault.encrypt(frame.owner, Purpose.HEALTH, "frame", row, frame.signed)
    connection.execute(
        schema.frame.insert().values(
            id=row,
            owner=frame.owner,
            device=frame.device,
            stored_s=frame.stored_s,
            ciphertext=sealed,
        )
    )
    return row


def store_readings(
    connection: sa.Connection, vault: Vault, readings: Sequence[NewReading], *, stored_s: int
) -> list[bytes]:
    """Stores readings of any owners in the given order; returns their row ids.

    Each gets the next change number of its owner and, for a person, the offset of their zone
    at the time it was taken. Raises `KeyGoneError`, and `NotFoundError` for an unknown owner.
    """
    if not readings:
        return []
    zone_names = _zones(connection, {reading.owner for reading in readings})
    changes: dict[bytes, int] = {}
    for reading in readings:
        changes[reading.owner] = changes.get(reading.owner, 0) + 1
    following = {owner: take_changes(connection, owner, count) for owner, count in changes.items()}
    rows = []
    for reading in readings:
        change = following[reading.owner]
        following[reading.owner] = change + 1
        rows.append(_row(vault, reading, change, zone_names.get(reading.owner), stored_s))
    connection.execute(schema.reading.insert(), rows)
    return [row["id"] for row in rows]


def take_changes(connection: sa.Connection, owner: bytes, count: int) -> int:
    """Reserves `count` change numbers of an owner; returns the first of them."""
    table = schema.owner
    statement = (
        table.update()
        .where(table.c.id == owner)
        .values(next_change=table.c.next_change + count)
        .returning(table.c.next_change)
    )
    following: int | None = connection.execute(statement).scalar_one_or_none()
    if following is None:
        raise NotFoundError("there is no such owner of readings")
    return following - count


def _zones(connection: sa.Connection, owners: Collection[bytes]) -> dict[bytes, str]:
    table = schema.person
    query = sa.select(table.c.subject, table.c.zone).where(table.c.subject.in_(owners))
    return {row.subject: row.zone for row in connection.execute(query)}


def _row(
    vault: Vault, reading: NewReading, change: int, zone: str | None, stored_s: int
) -> dict[str, Any]:
    row_id = secrets.token_bytes(ROW_ID_SIZE)
    plaintext = values.encode(reading.packed, reading.values)
    taken = reading.taken
    return {
        "id": row_id,
        "owner": reading.owner,
        "device": reading.device,
        "claim_epoch": reading.claim_epoch,
        "source": "device",
        "status": "final",
        "attribution": reading.attribution,
        "change": change,
        "taken_s": taken.at_s,
        "taken_quality": taken.quality,
        "taken_uncertainty_s": taken.uncertainty_s,
        "offset_s": zones.offset_s(zone, taken.at_s) if zone is not None else None,
        "stored_s": stored_s,
        "frame": reading.frame,
        "ciphertext": vault.encrypt(reading.owner, Purpose.HEALTH, "reading", row_id, plaintext),
    }
