"""Readings that change hands: out of a tray by whom they fit, or offered by one to another.

What changes hands is opened under the key of before and sealed under the key of after, with its
time and all its fields. The signed frame goes along only when all that is in it goes; else it
stays, and the reading goes without.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from cloud_agent.accounts.accounts import has_health_consent
from cloud_agent.devices import household
from cloud_agent.errors import NotFoundError, RefusedError
from cloud_agent.privacy.ledger import Tombstone, owner_hash
from cloud_agent.privacy.vault import Purpose
from cloud_agent.readings import changes, listing, references, store, values, zones
from cloud_agent.readings.values import Content
from cloud_agent.storage import schema
from cloud_agent.storage.household_schema import former_handle, membership
from cloud_agent.storage.readings_schema import reading_offer
from protocol import envelope
from protocol import frame as wire_frame

if TYPE_CHECKING:
    from cloud_agent.accounts.accounts import Account
    from cloud_agent.service import Service

# A weight fits who weighed within this of it the last time: the device's own rule (people.py);
# a little more for each month since, because people change.
TOLERANCE_G: Final = 3_000
A_MONTH_G: Final = 1_000
MOST_G: Final = 10_000
_MONTH_S: Final = 30 * 86_400
# Who has no reading yet and lives alone: an adult, as the device has it.
_LIGHTEST_UNSEEN_G: Final = 30_000
_LATEST: Final = 50


@dataclass(frozen=True, slots=True)
class Tray:
    """What waits in the trays of the devices that an account shares: those that fit it, and how
    many do not, of which nothing is shown.
    """

    fitting: list[listing.Reading]
    others: int


@dataclass(frozen=True, slots=True)
class Last:
    """What somebody weighed the last time, and when (Unix seconds)."""

    grams: int
    taken_s: int


def look(service: Service, account: Account) -> Tray:
    """What of the trays may be this person's."""
    found = [(row, _content(service, row)) for row in _waiting(service, account)]
    alone = _is_alone(service, account)
    last = _last_weight(service, account)
    fitting = [
        listing.Reading(
            id=row.id,
            device=row.device,
            source=row.source,
            status=row.status,
            attribution=row.attribution,
            revision=row.revision,
            taken_s=row.taken_s,
            taken_quality=row.taken_quality,
            taken_uncertainty_s=row.taken_uncertainty_s,
            offset_s=zones.offset_s(account.zone, row.taken_s),
            stored_s=row.stored_s,
            frame=row.frame,
            content=content,
        )
        for row, content in found
        if fits(content, row.taken_s, last, alone=alone)
    ]
    return Tray(fitting, len(found) - len(fitting))


def fits(content: Content, taken_s: int, last: Last | None, *, alone: bool) -> bool:
    """Whether a reading may be shown to a person. Pure. `last`: their last weight; `alone`:
    nobody else shares the device. What is no weight fits nobody: it may be anybody's.
    """
    if content.kind not in references.WEIGHTS:
        return False
    grams = content.values[0]
    if last is None:
        return alone and grams >= _LIGHTEST_UNSEEN_G
    months = abs(taken_s - last.taken_s) // _MONTH_S
    return abs(grams - last.grams) <= min(TOLERANCE_G + months * A_MONTH_G, MOST_G)


def take(service: Service, account: Account, reading: bytes) -> bytes:
    """Takes one out of a tray into one's own history; returns its new id. Raises `NotFoundError`
    for one that is not there or does not fit, `RefusedError` without consent.
    """
    if reading not in {each.id for each in look(service, account).fitting}:
        raise NotFoundError("no reading with this id waits for you")

    def move(connection: sa.Connection) -> bytes:
        row = connection.execute(
            sa.select(schema.reading).where(schema.reading.c.id == reading)
        ).one_or_none()
        if row is None:
            raise NotFoundError("no reading with this id waits for you")
        return _hand_over(service, connection, row, account)

    return service.writer.call(move)


