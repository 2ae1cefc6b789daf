"""Named operations for privacy requests: of the person, of whoever holds a code from a letter,
and of the clerk who answers letters. JSON in, JSON out.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from cloud_agent.accounts import accounts, emails, tokens
from cloud_agent.accounts.asking import account_of
from cloud_agent.accounts.operators import Role, operator_of
from cloud_agent.accounts.tokens import Kind as TokenKind
from cloud_agent.arguments import Arguments, files, optional_text, text
from cloud_agent.errors import NotFoundError, RefusedError, TareError, UsageError
from cloud_agent.operation import Work, in_thread
from cloud_agent.privacy import access_log, proof, receipts
from cloud_agent.privacy.requests import acts, letters, post, record, search, work
from cloud_agent.privacy.requests.acts import NewRequest
from cloud_agent.privacy.requests.record import Request, parse_id
from cloud_agent.privacy.requests.states import FINAL, Channel, Kind, State
from cloud_agent.privacy.requests.work import Outcome
from cloud_agent.readings.zones import iso_text

if TYPE_CHECKING:
    from cloud_agent.control import Operation
    from cloud_agent.service import Service

# What a person cannot open by themselves in this way: they change it directly.
_NOT_BY_SELF: Final = {Kind.RECTIFICATION, Kind.UNCLEAR}
_CANNOT_BE_UNDONE: Final = {Kind.ERASURE, Kind.ERASURE_READINGS, Kind.CONSENT_WITHDRAWAL}

# Of the person


def erase(service: Service, arguments: Arguments) -> Arguments:
    """Erases the account, its person and what their devices hold, or the readings only."""
    given = files(arguments, "also_scan")
    account = account_of(service, arguments, fresh=True)
    only_readings = arguments.get("only_readings") is True
    kind = Kind.ERASURE_READINGS if only_readings else Kind.ERASURE
    request = _open_for(service, account, kind)
    outcome = None
    try:
        outcome = work.carry_out(service, request, given=given)
    except TareError:
        # The report says how far it is; only where there is none has nothing happened.
        if not work.has_erasure(service, request):
            raise
    report = proof.read(service.database, request).as_json()
    return report | ({} if outcome is None else _given(outcome))


def open_(service: Service, arguments: Arguments) -> Arguments:
    """A request of the person who is signed in; carried out at once."""
    kind = _kind(arguments)
    if kind in _NOT_BY_SELF:
        raise UsageError("change it yourself: `tare account change`, `tare readings`")
    account = account_of(service, arguments, fresh=kind in _CANNOT_BE_UNDONE)
    outcome = work.carry_out(service, _open_for(service, account, kind))
    return described(outcome.request) | _given(outcome)


def mine(service: Service, arguments: Arguments) -> Arguments:
    """The person's own requests."""
    account = account_of(service, arguments)
    found = record.list_requests(service, subject=account.subject)
    return {"requests": [described(each) for each in found]}


def revoke(service: Service, arguments: Arguments) -> Arguments:
    """The person takes a request back."""
    account = account_of(service, arguments)
    found = record.get(service, parse_id(text(arguments, "request")))
    if found.subject != account.subject:
        raise NotFoundError("there is no request with this number")
    return described(acts.revoke(service, found.id))


def lift(service: Service, arguments: Arguments) -> Arguments:
    """The person wants their readings to be used again."""
    work.lift_restriction(service, account_of(service, arguments))
    return {}


# Of whoever holds a code from a letter


def show(service: Service, arguments: Arguments) -> Arguments:
    """What the code would confirm. Changes nothing: programs open links too."""
    found = _of_code(service, text(arguments, "code"))
    return described(found) | {
        "what": letters.NAMES[found.kind],
        "cannot_be_undone": found.kind in _CANNOT_BE_UNDONE,
    }


def confirm(service: Service, arguments: Arguments) -> Arguments:
    """The code is given: the person is verified, and the request is carried out."""
    code = text(arguments, "code")
    found = _of_code(service, code)
    tokens.take(service.vault.store, TokenKind.REQUEST, code, service.now())
    by = "code" if found.channel is Channel.POST else "link"
    verified = acts.verify(service, found.id, by)
    if verified.state is not State.VERIFIED or verified.kind is Kind.RECTIFICATION:
        return described(verified)
    outcome = work.carry_out(service, found.id)
    return described(outcome.request) | _given(outcome)


def receipt(service: Service, arguments: Arguments) -> Arguments:
    """The receipt of a request, for whoever has its number; `nonce` makes it the person's own."""
    nonce = optional_text(arguments, "nonce")
    try:
        known = None if nonce is None else bytes.fromhex(nonce)
    except ValueError as error:
        raise UsageError("the code of a receipt is hexadecimal") from error
    if known is not None and len(known) != receipts.NONCE_SIZE:
        raise UsageError(f"the code of a receipt has {2 * receipts.NONCE_SIZE} digits")
    request = parse_id(text(arguments, "request"))
    if record.get(service, request).steps:
        work.finish_if_shown(service, request)
    return {"document": work.document_of(service, request, known)}


