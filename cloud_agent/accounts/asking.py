"""Who asks: the one place where an operation learns whose account it works on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cloud_agent.accounts import accounts, sessions
from cloud_agent.accounts.accounts import Account
from cloud_agent.arguments import Arguments, optional_text, text
from cloud_agent.privacy import access_log

if TYPE_CHECKING:
    from cloud_agent.service import Service


def account_of(
    service: Service, arguments: Arguments, *, fresh: bool = False, reads: str | None = None
) -> Account:
    """The account that `session`, or `email` and `password` of the arguments, prove.

    `fresh`: for what cannot be undone; a session proves it for five minutes only. `reads`: what
    of their data is read then; it is written down. Raises `RefusedError`.
    """
    account = _proven(service, arguments, fresh=fresh)
    if reads is not None:
        access_log.note(
            service, account.subject, actor_kind="person", actor=account.id.hex(), what=reads
        )
    return account


def _proven(service: Service, arguments: Arguments, *, fresh: bool) -> Account:
    session = optional_text(arguments, "session")
    if session is not None:
        return sessions.account_of(service, session, fresh=fresh)
    return accounts.authenticate(service, text(arguments, "email"), text(arguments, "password"))