def offer(service: Service, account: Account, reading: bytes, device: str, slot: int) -> None:
    """Offers a reading of one's own to another of the same device, by the number on its display.

    Nothing of it moves or is shown before it is accepted; the offer can be taken back by offering
    it to somebody else, or by `decline` of the other. Raises `NotFoundError`.
    """
    table = schema.person_handle

    def insert(connection: sa.Connection) -> None:
        changes.own_row(connection, account, reading)
        epoch = household.shared_epoch(connection, account, device)
        query = sa.select(table.c.subject).where(
            table.c.device == device, table.c.epoch == epoch, table.c.slot == slot
        )
        recipient = connection.execute(query).scalar_one_or_none()
        if recipient is None or recipient == account.subject:
            raise NotFoundError(f"nobody else has number {slot} on this device")
        connection.execute(reading_offer.delete().where(reading_offer.c.reading == reading))
        connection.execute(
            reading_offer.insert().values(
                reading=reading, recipient=recipient, made_s=service.now()
            )
        )

    service.writer.call(insert)


def offers(service: Service, account: Account) -> list[tuple[bytes, int]]:
    """What others offer to this account: id, and when it was measured (Unix seconds)."""
    query = (
        sa.select(reading_offer.c.reading, schema.reading.c.taken_s)
        .join(schema.reading, schema.reading.c.id == reading_offer.c.reading)
        .where(reading_offer.c.recipient == account.subject)
        .order_by(schema.reading.c.taken_s)
    )
    with service.database.reading() as connection:
        return [(row.reading, row.taken_s) for row in connection.execute(query)]


def accept(service: Service, account: Account, reading: bytes) -> bytes:
    """Takes what was offered; returns its new id. Raises `NotFoundError`, `RefusedError`."""

    def move(connection: sa.Connection) -> bytes:
        _check_offer(connection, account, reading)
        row = connection.execute(
            sa.select(schema.reading).where(schema.reading.c.id == reading)
        ).one()
        return _hand_over(service, connection, row, account)

    return service.writer.call(move)


def decline(service: Service, account: Account, reading: bytes) -> None:
    """It stays with whoever offered it. Raises `NotFoundError`."""

    def delete(connection: sa.Connection) -> None:
        _check_offer(connection, account, reading)
        connection.execute(reading_offer.delete().where(reading_offer.c.reading == reading))

    service.writer.call(delete)


def _hand_over(service: Service, connection: sa.Connection, row: Any, to: Account) -> bytes:
    if not has_health_consent(connection, to.subject):
        raise RefusedError("without your consent to process health data nothing is stored")
    new = secrets.token_bytes(store.ROW_ID_SIZE)
    content = _content(service, row)
    plaintext = values.encode(content.packed, content.values)
    frame = _hand_over_frame(service, connection, row, to.subject)
    changes.delete_row(connection, row)
    connection.execute(
        schema.reading.insert().values(
            id=new,
            owner=to.subject,
            device=row.device,
            claim_epoch=row.claim_epoch,
            source=row.source,
            status=row.status,
            attribution="moved",
            revision=row.revision + 1,
            change=store.take_changes(connection, to.subject, 1),
            taken_s=row.taken_s,
            taken_quality=row.taken_quality,
            taken_uncertainty_s=row.taken_uncertainty_s,
            offset_s=zones.offset_s(to.zone, row.taken_s),
            stored_s=row.stored_s,
            frame=frame,
            ciphertext=service.vault.encrypt(to.subject, Purpose.HEALTH, "reading", new, plaintext),
        )
    )
    return new