# Of the clerk


def every(service: Service, arguments: Arguments) -> Arguments:
    """All requests, or those that are open, with their dates."""
    found = record.list_requests(service, unfinished=arguments.get("all") is not True)
    return {"requests": [described(each) for each in found]}


def enter(service: Service, arguments: Arguments) -> Arguments:
    """A letter on paper has come: when, what for, from whom, and where its scan lies."""
    kind = _kind(arguments)
    address = emails.normalise(text(arguments, "email"))
    vault = service.vault
    credential = vault.store.credential_by_email(vault.email_hmac(address))
    source = optional_text(arguments, "scan")
    new = NewRequest(
        kind=kind,
        channel=Channel.POST,
        received_s=_day(service, text(arguments, "received")),
        subject=credential.subject if credential is not None and credential.confirmed else None,
        source=None if source is None else hashlib.sha256(source.encode()).digest(),
        note=record.Note(address, source),
    )
    request, is_new = acts.open_request(service, new)
    found = record.get(service, request)
    answer = described(found) | {"new": is_new, "known": found.subject is not None}
    if is_new and found.subject is not None and kind is not Kind.UNCLEAR:
        answer["letter"] = post.paper_letter(service, found)
    return answer


def find(service: Service, arguments: Arguments) -> Arguments:
    """Finds a person by their exact address, or by the device that they hold, for a reason that is
    written down with the search. The address is shown masked.
    """
    reason = text(arguments, "reason")
    subject = search.sought(service, arguments)
    _note_read(service, arguments, subject, "search", reason)
    account = accounts.by_subject(service.database, subject)
    found = record.list_requests(service, subject=subject)
    address = None
    if account is not None and account.state == "active":
        address = emails.masked(accounts.contact(service, account).email)
    return {
        "account": None if account is None else account.id.hex(),
        "address": address,
        "requests": [described(each) for each in found],
    }


def read(service: Service, arguments: Arguments) -> Arguments:
    """One request with what was written to us."""
    found = record.get(service, parse_id(text(arguments, "request")))
    if found.subject is not None:
        _note_read(service, arguments, found.subject, "letter", f"request {found.id.hex()}")
    return described(found) | {"written": record.note_of(service, found.id).text}


def assign(service: Service, arguments: Arguments) -> Arguments:
    """A clerk has read a letter: what it asks for, and whose account it is about."""
    request = parse_id(text(arguments, "request"))
    address = emails.normalise(text(arguments, "email"))
    vault = service.vault
    credential = vault.store.credential_by_email(vault.email_hmac(address))
    if credential is None or not credential.confirmed:
        raise NotFoundError("no account has this address")
    acts.assign(service, request, credential.subject, _kind(arguments))
    _note_act(service, arguments, request, "assigned")
    found = record.get(service, request)
    if found.channel is Channel.POST:
        return described(found) | {"letter": post.paper_letter(service, found)}
    post.ask_to_confirm(service, found)
    return described(found)


def verify(service: Service, arguments: Arguments) -> Arguments:
    """The identity was checked at the delivery of a registered letter."""
    request = parse_id(text(arguments, "request"))
    if record.get(service, request).channel is not Channel.POST:
        raise RefusedError("this did not come by post: the link in a letter verifies it")
    verified = acts.verify(service, request, "registered-letter")
    _note_act(service, arguments, request, "verified")
    if verified.state is not State.VERIFIED or verified.kind is Kind.RECTIFICATION:
        return described(verified)
    outcome = work.carry_out(service, request)
    # To be printed: without the code in it nobody could say later whom it is about.
    return described(outcome.request) | _given(outcome)


def rectify(service: Service, arguments: Arguments) -> Arguments:
    """What the person asked to be corrected."""
    request = parse_id(text(arguments, "request"))
    outcome = work.rectify(
        service,
        request,
        name=optional_text(arguments, "name"),
        zone=optional_text(arguments, "zone"),
    )
    _note_act(service, arguments, request, "rectified")
    return described(outcome.request)


def pause(service: Service, arguments: Arguments) -> Arguments:
    """More has to be known: the time stands still."""
    request = parse_id(text(arguments, "request"))
    acts.pause(service, request, _one_of(arguments, "reason", ("identity", "clarification")))
    _note_act(service, arguments, request, "paused")
    return described(record.get(service, request))


def resume(service: Service, arguments: Arguments) -> Arguments:
    """It has come: the time runs again."""
    request = parse_id(text(arguments, "request"))
    acts.resume(service, request)
    _note_act(service, arguments, request, "resumed")
    return described(record.get(service, request))


def extend(service: Service, arguments: Arguments) -> Arguments:
    """Two more months, and the person is told why."""
    reason = _one_of(arguments, "reason", tuple(letters.EXTENSIONS))
    request = parse_id(text(arguments, "request"))
    found = acts.extend(service, request, reason)
    _note_act(service, arguments, request, "extended")
    post.tell_extended(service, found, reason)
    return described(found)


