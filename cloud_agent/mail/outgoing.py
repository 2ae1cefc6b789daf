"""Letters to people: written in the caller's transaction, sealed, sent until they are taken.

    letters.place(connection, vault, Letter(subject, "recovery", to, "New password", text), now)
    letters.send_due(service)  # after the commit, and now and then

A letter waits sealed under the identity key of its person, so it goes with them; to somebody
without an account it is sealed under a key of its own. What was sent is not kept.
"""

from __future__ import annotations

import email.utils
import logging
import os
import secrets
from dataclasses import dataclass
from email.message import EmailMessage
from email.policy import SMTP
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from cloud_agent.errors import CiphertextError, VaultError
from cloud_agent.mail.transport import Files, MailError
from cloud_agent.privacy.vault import Purpose, Vault
from cloud_agent.storage.mail_schema import letter as table
from protocol import cbor

if TYPE_CHECKING:
    from cloud_agent.service import Service

_log = logging.getLogger(__name__)

_KEPT_S: Final = 30 * 86_400
_FIRST_WAIT_S: Final = 60
_LONGEST_WAIT_S: Final = 6 * 3_600
_TRIES: Final = 40  # about nine days
_AT_ONCE: Final = 100


@dataclass(frozen=True, slots=True)
class Letter:
    """One letter. `subject` is the person whose account it is about; None: nobody's.
    `attachment`: a receipt.
    """

    subject: bytes | None
    kind: str
    to: str
    title: str
    text: str
    attachment: str = ""


def place(connection: sa.Connection, vault: Vault, letter: Letter, now_s: int) -> bytes:
    """Puts a letter into the outbox; returns its id. Raises `KeyGoneError`."""
    row = secrets.token_bytes(16)
    plaintext = cbor.encode([letter.to, letter.title, letter.text, letter.attachment])
    owner, purpose = _seal_of(letter.subject, row)
    if letter.subject is None:
        vault.create_owner(owner, (purpose,))
    sealed = vault.encrypt(owner, purpose, "letter", row, plaintext)
    connection.execute(
        table.insert().values(
            id=row,
            subject=letter.subject,
            kind=letter.kind,
            state="waiting",
            placed_s=now_s,
            next_s=now_s,
            tries=0,
            ciphertext=sealed,
        )
    )
    return row


def send_due(service: Service) -> int:
    """Sends what waits and is due; returns how many left. Blocks. One at a time."""
    with service.mail_lock:
        return sum(_send(service, row) for row in _due(service) if not service.closing)


def remove_old(service: Service) -> None:
    """Housekeeping: what is a month old is forgotten, files after a week."""
    before_s = service.now() - _KEPT_S

    def remove(connection: sa.Connection) -> list[bytes]:
        strangers = sa.select(table.c.id).where(table.c.subject.is_(None))
        old = connection.execute(strangers.where(table.c.placed_s <= before_s)).scalars().all()
        connection.execute(table.delete().where(table.c.placed_s <= before_s))
        return list(old)

    service.vault.destroy(service.writer.call(remove))  # of those to nobody's account
    if isinstance(service.transport, Files):
        service.transport.remove_old(service.now())


def copies_of(connection: sa.Connection, subject: bytes) -> list[bytes]:
    """The ids of the letters of a person, whose copies an erasure has to remove."""
    return list(
        connection.execute(sa.select(table.c.id).where(table.c.subject == subject)).scalars()
    )


def _due(service: Service) -> list[Any]:
    if service.closing:
        return []
    query = (
        sa.select(table)
        .where(table.c.state == "waiting", table.c.next_s <= service.now())
        .order_by(table.c.placed_s)
        .limit(_AT_ONCE)
    )
    with service.database.reading() as connection:
        return list(connection.execute(query).all())


def _send(service: Service, row: Any) -> bool:
    now_s = service.now()
    try:
        service.transport.send(row.id.hex(), _message(_open(service.vault, row), row.id))
    except (MailError, VaultError) as error:
        tries = row.tries + 1
        values: dict[str, Any] = {"tries": tries, "next_s": now_s + _wait_s(tries)}
        if tries >= _TRIES or isinstance(error, VaultError):
            values |= {"state": "failed", "ciphertext": None}
        _log.warning("letter %s (%s): %s", row.id.hex()[:8], row.kind, error)
        _update(service, row, values)
        return False
    _update(service, row, {"state": "sent", "ciphertext": None})
    return True


def _update(service: Service, row: Any, values: dict[str, Any]) -> None:
    where = table.c.id == row.id
    service.writer.call(lambda c: c.execute(table.update().where(where).values(values)))
    if row.subject is None and values.get("state") is not None:
        service.vault.destroy((row.id,))


def _seal_of(subject: bytes | None, row: bytes) -> tuple[bytes, Purpose]:
    return (row, Purpose.HOLD) if subject is None else (subject, Purpose.IDENTITY)


def _open(vault: Vault, row: Any) -> Letter:
    owner, purpose = _seal_of(row.subject, row.id)
    plaintext = vault.decrypt(owner, purpose, "letter", row.id, row.ciphertext)
    match cbor.decode(plaintext):
        case [str(to), str(title), str(text), str(attachment)]:
            return Letter(row.subject, row.kind, to, title, text, attachment)
        case _:
            raise CiphertextError("a letter cannot be read")


def _message(letter: Letter, row: bytes) -> EmailMessage:
    message = EmailMessage(policy=SMTP)
    message["From"] = os.environ.get("TARE_MAIL_FROM", "Tare <tare@localhost>")
    message["To"] = letter.to
    message["Subject"] = letter.title
    message["Date"] = email.utils.format_datetime(email.utils.localtime())
    message["Message-ID"] = f"<{row.hex()}@tare.invalid>"
    # RFC 3834: nobody's absence notice shall answer this.
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(letter.text)
    if letter.attachment:
        message.add_attachment(letter.attachment, filename="receipt.json")
    return message


def _wait_s(tries: int) -> int:
    return min(_FIRST_WAIT_S << min(tries - 1, 10), _LONGEST_WAIT_S)