def _hand_over_frame(
    service: Service, connection: sa.Connection, row: Any, owner: bytes
) -> bytes | None:
    """A copy of the signed frame for its new owner, when this reading is all that is in it."""
    if row.frame is None:
        return None
    table, reading = schema.frame, schema.reading
    count = sa.select(sa.func.count()).select_from(reading).where(reading.c.frame == row.frame)
    frame = connection.execute(sa.select(table).where(table.c.id == row.frame)).one()
    signed = service.vault.decrypt(frame.owner, Purpose.HEALTH, "frame", frame.id, frame.ciphertext)
    if connection.execute(count).scalar_one() != 1 or _records_in(signed) != 1:
        return None
    new = store.NewFrame(owner=owner, device=frame.device, signed=signed, stored_s=frame.stored_s)
    return store.store_frame(connection, service.vault, new)


def _records_in(signed: bytes) -> int:
    """How many readings a signed frame holds: what was removed is still in it."""
    message = envelope.parse_sign1(signed)
    return len(wire_frame.Readings.parse(message.payload).records)


def _check_offer(connection: sa.Connection, account: Account, reading: bytes) -> None:
    where = (reading_offer.c.reading == reading, reading_offer.c.recipient == account.subject)
    if not connection.execute(sa.select(sa.exists().where(*where))).scalar_one():
        raise NotFoundError("no reading with this id is offered to you")


def _waiting(service: Service, account: Account) -> Sequence[Any]:
    """Rows in the trays of claims that the account holds, and of open ones that it shares: of
    these, what was measured since it does.
    """
    claim, reading = schema.claim, schema.reading
    shares = sa.exists().where(
        claim.c.until_s.is_(None),
        membership.c.device == claim.c.device,
        membership.c.epoch == claim.c.epoch,
        membership.c.subject == account.subject,
        membership.c.since_s <= reading.c.taken_s,
    )
    query = (
        sa.select(reading)
        .join(claim, claim.c.tray == reading.c.owner)
        .where(sa.or_(claim.c.account == account.id, shares))
        .order_by(reading.c.taken_s)
    )
    with service.database.reading() as connection:
        return connection.execute(query).all()


def _content(service: Service, row: Any) -> Content:
    plaintext = service.vault.decrypt(row.owner, Purpose.HEALTH, "reading", row.id, row.ciphertext)
    return values.decode(plaintext)


def _is_alone(service: Service, account: Account) -> bool:
    """Whether nobody else shares, or shared, a claim with this account: also nobody whose
    readings are erased, because what the device did not know of theirs may still wait.
    """
    mine: set[tuple[str, int]] = set()
    others: set[tuple[str, int]] = set()
    claim = schema.claim
    held = sa.select(claim.c.device, claim.c.epoch).where(claim.c.account == account.id)
    with service.database.reading() as connection:
        mine.update((row.device, row.epoch) for row in connection.execute(held))
        for table in (schema.person_handle, former_handle):
            own = table.c.subject == account.subject
            mine.update((row.device, row.epoch) for row in connection.execute(_places(table, own)))
        for table in (schema.person_handle, former_handle):
            among = sa.tuple_(table.c.device, table.c.epoch).in_(sorted(mine))
            query = _places(table, sa.and_(table.c.subject != account.subject, among))
            others.update((row.device, row.epoch) for row in connection.execute(query))
    me = owner_hash(account.subject)
    others.update(
        (entry.device, entry.epoch)
        for entry in service.ledger.entries()
        if isinstance(entry, Tombstone) and entry.owner_hash != me
    )
    return mine.isdisjoint(others)


def _places(table: sa.Table, where: sa.ColumnElement[bool]) -> sa.Select[tuple[str, int]]:
    return sa.select(table.c.device, table.c.epoch).where(where)


def _last_weight(service: Service, account: Account) -> Last | None:
    """What a device knew as theirs: what is typed, corrected or taken would open the tray."""
    latest = listing.list_readings(service.database, service.vault, account.subject, limit=_LATEST)
    for reading in reversed(latest):
        known = reading.source == "device" and reading.attribution in references.KNOWN
        if known and reading.status == "final" and reading.content.kind in references.WEIGHTS:
            return Last(reading.content.values[0], reading.taken_s)
    return None
