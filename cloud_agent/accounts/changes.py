"""A person changes what their account says of them, and chooses a new password.

Each change tells the person by letter, the address of before too, so that nobody can take an
account over in silence. Everything here blocks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import sqlalchemy as sa

from cloud_agent.accounts import accounts, emails, passwords, tokens
from cloud_agent.accounts.accounts import Account, Contact
from cloud_agent.accounts.tokens import Kind
from cloud_agent.errors import NotFoundError, RefusedError
from cloud_agent.mail import outgoing
from cloud_agent.mail.outgoing import Letter
from cloud_agent.privacy.vault import Purpose
from cloud_agent.readings import zones
from cloud_agent.storage import schema

if TYPE_CHECKING:
    from cloud_agent.service import Service

LINK_LIFE_S: Final = 86_400
_RECOVERY_LIFE_S: Final = 3_600


def change_name(service: Service, account: Account, name: str) -> None:
    """Another name, at once. Raises `UsageError` for one that is none."""
    now = accounts.contact(service, account)
    _save_contact(service, account, Contact(now.email, accounts.checked_name(name)))


def change_zone(service: Service, account: Account, zone: str) -> None:
    """Another IANA time zone. Readings keep the offset of the place where they were taken.

    Raises `UsageError`.
    """
    zones.zone_of(zone)
    table = schema.person
    where = table.c.subject == account.subject
    service.writer.call(lambda c: c.execute(table.update().where(where).values(zone=zone)))


def ask_for_address(service: Service, account: Account, email: str) -> None:
    """Sends a link to the new address; it takes effect when somebody there opens it.

    Whether the address has another account is said nowhere but in that letter. Raises
    `UsageError` for what is no address, `RefusedError` for too many letters, to it or in all.
    """
    new = emails.normalise(email)
    vault = service.vault
    digest = vault.email_hmac(new)
    for who in (account.id, digest):
        service.letters_out.begin(who, "address", service.now())
    taken = vault.store.credential_by_email(digest) is not None
    if taken:
        text = _ADDRESS_TAKEN
    else:
        bound = vault.encrypt(account.subject, Purpose.IDENTITY, "token", account.id, new.encode())
        token = tokens.issue(
            vault.store,
            Kind.ADDRESS,
            account.subject,
            now_s=service.now(),
            life_s=LINK_LIFE_S,
            bound=bound,
        )
        text = _ADDRESS.format(link=service.link("address", token))
    _write(service, Letter(account.subject, "address", new, "Confirm your new address", text))


def confirm_address(service: Service, text: str) -> None:
    """The link of `ask_for_address` was opened. All sessions and open links end: one may lie in
    the mailbox of before. Raises `RefusedError`.
    """
    vault = service.vault
    token = tokens.take(vault.store, Kind.ADDRESS, text, service.now())
    account = _active(service, token.subject)
    new = vault.decrypt(
        account.subject, Purpose.IDENTITY, "token", account.id, token.bound
    ).decode()
    before = accounts.contact(service, account)
    # The lookup first: a cut between the two leaves an account that opens under the new address
    # and writes to the old one, and the next change mends it.
    vault.store.set_email_hmac(account.subject, vault.email_hmac(new))
    _save_contact(service, account, Contact(new, before.name))
    vault.store.remove_tokens(account.subject)
    _write(
        service,
        Letter(account.subject, "changed", before.email, "Your address was changed", _CHANGED),
    )


def change_password(service: Service, account: Account, password: str) -> None:
    """A new password; all sessions and open links end. Raises `UsageError` for a weak one."""
    contact = accounts.contact(service, account)
    passwords.check(password, personal=contact.email)
    store = service.vault.store
    store.set_password_hash(account.subject, passwords.hash_password(password))
    store.remove_tokens(account.subject)
    _write(
        service,
        Letter(
            account.subject, "password", contact.email, "Your password was changed", _SIGNED_OUT
        ),
    )


def ask_for_recovery(service: Service, email: str, *, origin: str = "local") -> None:
    """Sends a link for a new password to the address, if it has an account. The answer is the
    same if not. Raises `RefusedError` for too many, `UsageError` for what is no address.
    """
    address = emails.normalise(email)
    digest = service.vault.email_hmac(address)
    service.recoveries.begin(digest, origin, service.now())
    credential = service.vault.store.credential_by_email(digest)
    if credential is None or not credential.confirmed:
        return
    account = _active(service, credential.subject)
    token = tokens.issue(
        service.vault.store,
        Kind.RECOVERY,
        account.subject,
        now_s=service.now(),
        life_s=_RECOVERY_LIFE_S,
    )
    text = _RECOVERY.format(link=service.link("recover", token))
    _write(service, Letter(account.subject, "recovery", address, "A new password", text))


def recover(service: Service, text: str, password: str) -> None:
    """The link of `ask_for_recovery` with a new password. The link stays good for another try
    when the password is refused. Raises `RefusedError`, `UsageError`.
    """
    store = service.vault.store
    token = tokens.find(store, Kind.RECOVERY, text, service.now())
    account = _active(service, token.subject)
    passwords.check(password, personal=accounts.contact(service, account).email)
    tokens.take(store, Kind.RECOVERY, text, service.now())
    change_password(service, account, password)


def _active(service: Service, subject: bytes) -> Account:
    account = accounts.by_subject(service.database, subject)
    if account is None or account.state != "active":
        raise RefusedError("this account is being erased")
    return account


def _save_contact(service: Service, account: Account, contact: Contact) -> None:
    sealed = accounts.seal_contact(service.vault, account, contact)
    table = schema.account
    where = (table.c.id == account.id, table.c.state == "active")

    def save(connection: sa.Connection) -> None:
        if not connection.execute(table.update().where(*where).values(contact=sealed)).rowcount:
            raise NotFoundError("this account is being erased")

    service.writer.call(save)


def _write(service: Service, letter: Letter) -> None:
    service.writer.call(lambda c: outgoing.place(c, service.vault, letter, service.now()))
    service.mail_is_waiting()


_ADDRESS: Final = """\
Somebody, probably you, wants to use this address for a Tare account.

To confirm it, open this link within a day:

    {link}

If it was not you, do nothing: nothing changes.
"""
_ADDRESS_TAKEN: Final = """\
Somebody wants to use this address for a Tare account. It has an account of its own already, so
nothing was changed. If it was you, sign in with this address instead.
"""
_CHANGED: Final = """\
The e-mail address of your Tare account was changed. Letters go to the new one from now on.

If it was not you, write to whoever runs this service at once.
"""
_SIGNED_OUT: Final = """\
The password of your Tare account was changed, and everybody who was signed in was signed out.

If it was not you, choose a new one at once (tare account recover).
"""
_RECOVERY: Final = """\
Somebody, probably you, asked for a new password of your Tare account.

To choose one, open this link within an hour:

    {link}

If it was not you, do nothing: your password stays as it is.
"""