def refuse(service: Service, arguments: Arguments) -> Arguments:
    """No, and the person is told why and where to complain."""
    request = parse_id(text(arguments, "request"))
    reason = _one_of(arguments, "reason", tuple(letters.REASONS))
    address = post.address_of(service, record.get(service, request))
    found = acts.refuse(service, request, reason)
    _note_act(service, arguments, request, "refused")
    post.tell_refused(service, found, address)
    return described(found)


def head(service: Service, _arguments: Arguments) -> Arguments:
    """How far the log of receipts goes, and the key that checks it."""
    count, last = service.receipts.head
    return {"count": count, "last": last, "public_key": service.receipts.public_key.hex()}


def described(found: Request) -> Arguments:
    """One request for whoever may see it: no name, no address."""
    open_ = found.state not in FINAL
    return {
        "request": found.id.hex(),
        "kind": found.kind.value,
        "channel": found.channel.value,
        "state": found.state.value,
        "received_utc": iso_text(found.received_s, 0),
        "due": found.due.isoformat() if open_ else None,
        "verified_by": found.verified_by,
        "reason": found.reason_code,
        "duplicate_of": None if found.duplicate_of is None else found.duplicate_of.hex(),
        "steps": [
            {"action": step.action, "state": step.state.value, "cause": step.cause}
            for step in found.steps
        ],
    }


_OLDEST_LETTER_S: Final = 10 * 366 * 86_400


def _of_clerk(do: Work) -> Operation:
    """The same, for operators who answer letters."""

    def as_clerk(service: Service, arguments: Arguments) -> Arguments:
        name = operator_of(service, arguments, Role.CLERK)
        return do(service, arguments | {"operator": name})

    as_clerk.__doc__ = do.__doc__
    return in_thread(as_clerk)


OPERATIONS: Final[dict[str, Operation]] = {
    "account.erase": in_thread(erase),
    "account.lift-restriction": in_thread(lift),
    "request.open": in_thread(open_),
    "request.mine": in_thread(mine),
    "request.revoke": in_thread(revoke),
    "request.show": in_thread(show),
    "request.confirm": in_thread(confirm),
    "request.receipt": in_thread(receipt),
    "request.list": _of_clerk(every),
    "request.enter": _of_clerk(enter),
    "request.read": _of_clerk(read),
    "request.assign": _of_clerk(assign),
    "request.verify": _of_clerk(verify),
    "request.rectify": _of_clerk(rectify),
    "request.pause": _of_clerk(pause),
    "request.resume": _of_clerk(resume),
    "request.extend": _of_clerk(extend),
    "request.find": _of_clerk(find),
    "request.refuse": _of_clerk(refuse),
    "receipts.head": in_thread(head),
}


def _note_read(
    service: Service, arguments: Arguments, subject: bytes, what: str, reason: str
) -> None:
    access_log.note(
        service,
        subject,
        actor_kind="operator",
        actor=text(arguments, "operator"),
        what=what,
        reason=reason,
    )


def _note_act(service: Service, arguments: Arguments, request: bytes, act: str) -> None:
    acts.note_act(service, request, text(arguments, "operator"), act)


def _open_for(service: Service, account: accounts.Account, kind: Kind) -> bytes:
    """A request of the account, or the one like it that is open already."""
    new = NewRequest(
        kind=kind,
        channel=Channel.SELF,
        received_s=service.now(),
        subject=account.subject,
        verified_by="password",
    )
    request, _ = acts.open_request(service, new)
    return record.get(service, request).duplicate_of or request


def _given(outcome: Outcome) -> dict[str, Any]:
    nonce = None if outcome.nonce is None else outcome.nonce.hex()
    return {"receipt_code": nonce, "document": outcome.document}


def _of_code(service: Service, code: str) -> Request:
    token = tokens.find(service.vault.store, TokenKind.REQUEST, code, service.now())
    found = record.get(service, token.bound[: record.ID_SIZE])
    if token.subject != found.subject or token.bound != post.bound(found):
        raise RefusedError("this code was for another request: wait for the letter about this one")
    if found.state in FINAL:
        raise RefusedError(f"this request is closed: {found.state}")
    return found


def _kind(arguments: Arguments) -> Kind:
    return Kind(_one_of(arguments, "kind", tuple(each.value for each in Kind)))


def _one_of(arguments: Arguments, name: str, known: tuple[str, ...]) -> str:
    value = text(arguments, name)
    if value not in known:
        raise UsageError(f"{name} is one of {', '.join(known)}")
    return value


def _day(service: Service, given: str) -> int:
    """The day of a postmark, as the moment at which it ends; not in the future."""
    try:
        day = datetime.strptime(given, "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError as error:
        raise UsageError("a day is written YYYY-MM-DD") from error
    at_s = int(day.timestamp()) + 12 * 3_600
    if at_s > service.now() + 86_400:
        raise UsageError("this day has not come yet")
    if at_s < service.now() - _OLDEST_LETTER_S:
        raise UsageError("this day is more than ten years ago")
    return at_s
