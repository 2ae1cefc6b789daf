"""A person's postbox: a real SMTP server on loopback, or the folder of letters."""

from __future__ import annotations

import email
import re
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from typing import cast

from aiosmtpd.smtp import SMTP, Envelope, Session


class Postbox:
    """Takes what comes over SMTP; `refusing` answers for the time being."""

    def __init__(self) -> None:
        self.letters: list[EmailMessage] = []
        self.refusing = False

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802 # the library's name
        if self.refusing:
            return "451 4.3.0 not now"
        self.letters.append(parsed(cast("bytes", envelope.content)))
        return "250 OK"


def parsed(content: bytes) -> EmailMessage:
    message = email.message_from_bytes(content, policy=default)
    assert isinstance(message, EmailMessage)
    return message


def in_folder(folder: Path) -> list[EmailMessage]:
    """The letters that lie there as files, oldest first."""
    paths = sorted(folder.glob("*.eml"), key=lambda path: path.stat().st_mtime_ns)
    return [parsed(path.read_bytes()) for path in paths]


def link_in(message: EmailMessage) -> str:
    """The end of the one link in a letter."""
    [link] = re.findall(r"http\S+", message.get_content())
    return str(link.rpartition("/")[2])
