"""Reads a letter that came by mail, whatever its sender made of it. Pure.

Nothing is opened and nothing rendered: of HTML the words are taken, attachments are counted.
The result says what a person wrote themselves; what they quote, forward or sign with is left
out, because an old request in it is none of today.
"""

from __future__ import annotations

import email
import hashlib
import re
from dataclasses import dataclass
from email.errors import MessageError
from email.headerregistry import AddressHeader
from email.message import EmailMessage
from email.policy import default
from html.parser import HTMLParser
from typing import Final

from cloud_agent.accounts import emails
from cloud_agent.errors import RefusedError, UsageError

MAX_SIZE: Final = 1024 * 1024
_MOST_PARTS: Final = 100
_MOST_TEXT: Final = 20_000
_MOST_TITLE: Final = 300


class LetterError(RefusedError):
    """This cannot be taken for a letter; the text says why, and quotes nothing of it."""

    kind = "letter"


@dataclass(frozen=True, slots=True)
class Incoming:
    """A letter. `text`: what its writer wrote, without what they quote. `automatic`: a program
    sent it, and it is never answered (RFC 3834). `digest`: SHA-256 of what names it: the same
    letter delivered twice has one.
    """

    sender: str  # normalised
    title: str
    text: str
    automatic: bool
    attachments: int
    results: tuple[str, ...]  # the Authentication-Results headers, topmost first
    digest: bytes


def parse(raw: bytes) -> Incoming:
    """Reads it. Raises `LetterError`: too long, no or several senders, no address."""
    if len(raw) > MAX_SIZE:
        raise LetterError("a letter is longer than 1 MiB")
    try:
        message = email.message_from_bytes(raw, policy=default)
    except (MessageError, ValueError, LookupError, RecursionError) as error:
        raise LetterError("a letter cannot be read") from error
    if not isinstance(message, EmailMessage):
        raise LetterError("a letter cannot be read")
    sender = _sender(message)
    written, attachments = _content(message)
    title = _one_line(_header(message, "Subject"))[:_MOST_TITLE]
    return Incoming(
        sender=sender,
        title=title,
        text=own_words(written)[:_MOST_TEXT],
        automatic=_is_automatic(message),
        attachments=attachments,
        results=tuple(_all(message, "Authentication-Results")),
        digest=_digest(message, raw),
    )


def own_words(text: str) -> str:
    """What the writer wrote: up to the first quotation, forwarded letter or signature."""
    kept: list[str] = []
    for line in text.replace("\r\n", "\n").splitlines():
        plain = line.strip()
        if plain.startswith(">"):
            continue
        if plain == "--" or line == "-- " or _QUOTES.match(plain):
            break
        kept.append(line.rstrip())
    return "\n".join(kept).strip()


# How programs announce what is not the writer's own, in English, French and German.
_QUOTES: Final = re.compile(
    r"(-{2,}\s*(original message|message d'origine|message transféré|forwarded message|"
    r"ursprüngliche nachricht)\s*-*"
    r"|_{10,}$"
    r"|begin forwarded message:|début du message (transféré|réexpédié)"
    r"|on .{4,100} wrote:$|le .{4,100} a écrit\s*:$|am .{4,100} schrieb.{0,100}:$)",
    re.IGNORECASE,
)


def _sender(message: EmailMessage) -> str:
    found = _all_headers(message, "From")
    if len(found) != 1:
        raise LetterError("a letter has one sender, and this has none or several")
    header = found[0]
    addresses = header.addresses if isinstance(header, AddressHeader) else ()
    if len(addresses) != 1:
        raise LetterError("a letter has one sender, and this has none or several")
    try:
        return emails.normalise(addresses[0].addr_spec)
    except UsageError as error:
        raise LetterError("the sender of a letter is no address") from error


def _content(message: EmailMessage) -> tuple[str, int]:
    """The text of a letter and the number of its attachments."""
    plain: list[str] = []
    html: list[str] = []
    attachments = 0
    parts = 0
    for part in message.walk():
        parts += 1
        if parts > _MOST_PARTS:
            raise LetterError("a letter has too many parts")
        if part.is_multipart():
            continue
        kind = part.get_content_type()
        if part.get_content_disposition() == "attachment" or not kind.startswith("text/"):
            attachments += 1
        elif kind == "text/plain":
            plain.append(_text_of(part))
        elif kind == "text/html":
            html.append(_words_of(_text_of(part)))
    return "\n".join(plain or html), attachments


