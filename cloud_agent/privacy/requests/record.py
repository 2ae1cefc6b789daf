"""Reads what was recorded of privacy requests: one row each, its steps, its pauses, what is
kept while it is open. Times are Unix seconds.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from cloud_agent.errors import CiphertextError, NotFoundError, RefusedError
from cloud_agent.privacy import notices
from cloud_agent.privacy.requests import deadlines, states
from cloud_agent.privacy.requests.deadlines import Pause
from cloud_agent.privacy.requests.states import Channel, Evidence, Kind, Proof, State, StepState
from cloud_agent.privacy.vault import Purpose
from cloud_agent.storage import schema
from cloud_agent.storage.requests_schema import (
    privacy_request,
    request_note,
    request_pause,
    request_step,
    restriction,
)
from protocol import cbor

if TYPE_CHECKING:
    from cloud_agent.accounts.accounts import Account
    from cloud_agent.service import Service

ID_SIZE: Final = 16


@dataclass(frozen=True, slots=True)
class Note:
    """What is kept, sealed, only while a request is open: where the answer goes, what was
    written to us, and the nonce of the receipt.
    """

    address: str | None = None
    text: str | None = None
    nonce: bytes | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """One step as it is recorded."""

    action: str
    state: StepState
    tries: int
    cause: str | None
    amount: int | None
    digest: bytes | None


@dataclass(frozen=True, slots=True)
class Request:
    """One request with everything that was recorded of it, and what that comes to."""

    id: bytes
    kind: Kind
    channel: Channel
    subject: bytes | None
    received_s: int
    verified_s: int | None
    verified_by: str | None
    extended: bool
    reason_code: str | None
    duplicate_of: bytes | None
    finished_s: int | None
    result: dict[str, Any]
    pauses: tuple[Pause, ...]
    steps: tuple[Step, ...]
    evidence: Evidence

    @property
    def state(self) -> State:
        """Where it stands."""
        return states.state(self.evidence)

    @property
    def due(self) -> date:
        """The last day for the answer."""
        return deadlines.due(self.received_s, pauses=self.pauses, extended=self.extended)


def read(connection: sa.Connection, request: bytes) -> Request:
    """One request. Raises `NotFoundError`."""
    row = connection.execute(
        sa.select(privacy_request).where(privacy_request.c.id == request)
    ).one_or_none()
    if row is None:
        raise NotFoundError("there is no request with this number")
    steps = tuple(
        Step(each.action, StepState(each.state), each.tries, each.cause, each.amount, each.digest)
        for each in connection.execute(
            sa.select(request_step)
            .where(request_step.c.request == request)
            .order_by(request_step.c.number)
        )
    )
    pauses = tuple(
        Pause(each.from_s, each.until_s)
        for each in connection.execute(
            sa.select(request_pause)
            .where(request_pause.c.request == request)
            .order_by(request_pause.c.from_s)
        )
    )
    result = json.loads(row.result or "{}")
    evidence = Evidence(
        verified=row.verified_s is not None,
        asked_for_more=any(pause.until_s is None for pause in pauses),
        refused=row.refused_s is not None,
        revoked=row.revoked_s is not None,
        duplicate=row.duplicate_of is not None,
        expired=row.expired_s is not None,
        steps=tuple(step.state for step in steps),
        open_notices=notices.open_notices(connection, request),
        proof=_proof(connection, request, steps),
        exceptions=len(result.get("exceptions", ())) + notices.impossible(connection, request),
    )
    return Request(
        id=row.id,
        kind=Kind(row.kind),
        channel=Channel(row.channel),
        subject=row.subject,
        received_s=row.received_s,
        verified_s=row.verified_s,
        verified_by=row.verified_by,
        extended=row.extended_s is not None,
        reason_code=row.reason_code,
        duplicate_of=row.duplicate_of,
        finished_s=row.finished_s,
        result=result,
        pauses=pauses,
        steps=steps,
        evidence=evidence,
    )


def get(service: Service, request: bytes) -> Request:
    """One request, read by itself."""
    with service.database.reading() as connection:
        return read(connection, request)


def list_requests(
    service: Service, *, subject: bytes | None = None, unfinished: bool = False
) -> list[Request]:
    """Requests, oldest first: of one person, or all; or those that nothing was closed of yet."""
    query = sa.select(privacy_request.c.id).order_by(privacy_request.c.received_s)
    if subject is not None:
        query = query.where(privacy_request.c.subject == subject)
    if unfinished:
        query = query.where(
            privacy_request.c.finished_s.is_(None), privacy_request.c.duplicate_of.is_(None)
        )
    with service.database.reading() as connection:
        return [read(connection, each) for each in connection.execute(query).scalars().all()]


def note_owner(request: bytes) -> bytes:
    """The name of the key under which the note of a request is sealed. Another than that of the
    plan of its erasure: the note is needed a little longer.
    """
    return hashlib.sha256(b"tare/1/request-note" + request).digest()[:ID_SIZE]


def note_of(service: Service, request: bytes) -> Note:
    """What is kept of an open request; nothing once it is closed."""
    query = sa.select(request_note.c.ciphertext).where(request_note.c.request == request)
    with service.database.reading() as connection:
        sealed = connection.execute(query).scalar_one_or_none()
    if sealed is None:
        return Note()
    plaintext = service.vault.decrypt(
        note_owner(request), Purpose.HOLD, "request_note", request, sealed
    )
    match cbor.decode(plaintext):
        case [str() | None as address, str() | None as text, bytes() | None as nonce]:
            return Note(address, text, nonce)
        case _:
            raise CiphertextError("what was kept of a request cannot be read")


def is_restricted(connection: sa.Connection, subject: bytes) -> bool:
    """Whether the person asked that their readings be kept and not used (GDPR 18)."""
    query = sa.select(sa.exists().where(restriction.c.subject == subject))
    return bool(connection.execute(query).scalar_one())


def check_use(service: Service, account: Account) -> None:
    """Readings that are kept and not used (GDPR 18) are not shown, compared or offered: only
    exported, and changed by their person. Raises `RefusedError`.
    """
    with service.database.reading() as connection:
        restricted = is_restricted(connection, account.subject)
    if restricted:
        raise RefusedError(
            "you asked that your readings be kept and not used: `tare request use-again` ends "
            "that, `tare account export` gives them to you as they are"
        )


def parse_id(text: str) -> bytes:
    """The id from its hex. Raises `NotFoundError` for what cannot be one."""
    try:
        request = bytes.fromhex(text)
    except ValueError:
        request = b""
    if len(request) != ID_SIZE:
        raise NotFoundError("there is no request with this number")
    return request


def _proof(connection: sa.Connection, request: bytes, steps: Sequence[Step]) -> Proof:
    """What the evidence of the erasure with the same number says."""
    if not any(step.action.startswith("erase") for step in steps):
        return Proof.NONE
    table = schema.erasure
    query = sa.select(table.c.state, table.c.result).where(table.c.id == request)
    row = connection.execute(query).one_or_none()
    if row is None:
        return Proof.RUNNING
    if row.state == "proven" and json.loads(row.result or "{}").get("missing_before"):
        return Proof.UNCONFIRMED  # what was not found before proves nothing afterwards
    return {"proven": Proof.CLEAN, "unconfirmed": Proof.UNCONFIRMED}.get(row.state, Proof.RUNNING)
