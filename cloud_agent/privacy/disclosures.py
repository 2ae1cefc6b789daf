"""Giving data to a partner: no row, no send.

    disclose(service, account, partner, Category.WEIGHT, send)

is the only way: `send` takes a `Disclosed`, which nothing else can make. In this order: the
readings are read; in one transaction it is checked that they may go, and the row is written; when
that is durable, `send` gets them. A send that fails leaves the row: nobody knows how far it came.
What is sent is always all of the category, and takes the place of what the partner had.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from cloud_agent.accounts import agreements
from cloud_agent.accounts.accounts import has_health_consent
from cloud_agent.errors import KeyGoneError, RefusedError
from cloud_agent.privacy import notices, partners
from cloud_agent.privacy.partners import Category, Consent, Partner
from cloud_agent.privacy.requests.record import is_restricted
from cloud_agent.readings import changes, listing
from cloud_agent.readings.zones import iso_text
from cloud_agent.storage import schema
from cloud_agent.storage.partners_schema import disclosure
from cloud_agent.storage.partners_schema import partner as partner_table
from protocol import reading as wire

if TYPE_CHECKING:
    from cloud_agent.accounts.accounts import Account
    from cloud_agent.readings.listing import Reading
    from cloud_agent.service import Service

CONSENT: Final = "consent"

_KINDS: Final = {
    Category.WEIGHT: {wire.KIND_WEIGHT, wire.KIND_WEIGHT_IMPEDANCE},
    Category.BLOOD_PRESSURE: {wire.KIND_BLOOD_PRESSURE},
}
_RECORDED: Final = object()


@dataclass(frozen=True, slots=True)
class Disclosed:
    """What goes to a partner, after its row is durable. `pseudonym` stands for the person. Only
    `disclose` makes one. Keep it out of logs.
    """

    id: bytes
    partner: Partner
    pseudonym: bytes
    category: Category
    readings: tuple[dict[str, Any], ...]
    _recorded: object = field(repr=False, compare=False)

    def __post_init__(self) -> None:
        if self._recorded is not _RECORDED:
            raise TypeError("nothing is disclosed but by `disclose`, which writes it down")


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the ledger, as the person may see it (GDPR 15(1)(c))."""

    at_s: int
    recipient: str
    category: str
    basis: str
    consent: bytes
    amount: int


Sender = Callable[[Disclosed], None]


def disclose(
    service: Service, account: Account, partner: Partner, category: Category, send: Sender
) -> bytes:
    """Gives all readings of a category to a partner; returns the number of the ledger's row.

    Raises `RefusedError` without the person's consent, without that to process health data, when
    their use is restricted (GDPR 18) and when the account is being erased; then nothing is
    written and nothing sent. `send` must end by itself: it is called outside of every lock.
    """
    row = secrets.token_bytes(partners.ID_SIZE)

    def record(connection: sa.Connection) -> bytes:
        consent = _may_go(connection, account, partner, category)
        connection.execute(
            disclosure.insert().values(
                id=row,
                subject=account.subject,
                partner=partner.id,
                category=category.value,
                at_s=service.now(),
                basis=CONSENT,
                consent=consent.id,
                amount=len(readings),
            )
        )
        return partners.pseudonym_for(connection, account.subject, partner.id)

    # No erasure in between: it tells all who were given something before it begins.
    with service.export_lock:
        try:
            readings = _readings(service, account, category)
        except KeyGoneError as error:
            raise RefusedError("this account was erased") from error
        pseudonym = service.writer.call(record)
    send(Disclosed(row, partner, pseudonym, category, readings, _RECORDED))
    return row


def list_disclosures(service: Service, subject: bytes) -> list[Entry]:
    """Who was given what of a person, oldest first."""
    query = (
        sa.select(
            disclosure.c.at_s,
            partner_table.c.name,
            disclosure.c.category,
            disclosure.c.basis,
            disclosure.c.consent,
            disclosure.c.amount,
        )
        .join(partner_table, partner_table.c.id == disclosure.c.partner)
        .where(disclosure.c.subject == subject)
        .order_by(disclosure.c.at_s, disclosure.c.id)
    )
    with service.database.reading() as connection:
        return [Entry(*row) for row in connection.execute(query)]


def describe(service: Service, subject: bytes) -> dict[str, Any]:
    """Consents, disclosures and notices of a person as JSON, with the recipients' names."""
    names = {each.id: each.name for each in partners.list_partners(service)}
    text = agreements.current(agreements.PARTNER)
    return {
        "consents": [
            {
                "id": each.id.hex(),
                "partner": names[each.partner],
                "category": each.category.value,
                "version": each.version,
                "sha256": each.text_hash.hex(),
                "given_utc": iso_text(each.given_s, 0),
                "withdrawn_utc": _utc(each.withdrawn_s),
            }
            for each in partners.consents(service, subject)
        ],
        "known_as": {
            names[partner]: pseudonym.hex()
            for partner, pseudonym in partners.pseudonyms(service, subject)
        },
        "disclosures": [
            {
                "at_utc": iso_text(each.at_s, 0),
                "recipient": each.recipient,
                "category": each.category,
                "basis": each.basis,
                "consent": each.consent.hex(),
                "readings": each.amount,
            }
            for each in list_disclosures(service, subject)
        ],
        "notices": [notices.described(each) for each in notices.of_person(service, subject)],
        "texts": {f"{text.document} {text.version}": text.text},
    }


def _may_go(
    connection: sa.Connection, account: Account, partner: Partner, category: Category
) -> Consent:
    """The consent by which it goes; `RefusedError` for everything that forbids it."""
    state = sa.select(schema.account.c.state).where(schema.account.c.id == account.id)
    if connection.execute(state).scalar_one_or_none() != "active":
        raise RefusedError("this account was erased")
    if is_restricted(connection, account.subject):
        raise RefusedError("the person asked that their readings be kept and not used")
    consent = partners.open_consent(connection, account.subject, partner.id, category)
    if consent is None or not has_health_consent(connection, account.subject):
        raise RefusedError("the person did not consent to this, or not any more")
    return consent


def _utc(at_s: int | None) -> str | None:
    return None if at_s is None else iso_text(at_s, 0)


def _readings(service: Service, account: Account, category: Category) -> tuple[dict[str, Any], ...]:
    found = listing.list_readings(service.database, service.vault, account.subject)
    return tuple(
        _described(each)
        for each in found
        if each.content.kind in _KINDS[category] and each.status != changes.IN_ERROR
    )


def _described(reading: Reading) -> dict[str, Any]:
    """Time and values: no device, no id of ours."""
    described = listing.as_json(reading)
    names = ("kind", "values", "remarks", "time_quality", "uncertainty_s")
    return {"taken_utc": iso_text(reading.taken_s, 0)} | {name: described[name] for name in names}