def _text_of(part: object) -> str:
    if not isinstance(part, EmailMessage):
        return ""
    try:
        content = part.get_content()
    except (LookupError, ValueError, AssertionError, MessageError):
        # An unknown or false charset: whatever is letters in it.
        payload = part.get_payload(decode=True)
        return payload.decode("latin-1") if isinstance(payload, bytes) else ""
    return content if isinstance(content, str) else ""


class _Words(HTMLParser):
    """Takes the words that a reader would see."""

    _HIDDEN: Final = frozenset({"script", "style", "head", "title", "template", "blockquote"})
    _BREAKS: Final = frozenset({"p", "div", "br", "li", "tr", "h1", "h2", "h3", "table"})

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.words: list[str] = []
        self._hidden: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Hidden text is nobody's request."""
        style = (dict(attrs).get("style") or "").replace(" ", "").lower()
        invisible = "display:none" in style or "visibility:hidden" in style
        invisible = invisible or "font-size:0" in style
        if tag in self._HIDDEN or self._hidden or invisible:
            if tag not in _EMPTY:
                self._hidden.append(tag)
        elif tag in self._BREAKS:
            self.words.append("\n")

    def handle_endtag(self, tag: str) -> None:
        """The end of what was hidden; an end of nothing is nothing."""
        if tag in self._hidden:
            while self._hidden.pop() != tag:
                pass

    def handle_data(self, data: str) -> None:
        """Words."""
        if not self._hidden:
            self.words.append(data)


_EMPTY: Final = frozenset({"br", "hr", "img", "input", "meta", "link", "wbr", "area", "col"})


def _words_of(html: str) -> str:
    words = _Words()
    words.feed(html)
    words.close()
    lines = (" ".join(line.split()) for line in "".join(words.words).splitlines())
    return "\n".join(line for line in lines if line)


def _is_automatic(message: EmailMessage) -> bool:
    """RFC 3834, section 2, and what programs do in its place."""
    submitted = _header(message, "Auto-Submitted").partition(";")[0].strip().lower()
    if submitted not in {"", "no"}:
        return True
    if _header(message, "Precedence").strip().lower() in {"bulk", "list", "junk", "auto_reply"}:
        return True
    if any(message.get(name) is not None for name in _OF_PROGRAMS):
        return True
    path = message.get("Return-Path")
    if path is not None and str(path).strip() == "<>":
        return True
    sender = _header(message, "From").lower()
    return any(
        name in sender for name in ("mailer-daemon@", "postmaster@", "noreply@", "no-reply@")
    )


_PROGRAMS: Final = ("mailer-daemon@", "postmaster@", "noreply@", "no-reply@")
_OF_PROGRAMS: Final = ("List-Id", "List-Unsubscribe", "X-Auto-Response-Suppress", "X-Autoreply")


def _digest(message: EmailMessage, raw: bytes) -> bytes:
    """Of the Message-ID with the sender, or of all where there is none: the way of a letter adds
    lines in front of it.
    """
    number = _header(message, "Message-ID").strip()
    named = f"{_header(message, 'From')}\n{number}".encode(errors="replace") if number else raw
    return hashlib.sha256(named).digest()


def _header(message: EmailMessage, name: str) -> str:
    try:
        return str(message.get(name, ""))
    except (ValueError, LookupError, IndexError, AttributeError, TypeError):
        return ""  # the standard library fails on some that are malformed


def _all_headers(message: EmailMessage, name: str) -> list[object]:
    try:
        return list(message.get_all(name, []))
    except (ValueError, LookupError, IndexError, AttributeError, TypeError) as error:
        raise LetterError("the head of a letter cannot be read") from error


def _all(message: EmailMessage, name: str) -> list[str]:
    return [str(each) for each in _all_headers(message, name)]


def _one_line(text: str) -> str:
    return " ".join("".join(one if one.isprintable() else " " for one in text).split())
