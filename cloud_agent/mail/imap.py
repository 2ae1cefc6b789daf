"""Fetches letters from a mailbox over IMAP: each is taken, made durable, and then deleted there.

`TARE_IMAP_URL=imaps://USER@HOST/INBOX`, the password in `TARE_IMAP_PASSWORD`. A cut between the
two leaves the letter in the mailbox: it comes again, and is known by its digest.
"""

from __future__ import annotations

import imaplib
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from cloud_agent.errors import TareError, UsageError
from cloud_agent.mail.parsing import MAX_SIZE
from cloud_agent.mail.transport import MailError, is_here

Receive = Callable[[bytes], object]

_TIMEOUT_S: Final = 30.0
_AT_ONCE: Final = 50
_PORTS: Final = {"imaps": 993, "imap": 143}


@dataclass(frozen=True, slots=True)
class Mailbox:
    """One mailbox. TLS is verified; without TLS only on this machine."""

    scheme: str
    host: str
    port: int
    user: str
    password: str
    folder: str

    def fetch(self, receive: Receive, *, tls: ssl.SSLContext | None = None) -> int:
        """Takes up to 50 letters; returns how many. Raises `MailError` when the mailbox cannot be
        had, and what `receive` raises: that letter stays where it is.
        """
        try:
            with self._connect(tls) as server:
                _checked(server.login(self.user, self.password))
                _checked(server.select(_quoted(self.folder)))
                return self._take(server, receive)
        except (OSError, imaplib.IMAP4.error) as error:
            # The server's words may hold a password or an address.
            raise MailError(f"the mailbox cannot be read: {type(error).__name__}") from error

    def _take(self, server: imaplib.IMAP4, receive: Receive) -> int:
        [found] = _checked(server.uid("SEARCH", "UNDELETED", "UNFLAGGED"))
        taken = 0
        for uid in (found or b"").split()[:_AT_ONCE]:
            letter = _letter(server, uid.decode())
            if letter is None:
                # Too long for us: it stays, marked, for a person to look at.
                _checked(server.uid("STORE", uid.decode(), "+FLAGS.SILENT", r"(\Flagged)"))
                continue
            receive(letter)
            _checked(server.uid("STORE", uid.decode(), "+FLAGS.SILENT", r"(\Deleted)"))
            # One by one: what is taken is gone, whatever happens to the next.
            _checked(server.expunge())
            taken += 1
        return taken

    def _connect(self, tls: ssl.SSLContext | None) -> imaplib.IMAP4:
        if self.scheme == "imap":
            return imaplib.IMAP4(self.host, self.port, timeout=_TIMEOUT_S)
        context = tls or ssl.create_default_context()
        return imaplib.IMAP4_SSL(self.host, self.port, ssl_context=context, timeout=_TIMEOUT_S)


def choose(environment: Mapping[str, str]) -> Mailbox | None:
    """The mailbox that the environment names, if it does. Raises `UsageError`."""
    url = environment.get("TARE_IMAP_URL", "")
    if not url:
        return None
    parts = urlsplit(url)
    try:
        port = parts.port or _PORTS[parts.scheme]
    except (KeyError, ValueError) as error:
        raise UsageError("TARE_IMAP_URL is imaps://USER@HOST/FOLDER") from error
    if not parts.hostname or not parts.username or parts.password is not None:
        raise UsageError("TARE_IMAP_URL names user and host; the password is in TARE_IMAP_PASSWORD")
    if parts.scheme == "imap" and not is_here(parts.hostname):
        raise UsageError("without TLS a mailbox is read on this machine only")
    return Mailbox(
        parts.scheme,
        parts.hostname,
        port,
        unquote(parts.username),
        environment.get("TARE_IMAP_PASSWORD", ""),
        unquote(parts.path.strip("/")) or "INBOX",
    )


def _letter(server: imaplib.IMAP4, uid: str) -> bytes | None:
    """The bytes of a letter; None for one that is too long to be read."""
    for part in _checked(server.uid("FETCH", uid, f"(BODY.PEEK[]<0.{MAX_SIZE + 1}>)")):
        if isinstance(part, tuple) and len(part[1]) <= MAX_SIZE:
            return bytes(part[1])
    return None


def _checked(answer: tuple[str, Any]) -> list[Any]:
    kind, data = answer
    if kind != "OK":
        raise imaplib.IMAP4.error("refused")
    return list(data)


def _quoted(folder: str) -> str:
    if any(one in folder for one in '"\\\r\n'):
        raise TareError("the folder of TARE_IMAP_URL has a name that IMAP cannot take")
    return f'"{folder}"'
