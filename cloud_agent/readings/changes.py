"""What people change of their readings: entries by hand, corrections, errors, removal.

Every change takes the next change number of its owner, and a correction keeps what was before,
sealed under the same key. Everything here blocks.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from cloud_agent.accounts.accounts import has_health_consent
from cloud_agent.errors import NotFoundError, RefusedError, UsageError
from cloud_agent.privacy import notices
from cloud_agent.privacy.ledger import ReadingRemoved, owner_hash
from cloud_agent.privacy.vault import Purpose
from cloud_agent.readings import store, values, zones
from cloud_agent.readings.values import Content
from cloud_agent.storage import schema
from cloud_agent.storage.readings_schema import reading_offer, reading_revision
from protocol import reading as wire
from protocol.errors import MessageError

if TYPE_CHECKING:
    from cloud_agent.accounts.accounts import Account
    from cloud_agent.service import Service

_table: Final = schema.reading
_EARLIEST_S: Final = 0
_AHEAD_S: Final = 300

FINAL: Final = "final"
AMENDED: Final = "amended"
IN_ERROR: Final = "entered-in-error"


@dataclass(frozen=True, slots=True)
class Revision:
    """What a reading was before a correction."""

    revision: int
    status: str
    taken_s: int
    changed_s: int
    content: Content


def entry(kind: int, measured: Sequence[int]) -> Content:
    """The content of an entry by hand. `measured`: g; or 0.1 mmHg (systolic, diastolic, mean) and
    0.1 beats a minute. Raises `UsageError` for values that no device would send.
    """
    listed = list(measured)
    try:
        if kind == wire.KIND_BLOOD_PRESSURE:
            record = wire.blood_pressure(0, listed, since_epoch=False, attribution=1)
        elif kind == wire.KIND_WEIGHT and len(listed) == 1:
            record = wire.weight(0, listed[0], since_epoch=False, attribution=1)
        else:
            raise UsageError("an entry is a weight, or a blood pressure with its pulse")
    except MessageError as error:
        raise UsageError("these values cannot be those of a person") from error
    return Content(record.packed, tuple(listed))


def add(service: Service, account: Account, taken_s: int, content: Content) -> bytes:
    """An entry by hand; returns its id. Raises `UsageError` for a time that cannot be, and
    `RefusedError` without the consent to process health data.
    """
    _check_time(service, taken_s)
    row = secrets.token_bytes(store.ROW_ID_SIZE)
    sealed = _seal(service, account.subject, row, content)

    def insert(connection: sa.Connection) -> None:
        if not has_health_consent(connection, account.subject):
            raise RefusedError("without your consent to process health data nothing is stored")
        connection.execute(
            _table.insert().values(
                id=row,
                owner=account.subject,
                source="manual",
                status=FINAL,
                attribution="sure",
                change=store.take_changes(connection, account.subject, 1),
                taken_s=taken_s,
                taken_quality="wall",
                taken_uncertainty_s=0,
                offset_s=zones.offset_s(account.zone, taken_s),
                stored_s=service.now(),
                ciphertext=sealed,
            )
        )

    service.writer.call(insert)
    return row


def correct(
    service: Service,
    account: Account,
    reading: bytes,
    *,
    content: Content | None = None,
    taken_s: int | None = None,
) -> None:
    """Other values, or another time. What was before is kept. Raises `NotFoundError`,
    `UsageError` for another kind of reading or a time that cannot be.
    """
    if taken_s is not None:
        _check_time(service, taken_s)

    def change(connection: sa.Connection) -> None:
        row = own_row(connection, account, reading)
        before = _open(service, row)
        if content is not None and not _same_kind(content, before):
            raise UsageError("a correction has the values of the same kind of reading")
        new: dict[str, Any] = {"status": AMENDED}
        if content is not None:
            new["ciphertext"] = _seal(service, account.subject, reading, content)
        if taken_s is not None:
            offset_s = zones.offset_s(account.zone, taken_s)
            new |= {"taken_s": taken_s, "offset_s": offset_s}
            new |= {"taken_quality": "wall", "taken_uncertainty_s": 0}
        _revise(service, connection, row, before, new)
        notices.place_correction(connection, row.owner, row.stored_s, service.now())

    service.writer.call(change)


def mark_error(service: Service, account: Account, reading: bytes, *, is_error: bool) -> None:
    """Says that a reading is none of theirs (it stays, marked), or that it is after all."""

    def change(connection: sa.Connection) -> None:
        row = own_row(connection, account, reading)
        if (row.status == IN_ERROR) == is_error:
            return
        status = IN_ERROR if is_error else AMENDED
        _revise(service, connection, row, _open(service, row), {"status": status})
        notices.place_correction(connection, row.owner, row.stored_s, service.now())

    service.writer.call(change)


def remove(service: Service, account: Account, reading: bytes) -> None:
    """Deletes a reading for good, with what it was before, and the signed frame when nothing else
    in it is kept. A device that sends it again is told that it is settled. Its bytes leave the
    files with the next compaction, and no restore brings it back. Raises `NotFoundError`, and
    `LedgerError`: it is still there then.
    """

    def delete(connection: sa.Connection) -> None:
        row = own_row(connection, account, reading)
        service.ledger.append([ReadingRemoved(owner_hash(reading), service.now())])
        delete_row(connection, row)
        notices.place_correction(connection, row.owner, row.stored_s, service.now())

    service.writer.call(delete)


def history(service: Service, account: Account, reading: bytes) -> list[Revision]:
    """What a reading was before, oldest first. Raises `NotFoundError`."""
    with service.database.reading() as connection:
        own_row(connection, account, reading)
        rows = connection.execute(
            sa.select(reading_revision)
            .where(reading_revision.c.reading == reading)
            .order_by(reading_revision.c.revision)
        ).all()
    return [_revision(service, row) for row in rows]


def all_revisions(service: Service, account: Account) -> dict[bytes, list[Revision]]:
    """Reading id -> what it was before, for the export."""
    query = (
        sa.select(reading_revision)
        .where(reading_revision.c.owner == account.subject)
        .order_by(reading_revision.c.revision)
    )
    with service.database.reading() as connection:
        rows = connection.execute(query).all()
    found: dict[bytes, list[Revision]] = {}
    for row in rows:
        found.setdefault(row.reading, []).append(_revision(service, row))
    return found


def own_row(connection: sa.Connection, account: Account, reading: bytes) -> Any:
    """The row of a reading of this account. Raises `NotFoundError`, as for one of another."""
    where = (_table.c.id == reading, _table.c.owner == account.subject)
    row = connection.execute(sa.select(_table).where(*where)).one_or_none()
    if row is None:
        raise NotFoundError("you have no reading with this id")
    return row


def delete_row(connection: sa.Connection, row: Any) -> None:
    """Deletes a reading with everything that hangs on it."""
    for part in (reading_revision, reading_offer):
        connection.execute(part.delete().where(part.c.reading == row.id))
    connection.execute(_table.delete().where(_table.c.id == row.id))
    if row.frame is not None:
        kept = sa.exists().where(_table.c.frame == row.frame)
        frame = schema.frame
        connection.execute(frame.delete().where(frame.c.id == row.frame, ~kept))


def _revise(
    service: Service, connection: sa.Connection, row: Any, before: Content, new: dict[str, Any]
) -> None:
    kept = secrets.token_bytes(store.ROW_ID_SIZE)
    plaintext = values.encode(before.packed, before.values)
    sealed = service.vault.encrypt(row.owner, Purpose.HEALTH, "reading_revision", kept, plaintext)
    connection.execute(
        reading_revision.insert().values(
            id=kept,
            reading=row.id,
            owner=row.owner,
            revision=row.revision,
            status=row.status,
            taken_s=row.taken_s,
            changed_s=service.now(),
            ciphertext=sealed,
        )
    )
    change = store.take_changes(connection, row.owner, 1)
    new = new | {"revision": row.revision + 1, "change": change}
    connection.execute(_table.update().where(_table.c.id == row.id).values(new))


def _revision(service: Service, row: Any) -> Revision:
    plaintext = service.vault.decrypt(
        row.owner, Purpose.HEALTH, "reading_revision", row.id, row.ciphertext
    )
    content = values.decode(plaintext)
    return Revision(row.revision, row.status, row.taken_s, row.changed_s, content)


def _open(service: Service, row: Any) -> Content:
    plaintext = service.vault.decrypt(row.owner, Purpose.HEALTH, "reading", row.id, row.ciphertext)
    return values.decode(plaintext)


def _seal(service: Service, owner: bytes, row: bytes, content: Content) -> bytes:
    plaintext = values.encode(content.packed, content.values)
    return service.vault.encrypt(owner, Purpose.HEALTH, "reading", row, plaintext)


def _same_kind(new: Content, old: Content) -> bool:
    weights = {wire.KIND_WEIGHT, wire.KIND_WEIGHT_IMPEDANCE}
    return new.kind == old.kind or {new.kind, old.kind} <= weights


def _check_time(service: Service, taken_s: int) -> None:
    if not _EARLIEST_S < taken_s <= service.now() + _AHEAD_S:
        raise UsageError("this time cannot be: it is in the future, or before 1970")
