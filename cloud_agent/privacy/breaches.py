"""Breaches: the clock of 72 hours (GDPR 33), whose data it was, and that it was told (34)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from cloud_agent.accounts import accounts
from cloud_agent.errors import NotFoundError, RefusedError, UsageError
from cloud_agent.mail import outgoing
from cloud_agent.mail.outgoing import Letter
from cloud_agent.privacy import access_log
from cloud_agent.storage.oversight_schema import breach as table

if TYPE_CHECKING:
    from cloud_agent.service import Service

AUTHORITY_S: Final = 72 * 3_600
_MAX_TEXT: Final = 2_000


@dataclass(frozen=True, slots=True)
class Breach:
    """One breach. Times are Unix seconds; `due_s`: the authority has to know by then."""

    id: int
    noticed_s: int
    what: str
    authority_told_s: int | None
    people_told_s: int | None
    affected: int | None
    closed_s: int | None
    reason_untold: str | None

    @property
    def due_s(self) -> int:
        """72 hours after it was noticed."""
        return self.noticed_s + AUTHORITY_S


@dataclass(frozen=True, slots=True)
class Affected:
    """Who a breach is about: account ids; and how many of those read have been erased since, whose
    data nobody can read any more.
    """

    accounts: list[bytes]
    erased: int


def begin(service: Service, what: str, noticed_s: int) -> int:
    """A breach was noticed; returns its number. Raises `UsageError`."""
    if not what.strip() or len(what) > _MAX_TEXT or noticed_s > service.now():
        raise UsageError("say what happened, and when it was noticed")
    row = {"noticed_s": noticed_s, "what": what}
    key = service.writer.call(lambda c: c.execute(table.insert().values(row)).inserted_primary_key)
    return int(key[0]) if key is not None else 0


def affected(service: Service, from_s: int, until_s: int, actor: str | None) -> Affected:
    """Whose data were read in that time (by that account or operator)."""
    found = []
    erased = access_log.erased_since(service, from_s, until_s, actor)
    for subject in access_log.affected(service, from_s, until_s, actor):
        account = accounts.by_subject(service.database, subject)
        if account is None or account.state != "active":
            erased += 1
        else:
            found.append(account.id)
    return Affected(found, erased)


def tell_people(service: Service, number: int, people: Affected, text: str) -> int:
    """Writes to everybody concerned; returns to how many. Raises `UsageError` for no text."""
    if not text.strip():
        raise UsageError("say to the people what happened, what it means, and what they can do")
    _get(service, number)
    told = 0
    for account_id in people.accounts:
        account = accounts.by_id(service.database, account_id)
        if account is None:
            continue
        address = accounts.contact(service, account).email
        letter = Letter(account.subject, "breach", address, "About your data", text)
        _place(service, letter)
        told += 1
    _update(service, number, {"people_told_s": service.now(), "affected": told})
    service.mail_is_waiting()
    return told


def authority_was_told(service: Service, number: int) -> None:
    """The authority knows."""
    _update(service, number, {"authority_told_s": service.now()})


def close(service: Service, number: int, reason_untold: str | None = None) -> None:
    """Ends the record. Raises `RefusedError` where the authority was not told and no reason is
    given: article 33(5) wants it written down.
    """
    found = _get(service, number)
    if found.authority_told_s is None and not (reason_untold or "").strip():
        raise RefusedError("the authority was not told: say why not, with --reason")
    _update(service, number, {"closed_s": service.now(), "reason_untold": reason_untold})


def list_breaches(service: Service) -> list[Breach]:
    """All, oldest first."""
    with service.database.reading() as connection:
        rows = connection.execute(sa.select(table).order_by(table.c.id))
        return [_breach(row) for row in rows]


def _get(service: Service, number: int) -> Breach:
    with service.database.reading() as connection:
        row = connection.execute(sa.select(table).where(table.c.id == number)).one_or_none()
    if row is None:
        raise NotFoundError("there is no breach with this number")
    return _breach(row)


def _place(service: Service, letter: Letter) -> None:
    service.writer.call(lambda c: outgoing.place(c, service.vault, letter, service.now()))


def _update(service: Service, number: int, values: dict[str, Any]) -> None:
    _get(service, number)
    service.writer.call(
        lambda c: c.execute(table.update().where(table.c.id == number).values(values))
    )


def _breach(row: Any) -> Breach:
    return Breach(
        row.id,
        row.noticed_s,
        row.what,
        row.authority_told_s,
        row.people_told_s,
        row.affected,
        row.closed_s,
        row.reason_untold,
    )
