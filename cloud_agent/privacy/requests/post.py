"""Letters about requests: whom they go to, and that they go once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cloud_agent.accounts import accounts, tokens
from cloud_agent.accounts.tokens import Kind as TokenKind
from cloud_agent.mail import outgoing
from cloud_agent.mail.outgoing import Letter
from cloud_agent.privacy.requests import letters, record
from cloud_agent.privacy.requests.record import Request
from cloud_agent.privacy.requests.states import Kind

if TYPE_CHECKING:
    from cloud_agent.service import Service

LINK_LIFE_S = 86_400
_CODE_LIFE_S = 30 * 86_400


def address_of(service: Service, request: Request) -> str | None:
    """Where the answer goes: the address on file, or what was kept of it before an erasure."""
    if request.subject is not None:
        account = accounts.by_subject(service.database, request.subject)
        if account is not None:
            return accounts.contact(service, account).email
    return record.note_of(service, request.id).address


def ask_to_confirm(service: Service, request: Request) -> None:
    """A link to the address on file: whoever opens it and confirms there is the person."""
    if request.subject is None:
        return
    token = _token(service, request, LINK_LIFE_S)
    text = letters.confirm(request.kind, service.link("request", token), request.id.hex())
    _send(service, request, address_of(service, request), text)


def paper_letter(service: Service, request: Request) -> str:
    """A letter to print, with a code, to the postal address that the clerk has checked."""
    return letters.by_post(request.kind, _token(service, request, _CODE_LIFE_S), request.id.hex())


def tell_received(service: Service, request: Request) -> None:
    """It is here, and when the answer comes."""
    text = letters.received(request.kind, request.due, request.id.hex())
    _send(service, request, address_of(service, request), text)


def tell_extended(service: Service, request: Request, reason: str) -> None:
    """It takes longer, and why."""
    text = letters.extended(reason, request.due, request.id.hex())
    _send(service, request, address_of(service, request), text)


def tell_refused(service: Service, request: Request, address: str | None) -> None:
    """No, why, and where to complain."""
    text = letters.refused(request.reason_code or "", request.id.hex())
    _send(service, request, address, text)


def done_letter(
    service: Service, request: Request, address: str | None, receipt: str
) -> Letter | None:
    """It was done, with the receipt. Where letters are files, an erased person gets none: the
    file would be their last trace.
    """
    gone = request.kind is Kind.ERASURE
    if address is None or (gone and service.transport.keeps_copies):
        return None
    text = letters.done(request.kind, request.state, request.id.hex())
    return Letter(request.subject, "request", address, *text, attachment=receipt)


def bound(request: Request) -> bytes:
    """What a code confirms: this request, and that it asks for this. A clerk may have read it
    anew since the code was sent.
    """
    return request.id + request.kind.value.encode()


def _token(service: Service, request: Request, life_s: int) -> str:
    return tokens.issue(
        service.vault.store,
        TokenKind.REQUEST,
        request.subject or b"",
        now_s=service.now(),
        life_s=life_s,
        bound=bound(request),
    )


def _send(
    service: Service,
    request: Request,
    address: str | None,
    text: tuple[str, str],
) -> None:
    if address is None:
        return
    letter = Letter(request.subject, "request", address, *text)
    service.writer.call(lambda c: outgoing.place(c, service.vault, letter, service.now()))
    service.mail_is_waiting()
