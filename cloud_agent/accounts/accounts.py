"""Opening an account, proving who one is, and what an account knows of itself.

Everything here blocks (key derivation, disk): call it from a thread, not from the event loop.
An account is written to two files; the credential is marked confirmed last, and what a cut
left unconfirmed is finished or removed at the next start (`finish_openings`).
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import sqlalchemy as sa

from cloud_agent.accounts import agreements, emails, passwords
from cloud_agent.accounts.agreements import Agreement
from cloud_agent.errors import CiphertextError, NotFoundError, RefusedError, UsageError
from cloud_agent.privacy import withdrawal
from cloud_agent.privacy.keystore import Credential
from cloud_agent.privacy.vault import OWNER_ID_SIZE, Purpose, Vault
from cloud_agent.readings import zones
from cloud_agent.storage import Database, schema
from protocol import cbor

if TYPE_CHECKING:
    from cloud_agent.service import Service

# GDPR article 8 with French law (loi 78-17, article 45). The answer is not kept: the account
# says it.
AGE: Final = 15
_MAX_NAME_SIZE: Final = 200
_WRONG: Final = "the e-mail address or the password is wrong"


@dataclass(frozen=True, slots=True, kw_only=True)
class NewAccount:
    """What a person gives. `health_consent` is the version agreed to, or None for no; `of_age`:
    they say that they are old enough to consent by themselves.
    """

    email: str
    name: str
    password: str
    zone: str
    terms_version: str
    health_consent: str | None
    of_age: bool


@dataclass(frozen=True, slots=True)
class Account:
    """An account as other parts need it: ids and the zone, nothing that names a person."""

    id: bytes
    subject: bytes
    zone: str
    state: str
    created_s: int


@dataclass(frozen=True, slots=True)
class Contact:
    """The contact data of an account, in the clear."""

    email: str
    name: str


def create(service: Service, new: NewAccount) -> Account:
    """Opens an account. Raises `UsageError` (password, address, zone) or `RefusedError`
    (terms not those in force, too young, address taken).
    """
    if not new.of_age:
        raise RefusedError(
            f"an account of one's own is for people of {AGE} or older; ask your parents for theirs"
        )
    email = emails.normalise(new.email)
    terms = agreements.accepted(agreements.TERMS, new.terms_version)
    consent = None
    if new.health_consent is not None:
        consent = agreements.accepted(agreements.HEALTH, new.health_consent)
    zones.zone_of(new.zone)
    name = checked_name(new.name)
    passwords.check(new.password, personal=email)

    subject = secrets.token_bytes(OWNER_ID_SIZE)
    account = Account(secrets.token_bytes(16), subject, new.zone, "active", service.now())
    vault = service.vault
    password_hash = passwords.hash_password(new.password)
    vault.store.add_credential(
        Credential(subject, vault.email_hmac(email), password_hash, confirmed=False)
    )
    try:
        vault.create_owner(subject, (Purpose.HEALTH, Purpose.IDENTITY))
        contact = seal_contact(vault, account, Contact(email, name))
        service.writer.call(lambda c: _insert(c, account, contact, terms, consent))
    except BaseException:
        vault.destroy((subject,))
        raise
    vault.store.confirm_credential(subject)
    return account


def authenticate(service: Service, email: str, password: str, *, origin: str = "local") -> Account:
    """The account that the address and password prove. Raises `RefusedError`, which does not
    tell whether the account exists, also not by the time it takes.

    `origin` says where the attempt comes from (a network address, or `local`).
    """
    vault = service.vault
    digest = vault.email_hmac(emails.normalise(email))
    service.attempts.begin(digest, origin, service.now())
    credential = vault.store.credential_by_email(digest)
    known = credential.password_hash if credential is not None and credential.confirmed else None
    if not passwords.verify(known, password) or credential is None:
        raise RefusedError(_WRONG)
    account = by_subject(service.database, credential.subject)
    if account is None or account.state != "active":
        raise RefusedError(_WRONG)
    service.attempts.succeeded(digest, origin)
    if passwords.is_outdated(credential.password_hash):
        vault.store.set_password_hash(account.subject, passwords.hash_password(password))
    return account


def by_subject(database: Database, subject: bytes) -> Account | None:
    """The account of a person."""
    return _find(database, schema.account.c.subject == subject)


def by_id(database: Database, account: bytes) -> Account | None:
    """The account with this id."""
    return _find(database, schema.account.c.id == account)


def contact(service: Service, account: Account) -> Contact:
    """Address and name. Raises `KeyGoneError` after an erasure."""
    query = sa.select(schema.account.c.contact).where(schema.account.c.id == account.id)
    with service.database.reading() as connection:
        sealed = connection.execute(query).scalar_one_or_none()
    if sealed is None:
        raise NotFoundError("there is no such account")
    return open_contact(service.vault, account.id, account.subject, sealed)


def open_contact(vault: Vault, account: bytes, subject: bytes, sealed: bytes) -> Contact:
    """What the column `contact` of an account holds. Raises `KeyGoneError`, `CiphertextError`."""
    plaintext = vault.decrypt(subject, Purpose.IDENTITY, "account", account, sealed)
    match cbor.decode(plaintext):
        case [str(email), str(name)]:
            return Contact(email, name)
        case _:
            raise CiphertextError("the contact data of an account cannot be read")


def is_active(connection: sa.Connection, account: bytes) -> bool:
    """Whether the account is there and not being erased."""
    table = schema.account
    query = sa.select(sa.exists().where(table.c.id == account, table.c.state == "active"))
    return bool(connection.execute(query).scalar_one())


def has_health_consent(connection: sa.Connection, subject: bytes) -> bool:
    """Whether the person agrees, now, that readings are stored (else: drop 4, SPEC 5.2)."""
    table = schema.consent
    query = sa.select(
        sa.exists().where(
            table.c.subject == subject,
            table.c.purpose == agreements.HEALTH,
            table.c.withdrawn_s.is_(None),
        )
    )
    return bool(connection.execute(query).scalar_one())


def give_health_consent(service: Service, account: Account, version: str) -> None:
    """Records the consent, unless it is given already. Raises `RefusedError` for a text that is
    not the one in force.
    """
    text = agreements.accepted(agreements.HEALTH, version)

    def give(connection: sa.Connection) -> None:
        if not has_health_consent(connection, account.subject):
            _insert_consent(connection, account.subject, text, service.now())

    service.writer.call(give)


def withdraw_health_consent(service: Service, account: Account) -> None:
    """Ends the consent at once: from this commit on no reading of the person is stored, and no
    restore changes that. Raises `LedgerError`: it still holds then.
    """
    table = schema.consent
    where = (table.c.subject == account.subject, table.c.purpose == agreements.HEALTH)
    service.writer.call(lambda c: withdrawal.withdraw(service, c, table, *where))


def checked_name(given: str) -> str:
    """A name without blanks around it. Raises `UsageError`."""
    name = given.strip()
    if not name.isprintable() or len(name.encode()) > _MAX_NAME_SIZE:
        raise UsageError(f"a name is printable and has at most {_MAX_NAME_SIZE} bytes")
    return name


def seal_contact(vault: Vault, account: Account, person: Contact) -> bytes:
    """Contact data as the account's row holds them."""
    plaintext = cbor.encode([person.email, person.name])
    return vault.encrypt(account.subject, Purpose.IDENTITY, "account", account.id, plaintext)


