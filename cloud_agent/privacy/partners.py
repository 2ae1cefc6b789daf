"""Partners that data may be given to, and each person's consent: for one partner, one category.

Refusing costs nothing: no account asks for it. Withdrawn, it holds from the same commit on.
Everything here blocks.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from cloud_agent.accounts import agreements
from cloud_agent.errors import NotFoundError, RefusedError, UsageError
from cloud_agent.privacy import withdrawal
from cloud_agent.storage.partners_schema import partner as table
from cloud_agent.storage.partners_schema import partner_consent, partner_pseudonym

if TYPE_CHECKING:
    from cloud_agent.accounts.accounts import Account
    from cloud_agent.service import Service

ID_SIZE: Final = 16
KEY_SIZE: Final = 32  # Ed25519 (RFC 8032)
_MAX_TEXT: Final = 200


class Category(StrEnum):
    """What a consent is for."""

    WEIGHT = "weight"
    BLOOD_PRESSURE = "blood-pressure"


@dataclass(frozen=True, slots=True)
class Partner:
    """An organisation. `public_key` checks its answers."""

    id: bytes
    name: str
    contact: str
    public_key: bytes


@dataclass(frozen=True, slots=True)
class Consent:
    """One consent of a person, open or withdrawn."""

    id: bytes
    partner: bytes
    category: Category
    version: str
    text_hash: bytes
    given_s: int
    withdrawn_s: int | None


def add(service: Service, name: str, contact: str, public_key: bytes) -> Partner:
    """A new partner. Raises `UsageError`, and `RefusedError` when the name is taken."""
    for text in (name, contact):
        if not text.strip() or not text.isprintable() or len(text) > _MAX_TEXT:
            raise UsageError("a partner has a name, and a contact that can be reached")
    if len(public_key) != KEY_SIZE:
        raise UsageError(f"an Ed25519 public key has {KEY_SIZE} bytes")
    new = Partner(secrets.token_bytes(ID_SIZE), name.strip(), contact.strip(), public_key)
    row = {"id": new.id, "name": new.name, "contact": new.contact, "public_key": public_key}
    try:
        service.writer.call(
            lambda c: c.execute(table.insert().values(row | {"added_s": service.now()}))
        )
    except sa.exc.IntegrityError as error:
        raise RefusedError("there is a partner of this name") from error
    return new


def find(service: Service, name: str) -> Partner:
    """The partner with this name or this id in hex. Raises `NotFoundError`."""
    for each in list_partners(service):
        if name in (each.name, each.id.hex()):
            return each
    raise NotFoundError("there is no such partner")


def list_partners(service: Service) -> list[Partner]:
    """All, by name."""
    query = sa.select(table).order_by(table.c.name)
    with service.database.reading() as connection:
        return [_partner(row) for row in connection.execute(query)]


def read(connection: sa.Connection, partner: bytes) -> Partner:
    """One partner. Raises `NotFoundError`."""
    row = connection.execute(sa.select(table).where(table.c.id == partner)).one_or_none()
    if row is None:
        raise NotFoundError("there is no such partner")
    return _partner(row)


def give_consent(
    service: Service, account: Account, partner: Partner, category: Category, version: str
) -> None:
    """Records a consent, unless it is given already. Raises `RefusedError` for a text that is not
    the one in force.
    """
    text = agreements.accepted(agreements.PARTNER, version)

    def give(connection: sa.Connection) -> None:
        if open_consent(connection, account.subject, partner.id, category) is None:
            connection.execute(
                partner_consent.insert().values(
                    id=secrets.token_bytes(ID_SIZE),
                    subject=account.subject,
                    partner=partner.id,
                    category=category.value,
                    version=text.version,
                    text_hash=text.hash,
                    given_s=service.now(),
                )
            )

    try:
        service.writer.call(give)
    except sa.exc.IntegrityError as error:
        raise NotFoundError("this account was erased") from error


def withdraw(
    service: Service, account: Account, partner: Partner, category: Category | None = None
) -> int:
    """Ends the consents for a partner, or for one category, at once; returns how many. Raises
    `LedgerError`: they still hold then.
    """
    where = [partner_consent.c.partner == partner.id]
    if category is not None:
        where.append(partner_consent.c.category == category.value)
    return _withdraw(service, account.subject, *where)


def withdraw_all(service: Service, subject: bytes) -> int:
    """Ends all consents of a person, as an objection asks for (GDPR 21); returns how many. Raises
    `LedgerError`: they still hold then.
    """
    return _withdraw(service, subject)


def consents(service: Service, subject: bytes) -> list[Consent]:
    """All consents of a person, oldest first."""
    query = (
        sa.select(partner_consent)
        .where(partner_consent.c.subject == subject)
        .order_by(partner_consent.c.given_s, partner_consent.c.id)
    )
    with service.database.reading() as connection:
        return [_consent(row) for row in connection.execute(query)]


def pseudonyms(service: Service, subject: bytes) -> list[tuple[bytes, bytes]]:
    """Each partner that was given something of a person, and what it knows them by."""
    columns = (partner_pseudonym.c.partner, partner_pseudonym.c.pseudonym)
    query = sa.select(*columns).where(partner_pseudonym.c.subject == subject)
    with service.database.reading() as connection:
        return [(row.partner, row.pseudonym) for row in connection.execute(query)]


def open_consent(
    connection: sa.Connection, subject: bytes, partner: bytes, category: Category
) -> Consent | None:
    """The consent that holds now."""
    query = sa.select(partner_consent).where(
        partner_consent.c.subject == subject,
        partner_consent.c.partner == partner,
        partner_consent.c.category == category.value,
        partner_consent.c.withdrawn_s.is_(None),
    )
    row = connection.execute(query).one_or_none()
    return None if row is None else _consent(row)


def pseudonym_for(connection: sa.Connection, subject: bytes, partner: bytes) -> bytes:
    """What this partner knows the person by: made at the first time, and none of another's."""
    where = (partner_pseudonym.c.subject == subject, partner_pseudonym.c.partner == partner)
    known: bytes | None = connection.execute(
        sa.select(partner_pseudonym.c.pseudonym).where(*where)
    ).scalar_one_or_none()
    if known is None:
        known = secrets.token_bytes(ID_SIZE)
        row = {"subject": subject, "partner": partner, "pseudonym": known}
        connection.execute(partner_pseudonym.insert().values(row))
    return known


def _withdraw(service: Service, subject: bytes, *where: sa.ColumnElement[bool]) -> int:
    mine = (partner_consent.c.subject == subject, *where)
    return service.writer.call(lambda c: withdrawal.withdraw(service, c, partner_consent, *mine))


def _partner(row: Any) -> Partner:
    return Partner(row.id, row.name, row.contact, row.public_key)


def _consent(row: Any) -> Consent:
    return Consent(
        row.id,
        row.partner,
        Category(row.category),
        row.version,
        row.text_hash,
        row.given_s,
        row.withdrawn_s,
    )
