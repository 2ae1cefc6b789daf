"""What happens to privacy requests: opens them, notes each act and each step of the work.

Each act is one transaction and is refused where the state does not allow it. Everything here
blocks; times are Unix seconds.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from cloud_agent.errors import RefusedError
from cloud_agent.mail import outgoing
from cloud_agent.privacy.requests import deadlines, states
from cloud_agent.privacy.requests.record import ID_SIZE, Note, Request, note_owner, read
from cloud_agent.privacy.requests.states import Channel, Kind
from cloud_agent.privacy.vault import Purpose
from cloud_agent.storage.requests_schema import (
    privacy_request,
    request_act,
    request_note,
    request_pause,
    request_step,
    request_unanswered,
)
from protocol import cbor

if TYPE_CHECKING:
    from cloud_agent.mail.outgoing import Letter
    from cloud_agent.service import Service

# An identity that nobody proved: the request ends, and may be made again.
_UNPROVEN_S: Final = 30 * 86_400
_RECORD_KEPT_S: Final = 5 * 366 * 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class NewRequest:
    """What came in. `source`: digest of the letter, by which the same one twice is known."""

    kind: Kind
    channel: Channel
    received_s: int
    subject: bytes | None = None
    source: bytes | None = None
    verified_by: str | None = None
    note: Note | None = None


def open_request(service: Service, new: NewRequest) -> tuple[bytes, bool]:
    """Records a request; returns its id and whether it is new.

    The same letter again is the same request. A verified request of the same person for the
    same thing that is still open makes a verified one its duplicate; an unverified one never
    stands in anybody's way.
    """
    request = secrets.token_bytes(ID_SIZE)
    now_s = service.now()

    def insert(connection: sa.Connection) -> tuple[bytes, bool]:
        if new.source is not None:
            known = _by_source(connection, new.channel, new.source)
            if known is not None:
                return known, False
        duplicate_of = None
        if new.verified_by is not None and new.subject is not None:
            duplicate_of = _open_twin(connection, new.subject, new.kind, request)
        connection.execute(
            privacy_request.insert().values(
                id=request,
                kind=new.kind.value,
                channel=new.channel.value,
                source=new.source,
                subject=new.subject,
                received_s=new.received_s,
                recorded_s=now_s,
                verified_s=None if new.verified_by is None else now_s,
                verified_by=new.verified_by,
                duplicate_of=duplicate_of,
                finished_s=None if duplicate_of is None else now_s,
            )
        )
        if new.note is not None and duplicate_of is None:
            _keep_note(service, connection, request, new.note)
        return request, True

    return service.writer.call(insert)


def keep_note(service: Service, request: bytes, note: Note) -> None:
    """Keeps it in the place of what was kept; `finish` removes it."""
    service.writer.call(lambda c: _keep_note(service, c, request, note))


def verify(service: Service, request: bytes, verified_by: str) -> Request:
    """The person is who they say. Ends what stood still. Raises `RefusedError` when it is over,
    or nobody has read yet what it asks for.
    """
    now_s = service.now()

    def mark(connection: sa.Connection) -> Request:
        found = _open(connection, request)
        if found.evidence.verified:
            return found
        if found.kind is Kind.UNCLEAR:
            raise RefusedError("a person has to read this request first: `assign` it")
        if found.subject is None:
            raise RefusedError("nobody is known yet whose request this is: `assign` it first")
        _resume(connection, request, now_s)
        twin = _open_twin(connection, found.subject, found.kind, request)
        _update(
            connection,
            request,
            verified_s=now_s,
            verified_by=verified_by,
            duplicate_of=twin,
            finished_s=None if twin is None else now_s,
        )
        return read(connection, request)

    verified = service.writer.call(mark)
    drop_notes(service, [request] if verified.duplicate_of is not None else [])
    return verified


def note_act(service: Service, request: bytes, operator: str, act: str) -> None:
    """Writes down which operator did what: it outlives the person, and ends with the record."""
    row = {"request": request, "at_s": service.now(), "operator": operator, "act": act}
    service.writer.call(lambda c: c.execute(request_act.insert().values(row)))


def close_for_erasure(
    connection: sa.Connection, subject: bytes, erasure: bytes, now_s: int
) -> list[bytes]:
    """The person is erased: what else they asked for is answered with that. Returns the ids of
    the requests, for `drop_notes` after the commit.
    """
    table = privacy_request
    mine = (table.c.subject == subject, table.c.finished_s.is_(None), table.c.id != erasure)
    closed = list(connection.execute(sa.select(table.c.id).where(*mine)).scalars())
    connection.execute(table.update().where(*mine).values(duplicate_of=erasure, finished_s=now_s))
    return closed


def assign(service: Service, request: bytes, subject: bytes, kind: Kind) -> None:
    """A clerk has read a letter: whose it is, and what it asks for. It still has to be verified."""

    def mark(connection: sa.Connection) -> None:
        found = _open(connection, request)
        if found.evidence.verified:
            raise RefusedError("this request is verified already")
        _update(connection, request, subject=subject, kind=kind.value)

    service.writer.call(mark)


def pause(service: Service, request: bytes, reason: str) -> None:
    """More has to be known first (`identity`, `clarification`): the time stands still."""

    def mark(connection: sa.Connection) -> None:
        found = _open(connection, request)
        if found.evidence.verified:
            raise RefusedError("this request is verified: there is nothing to wait for")
        if found.evidence.asked_for_more:
            raise RefusedError("the time of this request stands still already")
        connection.execute(
            request_pause.insert().values(request=request, from_s=service.now(), reason=reason)
        )

    service.writer.call(mark)


def resume(service: Service, request: bytes) -> None:
    """What was asked for has come: the time runs again."""

    def mark(connection: sa.Connection) -> None:
        _open(connection, request)
        _resume(connection, request, service.now())

    service.writer.call(mark)


def extend(service: Service, request: bytes, reason: str) -> Request:
    """Two more months, once, told within the first (GDPR 12(3)). Raises `RefusedError`."""
    now_s = service.now()

    def mark(connection: sa.Connection) -> Request:
        found = _open(connection, request)
        if found.extended:
            raise RefusedError("this request was extended already")
        if deadlines.is_late(now_s, found.due):
            raise RefusedError("the first month is over: it cannot be extended any more")
        _update(connection, request, extended_s=now_s, extension_reason=reason)
        return read(connection, request)

    return service.writer.call(mark)


def refuse(service: Service, request: bytes, reason_code: str) -> Request:
    """Refused, with a reason (GDPR 12(4)). Not after work on it has begun."""
    return _end(service, request, refused_s=service.now(), reason_code=reason_code)


def revoke(service: Service, request: bytes) -> Request:
    """The person takes it back, before work on it has begun."""
    return _end(service, request, revoked_s=service.now())


def plan_steps(service: Service, request: bytes, actions: Sequence[str], note: Note) -> None:
    """The work begins: its steps, in this order, and what is kept until it ends. Again for the
    same request: nothing happens.
    """

    def insert(connection: sa.Connection) -> None:
        found = _open(connection, request)
        if found.steps:
            return
        _keep_note(service, connection, request, note)
        connection.execute(
            request_step.insert(),
            [
                {
                    "request": request,
                    "number": number,
                    "action": action,
                    "state": "waiting",
                    "tries": 0,
                }
                for number, action in enumerate(actions, start=1)
            ],
        )

    service.writer.call(insert)


def step_done(
    service: Service, request: bytes, number: int, *, amount: int | None, digest: bytes | None
) -> None:
    """A step is done, and what shows it."""
    values = {"state": "done", "done_s": service.now(), "amount": amount, "digest": digest}
    _update_step(service, request, number, values | {"cause": None})


def step_failed(service: Service, request: bytes, number: int, cause: str) -> None:
    """A try has failed; there will be another."""
    _update_step(service, request, number, {"state": "failed", "cause": cause})


def finish(service: Service, request: bytes, result: dict[str, Any], letter: Letter | None) -> None:
    """The evidence is complete: the counts are kept, the person is told, what was written to us
    goes. Once: again for the same request nothing happens.
    """

    def mark(connection: sa.Connection) -> None:
        if read(connection, request).finished_s is not None:
            return
        _update(connection, request, finished_s=service.now(), result=json.dumps(result))
        if letter is not None:
            outgoing.place(connection, service.vault, letter, service.now())

    service.writer.call(mark)
    drop_notes(service, [request])
    if letter is not None:
        service.mail_is_waiting()


def drop_notes(service: Service, requests: Sequence[bytes]) -> None:
    """Deletes what was written to us, and the keys that it was sealed under."""
    if not requests:
        return
    where = request_note.c.request.in_(requests)
    service.writer.call(lambda c: c.execute(request_note.delete().where(where)))
    service.vault.destroy([note_owner(each) for each in requests])


def tidy(service: Service) -> None:
    """Housekeeping: ends requests whose identity nobody proved, forgets old records."""
    now_s = service.now()
    table = privacy_request
    unproven = (
        table.c.verified_s.is_(None),
        table.c.refused_s.is_(None),
        table.c.revoked_s.is_(None),
        table.c.expired_s.is_(None),
        sa.or_(table.c.kind != Kind.UNCLEAR.value, table.c.subject.is_(None)),
        table.c.recorded_s <= now_s - _UNPROVEN_S,
    )
    closed_s = sa.func.coalesce(
        table.c.finished_s, table.c.refused_s, table.c.revoked_s, table.c.expired_s
    )

    def clean(connection: sa.Connection) -> list[bytes]:
        connection.execute(
            table.update().where(*unproven).values(expired_s=now_s, finished_s=now_s)
        )
        old = sa.select(table.c.id).where(closed_s <= now_s - _RECORD_KEPT_S)
        ended = list(
            connection.execute(
                sa.select(table.c.id).where(table.c.finished_s.is_not(None))
            ).scalars()
        )
        for part in (request_step, request_pause, request_act, request_unanswered, request_note):
            connection.execute(part.delete().where(part.c.request.in_(old)))
        connection.execute(table.delete().where(table.c.id.in_(old)))
        return ended

    ended = service.writer.call(clean)
    sealed = service.vault.store.owners()
    drop_notes(service, [each for each in ended if note_owner(each) in sealed])


def _end(service: Service, request: bytes, **values: Any) -> Request:
    def mark(connection: sa.Connection) -> Request:
        found = _open(connection, request)
        if not states.may_refuse(found.evidence):
            raise RefusedError("work on this request has begun: it cannot be stopped any more")
        _resume(connection, request, service.now())
        _update(connection, request, finished_s=service.now(), **values)
        return read(connection, request)

    ended = service.writer.call(mark)
    drop_notes(service, [request])
    return ended


def _keep_note(service: Service, connection: sa.Connection, request: bytes, note: Note) -> None:
    plaintext = cbor.encode([note.address, note.text, note.nonce])
    owner = note_owner(request)
    if not service.vault.store.keys_of(owner):
        service.vault.create_owner(owner, (Purpose.HOLD,))
    sealed = service.vault.encrypt(owner, Purpose.HOLD, "request_note", request, plaintext)
    connection.execute(request_note.delete().where(request_note.c.request == request))
    connection.execute(request_note.insert().values(request=request, ciphertext=sealed))


def _open(connection: sa.Connection, request: bytes) -> Request:
    found = read(connection, request)
    if found.state in states.FINAL:
        raise RefusedError(f"this request is closed: {found.state}")
    return found


def _update(connection: sa.Connection, request: bytes, **values: Any) -> None:
    where = privacy_request.c.id == request
    connection.execute(privacy_request.update().where(where).values(values))


def _update_step(service: Service, request: bytes, number: int, values: dict[str, Any]) -> None:
    where = (
        request_step.c.request == request,
        request_step.c.number == number,
        request_step.c.state != "done",  # what is done once stays done
    )
    tries = {"tries": request_step.c.tries + 1}
    service.writer.call(
        lambda c: c.execute(request_step.update().where(*where).values(values | tries))
    )


def _resume(connection: sa.Connection, request: bytes, now_s: int) -> None:
    where = (request_pause.c.request == request, request_pause.c.until_s.is_(None))
    connection.execute(request_pause.update().where(*where).values(until_s=now_s))


def _by_source(connection: sa.Connection, channel: Channel, source: bytes) -> bytes | None:
    where = (privacy_request.c.channel == channel.value, privacy_request.c.source == source)
    found: bytes | None = connection.execute(
        sa.select(privacy_request.c.id).where(*where)
    ).scalar_one_or_none()
    return found


def _open_twin(connection: sa.Connection, subject: bytes, kind: Kind, but: bytes) -> bytes | None:
    """An open, verified request of this person for the same thing."""
    table = privacy_request
    query = sa.select(table.c.id).where(
        table.c.subject == subject,
        table.c.kind == kind.value,
        table.c.verified_s.is_not(None),
        table.c.id != but,
    )
    for other in connection.execute(query).scalars().all():
        if read(connection, other).state not in states.FINAL:
            return bytes(other)
    return None
