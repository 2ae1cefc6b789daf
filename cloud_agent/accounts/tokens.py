"""Random texts that stand for a right: a session, a link in a letter. The server keeps a hash.

    text = tokens.issue(vault.store, Kind.RECOVERY, subject, now_s=now, life_s=3600)
    token = tokens.take(vault.store, Kind.RECOVERY, text, now)  # works once

They are in the key database, which keeps nothing of what is destroyed, and go with the person.
"""

from __future__ import annotations

import hashlib
import secrets
from enum import StrEnum
from typing import Final

from cloud_agent.errors import RefusedError
from cloud_agent.privacy.keystore import KeyStore, Token

_SIZE: Final = 32
_MAX_TEXT: Final = 64


class Kind(StrEnum):
    """What a token is good for. One of one kind is nothing for another."""

    SESSION = "session"
    RECOVERY = "recovery"  # choosing a new password
    ADDRESS = "address"  # confirming a new address
    REQUEST = "request"  # confirming a privacy request


def issue(
    store: KeyStore, kind: Kind, subject: bytes, *, now_s: int, life_s: int, bound: bytes = b""
) -> str:
    """A new text for the subject, 256 random bits; durable on return. Raises `RefusedError` for
    somebody who was erased meanwhile.
    """
    text = secrets.token_urlsafe(_SIZE)
    if not store.add_token(Token(_hash(text), kind.value, subject, bound, now_s, now_s + life_s)):
        raise RefusedError("this account is being erased")
    return text


def find(store: KeyStore, kind: Kind, text: str, now_s: int) -> Token:
    """The token of a text. Raises `RefusedError`: unknown, used, over, or of another kind."""
    token = store.token(_hash(text[:_MAX_TEXT]))
    if token is None or token.kind != kind or not token.made_s <= now_s < token.until_s:
        raise RefusedError(_REFUSALS[kind])
    return token


def take(store: KeyStore, kind: Kind, text: str, now_s: int) -> Token:
    """The same, and it is used up: of two who come with it, one is refused."""
    token = find(store, kind, text, now_s)
    if not store.remove_token(token.hash):
        raise RefusedError(_REFUSALS[kind])
    return token


def _hash(text: str) -> bytes:
    # Looked up by hash: the time of a comparison tells nothing about the text.
    return hashlib.sha256(text.encode()).digest()


_REFUSALS: Final = {
    Kind.SESSION: "you are not signed in (any more)",
    Kind.RECOVERY: "this link was used already, or is too old: ask for a new one",
    Kind.ADDRESS: "this link was used already, or is too old: change the address again",
    Kind.REQUEST: "this code was used already, is too old, or is none: ask for a new one",
}