def finish_openings(database: Database, vault: Vault) -> None:
    """Finishes or removes what a cut left of accounts that were being opened."""
    for subject in vault.store.unconfirmed():
        if by_subject(database, subject) is None:
            vault.destroy((subject,))
        else:
            vault.store.confirm_credential(subject)


def _find(database: Database, where: sa.ColumnElement[bool]) -> Account | None:
    account, person = schema.account, schema.person
    query = (
        sa.select(account, person.c.zone)
        .join(person, person.c.subject == account.c.subject)
        .where(where)
    )
    with database.reading() as connection:
        row = connection.execute(query).one_or_none()
    if row is None:
        return None
    return Account(row.id, row.subject, row.zone, row.state, row.created_s)


def _insert(
    connection: sa.Connection,
    account: Account,
    sealed_contact: bytes,
    terms: Agreement,
    consent: Agreement | None,
) -> None:
    now_s = account.created_s
    connection.execute(schema.owner.insert().values(id=account.subject, kind="subject"))
    connection.execute(schema.subject.insert().values(id=account.subject, created_s=now_s))
    connection.execute(schema.person.insert().values(subject=account.subject, zone=account.zone))
    connection.execute(
        schema.account.insert().values(
            id=account.id,
            subject=account.subject,
            state=account.state,
            contact=sealed_contact,
            created_s=now_s,
        )
    )
    connection.execute(
        schema.terms_acceptance.insert().values(
            id=secrets.token_bytes(16),
            account=account.id,
            version=terms.version,
            text_hash=terms.hash,
            accepted_s=now_s,
        )
    )
    if consent is not None:
        _insert_consent(connection, account.subject, consent, now_s)


def _insert_consent(connection: sa.Connection, subject: bytes, text: Agreement, now_s: int) -> None:
    connection.execute(
        schema.consent.insert().values(
            id=secrets.token_bytes(16),
            subject=subject,
            purpose=agreements.HEALTH,
            version=text.version,
            text_hash=text.hash,
            given_s=now_s,
        )
    )
