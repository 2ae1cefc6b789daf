"""A letter has come by mail: what becomes of it. Mail opens a request; it proves nobody.

    receive(service, raw)   # durable on return: only then may the mail server forget it

Whoever writes from an address on file is asked by a link to that very address, whatever the
letter looks like. Any other address gets one answer that tells nothing about accounts. Programs
are never answered, and no address is written to more often than a few times an hour.
"""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING, Final

import sqlalchemy as sa

from cloud_agent.accounts import accounts
from cloud_agent.errors import RefusedError
from cloud_agent.mail import authentication, intent, outgoing, parsing
from cloud_agent.mail.outgoing import Letter
from cloud_agent.mail.parsing import Incoming, LetterError
from cloud_agent.privacy.requests import acts, letters, post, record
from cloud_agent.privacy.requests.acts import NewRequest
from cloud_agent.privacy.requests.record import Note
from cloud_agent.privacy.requests.states import FINAL, Channel, Kind
from cloud_agent.storage.requests_schema import request_unanswered

if TYPE_CHECKING:
    from cloud_agent.service import Service

_log = logging.getLogger(__name__)

_ORIGIN: Final = "mail"


def receive(service: Service, raw: bytes) -> bytes | None:
    """Takes one letter; returns the id of its request, or None where there is none.

    The same letter again changes nothing. What cannot be a letter is dropped, with the reason
    in the log and nothing of its content. Raises `TareError` when it could not be kept: the
    mail server has to bring it again.
    """
    try:
        letter = parsing.parse(raw)
    except LetterError as error:
        _log.warning("a letter was dropped: %s", error)
        return None
    if letter.automatic:
        _log.info("a letter from a program was dropped")
        return None
    subject = _subject_of(service, letter.sender)
    [kind] = intent.intents(letter.title, letter.text)
    if letter.attachments and not letter.text:
        kind = Kind.UNCLEAR  # a scan: a person has to look at it
    request, is_new = acts.open_request(
        service,
        NewRequest(
            kind=kind,
            channel=Channel.EMAIL,
            received_s=service.now(),
            subject=subject,
            source=letter.digest,
            note=Note(letter.sender, _for_the_clerk(letter)),
        ),
    )
    if is_new and not _answer(service, letter.sender, request):
        _log.warning("request %s is answered later: too many letters", request.hex())
        row = request_unanswered.insert().values(request=request)
        service.writer.call(lambda c: c.execute(row))
    return request


def answer_late(service: Service) -> None:
    """Housekeeping: answers what came when its sender had been written to too often. Else
    whoever writes in somebody's name would silence them.
    """
    with service.database.reading() as connection:
        waiting = list(connection.execute(sa.select(request_unanswered.c.request)).scalars())
    for request in waiting:
        found, sender = record.get(service, request), record.note_of(service, request).address
        is_over = found.state in FINAL or found.evidence.verified or sender is None
        if is_over or _answer(service, sender or "", request):
            _forget(service, request)


def _forget(service: Service, request: bytes) -> None:
    where = request_unanswered.c.request == request
    service.writer.call(lambda c: c.execute(request_unanswered.delete().where(where)))


def _answer(service: Service, sender: str, request: bytes) -> bool:
    digest = service.vault.email_hmac(sender)
    try:
        service.letters_in.begin(digest, _ORIGIN, service.now())
    except RefusedError:
        return False
    found = record.get(service, request)
    if found.subject is None:
        _to_a_stranger(service, sender)
    elif found.kind is Kind.UNCLEAR:
        post.tell_received(service, found)
    else:
        post.ask_to_confirm(service, found)
    return True


def _to_a_stranger(service: Service, address: str) -> None:
    letter = Letter(None, "stranger", address, *letters.stranger())
    service.writer.call(lambda c: outgoing.place(c, service.vault, letter, service.now()))
    service.mail_is_waiting()


def _subject_of(service: Service, address: str) -> bytes | None:
    credential = service.vault.store.credential_by_email(service.vault.email_hmac(address))
    if credential is None or not credential.confirmed:
        return None
    account = accounts.by_subject(service.database, credential.subject)
    return None if account is None or account.state != "active" else account.subject


def _for_the_clerk(letter: Incoming) -> str:
    our_server = os.environ.get("TARE_MAIL_AUTHSERV", "")
    found = authentication.score(letter.results, our_server, letter.sender)
    lines = [letter.title, "", letter.text, "", f"(sender: {found}"]
    if letter.attachments:
        lines[-1] += f", attachments: {letter.attachments}"
    return "\n".join(lines) + ")"
