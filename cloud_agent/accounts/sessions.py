"""Being signed in: sessions that the server keeps and can end.

A session ends after 30 days, by signing out, by a new password, and with the account. What
cannot be undone asks for a fresh proof: a password given within the last five minutes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from cloud_agent.accounts import accounts, tokens
from cloud_agent.accounts.tokens import Kind
from cloud_agent.errors import RefusedError

if TYPE_CHECKING:
    from cloud_agent.accounts.accounts import Account
    from cloud_agent.service import Service

LIFE_S: Final = 30 * 86_400
FRESH_S: Final = 300
_MOST: Final = 20
_ID_DIGITS: Final = 16


@dataclass(frozen=True, slots=True)
class Session:
    """One session as its owner may see it; `id` names it and opens nothing."""

    id: str
    since_s: int
    until_s: int


def sign_in(service: Service, account: Account) -> str:
    """The text of a new session. The caller has checked the password just now. Of more than
    twenty sessions the oldest ends.
    """
    store = service.vault.store
    open_now = [each for each in store.tokens_of(account.subject) if each.kind == Kind.SESSION]
    for oldest in open_now[: max(0, len(open_now) - _MOST + 1)]:
        store.remove_token(oldest.hash)
    return tokens.issue(store, Kind.SESSION, account.subject, now_s=service.now(), life_s=LIFE_S)


def account_of(service: Service, text: str, *, fresh: bool = False) -> Account:
    """The account of a session. `fresh`: only within five minutes of signing in.

    Raises `RefusedError`.
    """
    now_s = service.now()
    token = tokens.find(service.vault.store, Kind.SESSION, text, now_s)
    account = accounts.by_subject(service.database, token.subject)
    if account is None or account.state != "active":
        raise RefusedError("you are not signed in (any more)")
    if fresh and now_s - token.made_s >= FRESH_S:
        raise RefusedError("give your password again: this cannot be undone")
    return account


def list_sessions(service: Service, account: Account) -> list[Session]:
    """The account's open sessions, oldest first."""
    now_s = service.now()
    return [
        Session(token.hash.hex()[:_ID_DIGITS], token.made_s, token.until_s)
        for token in service.vault.store.tokens_of(account.subject)
        if token.kind == Kind.SESSION and token.until_s > now_s
    ]


def sign_out(service: Service, text: str) -> None:
    """Ends this session; one that is over already is no error."""
    try:
        tokens.take(service.vault.store, Kind.SESSION, text, service.now())
    except RefusedError:
        return


def sign_out_everywhere(service: Service, account: Account) -> None:
    """Ends all sessions of the account, and what its open links could do."""
    service.vault.store.remove_tokens(account.subject)


def remove_old(service: Service) -> None:
    """Housekeeping: sessions and links whose time is over."""
    service.vault.store.remove_tokens_until(service.now())
