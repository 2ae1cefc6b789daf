"""Carries requests out: steps in order, each done once or tried again, with what shows it.

A step that was interrupted is done again at the next start; each is harmless to repeat. When
the evidence is complete, the receipt is issued and the person is told; nothing else makes a
request fulfilled. Everything here blocks.
"""

from __future__ import annotations

import hashlib
import logging
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from cloud_agent.accounts import accounts, changes
from cloud_agent.backup import make as backups
from cloud_agent.errors import NotFoundError, RefusedError, TareError, UsageError
from cloud_agent.privacy import erasure, export, notices, partners, proof, receipts
from cloud_agent.privacy.requests import acts, post, record
from cloud_agent.privacy.requests.record import Note, Request
from cloud_agent.privacy.requests.states import Kind, Proof, State, StepState
from cloud_agent.readings.zones import iso_text
from cloud_agent.storage.requests_schema import restriction

if TYPE_CHECKING:
    from cloud_agent.accounts.accounts import Account
    from cloud_agent.service import Service

_log = logging.getLogger(__name__)


Given = tuple[Path, ...]


@dataclass(frozen=True, slots=True)
class Shown:
    """What shows that a step was done: how many, and a digest of what was made."""

    amount: int | None = None
    digest: bytes | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """A request after work on it. `nonce`: what makes its receipt the person's own, as long as
    it is not closed, and once when it is; `document`: the receipt, when this closed it.
    """

    request: Request
    nonce: bytes | None = None
    document: str | None = None


def carry_out(service: Service, request: bytes, *, given: Given = ()) -> Outcome:
    """Does what is left of a verified request. `given`: files that an erasure looks into too.

    Raises `RefusedError` when nobody's identity is proven or it is closed, and what a step
    raises: the step is noted as failed, and is tried again later.
    """
    with service.request_lock:
        found = record.get(service, request)
        if found.finished_s is not None:
            return Outcome(found)
        if not found.steps:
            _begin(service, found)
        for number, step in enumerate(record.get(service, request).steps, start=1):
            if step.state is not StepState.DONE:
                _do(service, request, number, step.action, given)
        return finish_if_shown(service, request)


def carry_on(service: Service) -> None:
    """At the start and now and then: goes on with what was begun, closes what is shown."""
    for found in record.list_requests(service, unfinished=True):
        # Verified, and cut before the work was planned; a correction waits for a person.
        is_cut = found.state is State.VERIFIED and found.kind is not Kind.RECTIFICATION
        if not found.steps and not is_cut:
            continue
        try:
            carry_out(service, found.id)
        except (TareError, OSError) as error:
            _log.warning("request %s: %s", found.id.hex(), error)
        except Exception as error:  # noqa: BLE001 - one request never keeps the others from going on
            _log.error("request %s: %s", found.id.hex(), type(error).__name__)


def finish_if_shown(service: Service, request: bytes) -> Outcome:
    """Issues the receipt and tells the person, once the evidence is complete."""
    with service.request_lock:
        return _finish_if_shown(service, request)


def _finish_if_shown(service: Service, request: bytes) -> Outcome:
    if record.get(service, request).evidence.proof is Proof.RUNNING:
        erasure.status(service, request)  # devices may have confirmed meanwhile
    found = record.get(service, request)
    note = record.note_of(service, request)
    done = found.state in {State.FULFILLED, State.FULFILLED_WITH_EXCEPTIONS}
    if not done or found.finished_s is not None or note.nonce is None:
        return Outcome(found, note.nonce)
    address = post.address_of(service, found)
    issued = service.receipts.issue(_content(service, found, note.nonce, address))
    document = receipts.document(issued, service.receipts.public_key, note.nonce)
    letter = post.done_letter(service, found, address, document)
    acts.finish(service, request, {"receipt": issued.receipt["index"]}, letter)
    return Outcome(record.get(service, request), note.nonce, document)


def _begin(service: Service, found: Request) -> None:
    actions = ACTIONS.get(found.kind)
    if actions is None:
        raise RefusedError("a person has to read this request first: `assign` it")
    if not found.evidence.verified:
        raise RefusedError("the identity of whoever asks is not proven")
    # Kept before anything is gone: the answer needs an address, and the receipt its nonce.
    nonce = secrets.token_bytes(receipts.NONCE_SIZE)
    note = Note(post.address_of(service, found), None, nonce)
    acts.plan_steps(service, found.id, actions, note)


def rectify(service: Service, request: bytes, *, name: str | None, zone: str | None) -> Outcome:
    """A clerk corrects what the person asked to be corrected, then it is carried out.

    Raises `UsageError` for a value that is none, and where nothing is said to correct.
    """
    if name is None and zone is None:
        raise UsageError("nothing is said to correct")
    found = record.get(service, request)
    if found.kind is not Kind.RECTIFICATION or found.state is not State.VERIFIED:
        raise RefusedError("this is no verified request for a correction")
    account = _account(service, found)
    if name is not None:
        changes.change_name(service, account, name)
    if zone is not None:
        changes.change_zone(service, account, zone)
    return carry_out(service, request)


def document_of(service: Service, request: bytes, nonce: bytes | None = None) -> str:
    """The receipt of a finished request as a file; with the nonce that the person was given it
    is about them, without it names nobody. Raises `NotFoundError`.
    """
    issued = service.receipts.of(request.hex())
    if issued is None:
        raise NotFoundError("there is no receipt of this request yet")
    return receipts.document(issued, service.receipts.public_key, nonce)


def lift_restriction(service: Service, account: Account) -> None:
    """The person wants their readings to be used again. Nobody else can lift it."""
    where = restriction.c.subject == account.subject
    service.writer.call(lambda c: c.execute(restriction.delete().where(where)))


