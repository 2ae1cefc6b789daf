"""Telling recipients of a correction or an erasure (GDPR 19), and what they answer.

A notice names the person by the number that the partner was given for them, so it outlives their
rows here and leads to nobody. `place` belongs into the transaction that begins the change. A
notice is open until the partner answered, signed, or a reason is written down why it cannot.

The partner signs, with Ed25519, the text of `answer_text`.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from cloud_agent.errors import NotFoundError, RefusedError, UsageError
from cloud_agent.readings.zones import iso_text
from cloud_agent.storage.partners_schema import disclosure, partner, partner_pseudonym
from cloud_agent.storage.partners_schema import recipient_notice as table

if TYPE_CHECKING:
    from cloud_agent.service import Service

_ID_SIZE: Final = 16
_KEPT_S: Final = 5 * 366 * 86_400
_OPEN: Final = ("waiting", "sent")


class Kind(StrEnum):
    """What happened here."""

    ERASURE = "erasure"
    ERASURE_READINGS = "erasure-readings"
    RECTIFICATION = "rectification"


#: What a partner may have done about it.
OUTCOMES: Final = {
    Kind.ERASURE: ("erased", "nothing-held"),
    Kind.ERASURE_READINGS: ("erased", "nothing-held"),
    Kind.RECTIFICATION: ("corrected", "nothing-held"),
}


@dataclass(frozen=True, slots=True)
class Notice:
    """One notice. `partner` is the name, `pseudonym` what the partner knows the person by."""

    id: bytes
    request: bytes
    partner: str
    contact: str
    public_key: bytes
    pseudonym: bytes
    kind: Kind
    state: str
    placed_s: int
    sent_s: int | None
    closed_s: int | None
    outcome: str | None
    reason: str | None


def place(connection: sa.Connection, subject: bytes, request: bytes, kind: Kind, now_s: int) -> int:
    """One notice for each partner that was given anything of the person; returns how many are
    new. Again for the same request: none is.
    """
    return _insert(connection, subject, request, kind, now_s, given_until_s=None)


def place_correction(connection: sa.Connection, subject: bytes, stored_s: int, now_s: int) -> int:
    """A person corrected or removed a reading that was stored at `stored_s`: whoever was given
    something since then is told, once while they have not been told of an earlier one.
    """
    request = secrets.token_bytes(_ID_SIZE)
    return _insert(connection, subject, request, Kind.RECTIFICATION, now_s, given_until_s=stored_s)


def open_notices(connection: sa.Connection, request: bytes) -> int:
    """How many recipients of a request have not answered yet."""
    return _count(connection, request, table.c.state.in_(_OPEN))


def impossible(connection: sa.Connection, request: bytes) -> int:
    """How many could not be told, with the reason written down."""
    return _count(connection, request, table.c.state == "impossible")


def cancel(connection: sa.Connection, requests: list[bytes]) -> None:
    """Of erasures that never began."""
    connection.execute(table.delete().where(table.c.request.in_(requests)))


def list_notices(
    service: Service, *, request: bytes | None = None, every: bool = False
) -> list[Notice]:
    """Those of one request; else the open ones, or `every` one. Oldest first."""
    query = _SELECT.order_by(table.c.placed_s, table.c.id)
    if request is not None:
        query = query.where(table.c.request == request)
    elif not every:
        query = query.where(table.c.state.in_(_OPEN))
    with service.database.reading() as connection:
        return [_notice(row) for row in connection.execute(query)]


def of_person(service: Service, subject: bytes) -> list[Notice]:
    """What was told about a person who is here."""
    names = sa.select(partner_pseudonym.c.pseudonym).where(partner_pseudonym.c.subject == subject)
    query = _SELECT.where(table.c.pseudonym.in_(names)).order_by(table.c.placed_s, table.c.id)
    with service.database.reading() as connection:
        return [_notice(row) for row in connection.execute(query)]


def described(notice: Notice) -> dict[str, Any]:
    """One notice as JSON for whoever may see it: who was told, and what came of it. Nobody is in
    it; what the partner knows the person by is not either.
    """
    times = {"placed": notice.placed_s, "sent": notice.sent_s, "closed": notice.closed_s}
    return {
        "notice": notice.id.hex(),
        "request": notice.request.hex(),
        "recipient": notice.partner,
        "kind": notice.kind.value,
        "state": notice.state,
        "outcome": notice.outcome,
        "reason": notice.reason,
    } | {f"{name}_utc": None if at_s is None else iso_text(at_s, 0) for name, at_s in times.items()}


def answer_text(notice: Notice, outcome: str) -> str:
    """What the partner signs: for this notice, this person and this outcome only."""
    return f"tare/1/answer {notice.id.hex()} {notice.pseudonym.hex()} {outcome}"


def hand_over(service: Service, notice: bytes) -> Notice:
    """It goes to the partner. Again: it is the same. Raises `RefusedError` when it is closed."""

    def mark(connection: sa.Connection) -> Notice:
        found = _open(connection, notice)
        if found.sent_s is None:
            _update(connection, notice, state="sent", sent_s=service.now())
        return _read(connection, notice)

    return service.writer.call(mark)


def answer(service: Service, notice: bytes, outcome: str, signature: bytes) -> Notice:
    """The partner has answered. Raises `UsageError` for an outcome that is none of this kind, and
    `RefusedError` for a signature that is not the partner's over exactly this.
    """

    def mark(connection: sa.Connection) -> Notice:
        found = _open(connection, notice)
        if outcome not in OUTCOMES[found.kind]:
            raise UsageError(f"the outcome is one of {', '.join(OUTCOMES[found.kind])}")
        key = Ed25519PublicKey.from_public_bytes(found.public_key)
        try:
            key.verify(signature, answer_text(found, outcome).encode())
        except InvalidSignature as error:
            raise RefusedError("this is not the partner's signature of this answer") from error
        now_s = service.now()
        _update(
            connection,
            notice,
            state="answered",
            closed_s=now_s,
            outcome=outcome,
            signature=signature,
        )
        return _read(connection, notice)

    return service.writer.call(mark)


def give_up(service: Service, notice: bytes, reason: str) -> Notice:
    """The partner cannot be told, or it would be out of all proportion (article 19): why."""
    if not reason.strip():
        raise UsageError("say why the recipient cannot be told")

    def mark(connection: sa.Connection) -> Notice:
        _open(connection, notice)
        closed = {"state": "impossible", "closed_s": service.now(), "reason": reason}
        _update(connection, notice, **closed)
        return _read(connection, notice)

    return service.writer.call(mark)


def remove_old(service: Service) -> None:
    """Housekeeping: five years after they were closed."""
    old = table.c.closed_s <= service.now() - _KEPT_S
    service.writer.call(lambda c: c.execute(table.delete().where(old)))


_SELECT: Final = sa.select(table, partner.c.name, partner.c.contact, partner.c.public_key).join(
    partner, partner.c.id == table.c.partner
)


def _insert(
    connection: sa.Connection,
    subject: bytes,
    request: bytes,
    kind: Kind,
    now_s: int,
    *,
    given_until_s: int | None,
) -> int:
    given = partner_pseudonym
    was_given = sa.exists().where(
        disclosure.c.subject == subject,
        disclosure.c.partner == given.c.partner,
        sa.true() if given_until_s is None else disclosure.c.at_s >= given_until_s,
    )
    told = sa.exists().where(table.c.partner == given.c.partner, table.c.request == request)
    if given_until_s is not None:
        told = sa.exists().where(
            table.c.pseudonym == given.c.pseudonym,
            table.c.kind == kind.value,
            table.c.state == "waiting",
        )
    query = sa.select(given.c.partner, given.c.pseudonym)
    rows = connection.execute(query.where(given.c.subject == subject, was_given, ~told)).all()
    for row in rows:
        connection.execute(
            table.insert().values(
                id=secrets.token_bytes(_ID_SIZE),
                request=request,
                partner=row.partner,
                pseudonym=row.pseudonym,
                kind=kind.value,
                state="waiting",
                placed_s=now_s,
            )
        )
    return len(rows)


def _count(connection: sa.Connection, request: bytes, where: sa.ColumnElement[bool]) -> int:
    query = sa.select(sa.func.count()).select_from(table).where(table.c.request == request, where)
    return int(connection.execute(query).scalar_one())


def _read(connection: sa.Connection, notice: bytes) -> Notice:
    row = connection.execute(_SELECT.where(table.c.id == notice)).one_or_none()
    if row is None:
        raise NotFoundError("there is no notice with this number")
    return _notice(row)


def _open(connection: sa.Connection, notice: bytes) -> Notice:
    found = _read(connection, notice)
    if found.state not in _OPEN:
        raise RefusedError(f"this notice is closed: {found.state}")
    return found


def _update(connection: sa.Connection, notice: bytes, **values: Any) -> None:
    connection.execute(table.update().where(table.c.id == notice).values(values))


def _notice(row: Any) -> Notice:
    return Notice(
        row.id,
        row.request,
        row.name,
        row.contact,
        row.public_key,
        row.pseudonym,
        Kind(row.kind),
        row.state,
        row.placed_s,
        row.sent_s,
        row.closed_s,
        row.outcome,
        row.reason,
    )
