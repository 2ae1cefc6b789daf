"""How a letter leaves: over SMTP, or, where no mail server is configured, into a file.

`TARE_SMTP_URL` names the server: `smtps://USER@HOST:465`, `smtp+starttls://USER@HOST:587`, or
`smtp://127.0.0.1:25` without TLS on this machine only. The password is in
`TARE_SMTP_PASSWORD`; the sender in `TARE_MAIL_FROM`.
"""

from __future__ import annotations

import ipaddress
import os
import smtplib
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from email.message import EmailMessage
from pathlib import Path
from typing import Final, Protocol
from urllib.parse import unquote, urlsplit

from cloud_agent.errors import TareError, UsageError
from cloud_agent.files import remove_durably, write_private

_TIMEOUT_S: Final = 30.0
_PORTS: Final = {"smtp": 25, "smtps": 465, "smtp+starttls": 587}
# Letters in files are somebody's address in the clear: long enough to be fetched.
_FILE_KEPT_S: Final = 7 * 86_400


class MailError(TareError):
    """A letter could not be handed over; it is tried again."""

    kind = "mail"


class Transport(Protocol):
    """Hands one letter over. `send` raises `MailError`."""

    #: Whether letters stay on this machine as files.
    keeps_copies: bool

    def send(self, name: str, message: EmailMessage) -> None:
        """Hands over; on return the letter is the other side's, or durable in a file."""

    def remove(self, name: str) -> None:
        """Removes the copy of a letter, where copies are kept."""


@dataclass(frozen=True, slots=True)
class Files:
    """Letters as `.eml` files in a folder, for an installation without a mail server."""

    folder: Path
    keeps_copies: bool = True

    def send(self, name: str, message: EmailMessage) -> None:
        """See `Transport`. Writing the same letter again replaces it."""
        try:
            write_private(self.folder / f"{name}.eml", message.as_bytes(), replace=True)
        except OSError as error:
            raise MailError(f"a letter could not be written: {error.strerror}") from error

    def remove(self, name: str) -> None:
        """See `Transport`."""
        remove_durably(self.folder / f"{name}.eml")

    def remove_old(self, now_s: int) -> None:
        """Removes letters that are older than a week."""
        for path in self.folder.glob("*.eml"):
            if path.stat().st_mtime < now_s - _FILE_KEPT_S:
                remove_durably(path)


@dataclass(frozen=True, slots=True)
class Smtp:
    """A mail server. TLS is verified; without TLS only to this machine."""

    scheme: str
    host: str
    port: int
    user: str
    password: str
    keeps_copies: bool = False

    def send(self, name: str, message: EmailMessage) -> None:
        """See `Transport`. `name` makes the Message-ID: a repetition is seen as one."""
        del name
        try:
            with self._connect() as server:
                server.send_message(message)
        except (OSError, smtplib.SMTPException) as error:
            # The server's words may hold the address.
            raise MailError(f"the mail server did not take a letter: {_what(error)}") from error

    def remove(self, name: str) -> None:
        """See `Transport`: nothing is kept here."""

    def _connect(self) -> smtplib.SMTP:
        context = ssl.create_default_context()
        if self.scheme == "smtps":
            server: smtplib.SMTP = smtplib.SMTP_SSL(
                self.host, self.port, timeout=_TIMEOUT_S, context=context
            )
        else:
            server = smtplib.SMTP(self.host, self.port, timeout=_TIMEOUT_S)
        try:
            if self.scheme == "smtp+starttls":
                server.starttls(context=context)
            if self.user:
                server.login(self.user, self.password)
        except BaseException:
            server.close()
            raise
        return server


def choose(folder: Path, environment: Mapping[str, str] = os.environ) -> Files | Smtp:
    """The transport that the environment names, else files in `folder`. Raises `UsageError`."""
    url = environment.get("TARE_SMTP_URL", "")
    if not url:
        return Files(folder)
    parts = urlsplit(url)
    try:
        port = parts.port or _PORTS[parts.scheme]
    except (KeyError, ValueError) as error:
        raise UsageError(
            "TARE_SMTP_URL is smtps://HOST, smtp+starttls://HOST or smtp://127.0.0.1"
        ) from error
    if not parts.hostname or parts.password is not None:
        raise UsageError("TARE_SMTP_URL names a host; the password is in TARE_SMTP_PASSWORD")
    if parts.scheme == "smtp" and not is_here(parts.hostname):
        raise UsageError("without TLS letters go to a mail server on this machine only")
    password = environment.get("TARE_SMTP_PASSWORD", "")
    return Smtp(parts.scheme, parts.hostname, port, unquote(parts.username or ""), password)


def is_here(host: str) -> bool:
    """Whether a host is this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _what(error: Exception) -> str:
    if isinstance(error, smtplib.SMTPResponseException):
        return f"{type(error).__name__} {error.smtp_code}"
    return type(error).__name__