def _do(service: Service, request: bytes, number: int, action: str, given: Given) -> None:
    try:
        shown = _STEPS[action](service, record.get(service, request), given)
    except (TareError, OSError) as error:
        cause = str(error) if isinstance(error, TareError) else type(error).__name__
        acts.step_failed(service, request, number, cause)
        raise
    acts.step_done(service, request, number, amount=shown.amount, digest=shown.digest)


def _export(service: Service, request: Request, _given: Given) -> Shown:
    path = export.make_export(service, _account(service, request))
    return Shown(1, hashlib.sha256(path.read_bytes()).digest())


def _erase(service: Service, request: Request, given: Given) -> Shown:
    return _erased(service, request, given, only_readings=False)


def _erase_readings(service: Service, request: Request, given: Given) -> Shown:
    return _erased(service, request, given, only_readings=True)


def _erased(service: Service, request: Request, given: Given, *, only_readings: bool) -> Shown:
    if has_erasure(service, request.id):
        report = erasure.status(service, request.id)
    else:
        account = _account(service, request)
        report = erasure.erase(
            service, account, given=given, request=request.id, only_readings=only_readings
        )
    # Unreadable at once; where the database is large, its bytes leave the files in the night.
    if report.state == "failed" or report.unreadable_s is None:
        raise RefusedError("something was found after the erasure: see `tare account erasure`")
    return Shown(sum(report.rows_erased.values()))


def _rectified(service: Service, request: Request, _given: Given) -> Shown:
    # `rectify`, or the person, has done it before. Whoever was given data is told.
    subject, now_s = _account(service, request).subject, service.now()
    kind = notices.Kind.RECTIFICATION
    service.writer.call(lambda c: notices.place(c, subject, request.id, kind, now_s))
    return Shown(1)


def _restrict(service: Service, request: Request, _given: Given) -> Shown:
    account = _account(service, request)
    row = {"subject": account.subject, "since_s": service.now(), "request": request.id}

    def insert(connection: sa.Connection) -> None:
        if not record.is_restricted(connection, account.subject):
            connection.execute(restriction.insert().values(row))

    service.writer.call(insert)
    return Shown(1)


def _withdraw(service: Service, request: Request, _given: Given) -> Shown:
    accounts.withdraw_health_consent(service, _account(service, request))
    return Shown(1)


def _stop_disclosures(service: Service, request: Request, _given: Given) -> Shown:
    # Partners are all that there is to object to: there is no advertising.
    return Shown(partners.withdraw_all(service, _account(service, request).subject))


Do = Callable[["Service", Request, Given], Shown]

_STEPS: Final[dict[str, Do]] = {
    "export": _export,
    "erase": _erase,
    "erase-readings": _erase_readings,
    "rectify": _rectified,
    "restrict": _restrict,
    "withdraw-consent": _withdraw,
    "stop-disclosures": _stop_disclosures,
}

#: The steps of each kind of request, in their order.
ACTIONS: Final = {
    Kind.ACCESS: ("export",),
    Kind.PORTABILITY: ("export",),
    Kind.RECTIFICATION: ("rectify",),
    Kind.ERASURE: ("erase",),
    Kind.ERASURE_READINGS: ("erase-readings",),
    Kind.RESTRICTION: ("restrict",),
    Kind.OBJECTION: ("stop-disclosures",),
    Kind.CONSENT_WITHDRAWAL: ("withdraw-consent", "erase-readings"),
}


def has_erasure(service: Service, request: bytes) -> bool:
    """Whether the erasure of this request has begun."""
    try:
        proof.read(service.database, request)
    except NotFoundError:
        return False
    return True


def _account(service: Service, request: Request) -> Account:
    account = None
    if request.subject is not None:
        account = accounts.by_subject(service.database, request.subject)
    if account is None:
        raise NotFoundError("the account of this request is not here (any more)")
    return account


def _content(service: Service, found: Request, nonce: bytes, address: str | None) -> dict[str, Any]:
    content: dict[str, Any] = {
        "request": found.id.hex(),
        "kind": found.kind.value,
        "channel": found.channel.value,
        "received": iso_text(found.received_s, 0),
        "verified_by": found.verified_by or "",
        "state": found.state.value,
        "finished": iso_text(service.now(), 0),
        "steps": [
            {
                "action": step.action,
                "amount": step.amount or 0,
                "sha256": (step.digest or b"").hex(),
            }
            for step in found.steps
        ],
        "about": "" if address is None else receipts.about(nonce, address),
    }
    told = notices.list_notices(service, request=found.id)
    if told:
        content["recipients"] = {
            state: sum(each.state == state for each in told) for state in ("answered", "impossible")
        }
    if any(step.action.startswith("erase") for step in found.steps):
        content |= _of_erasure(service, found.id)
    return content


def _of_erasure(service: Service, request: bytes) -> dict[str, Any]:
    report = proof.read(service.database, request)
    horizon_s = backups.horizon_s(service)
    return {
        # Until then a copy of the destroyed keys may lie in a backup.
        "backup_horizon": "" if horizon_s is None else iso_text(horizon_s, 0),
        "unreadable": iso_text(report.unreadable_s or 0, 0),
        "compacted": iso_text(report.compacted_s or 0, 0),
        "patterns": report.patterns,
        "found_before": proof.by_store(report.found_before),
        "found_after": proof.by_store(report.found_after),
        "rows_erased": report.rows_erased,
        "devices": report.devices,
        "exceptions": list(report.exceptions),
        "not_verified": list(report.not_verified),
    }
