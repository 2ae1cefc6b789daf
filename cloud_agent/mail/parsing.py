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
from itertools import zip_longest
from typing import Final

from cloud_agent.accounts import emails
from cloud_agent.errors import RefusedError, UsageError

MAX_SIZE: Final = 1024 * 1024
_MOST_PARTS: Final = 100
_MOST_TEXT: Final = 20_000
_MOST_TITLE: Final = 300
# A line of a head has at most 998 characters (RFC 5322, 2.1.1). The standard library takes time
# that grows with the square of a header that it reads.
_MOST_HEADER: Final = 998


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
    """Reads it. Raises `LetterError`: too long, no or several senders, no address, or a head that
    nobody means to be read.
    """
    if len(raw) > MAX_SIZE:
        raise LetterError("a letter is longer than 1 MiB")
    _check_headers(raw)
    try:
        message = email.message_from_bytes(raw, policy=default)
        if not isinstance(message, EmailMessage):
            raise LetterError("a letter cannot be read")  # one answer for all
        return _read(message, raw)
    except _UNREADABLE as error:
        raise LetterError("a letter cannot be read") from error


# What the standard library raises for heads and bodies that are malformed.
_UNREADABLE: Final = (
    MessageError,
    ValueError,
    LookupError,
    AttributeError,
    TypeError,
    AssertionError,
    RecursionError,
)
_HEADER: Final = rb"[ \t]*:((?:[^\n]*\n[ \t])*[^\n]*)"
_OF_HEAD: Final = re.compile(
    rb"(?im)^(?:from|subject|message-id|return-path|auto-submitted|precedence)" + _HEADER
)
_OF_PART: Final = re.compile(rb"(?im)^content-[a-z-]+" + _HEADER)


def _check_headers(raw: bytes) -> None:
    text = raw.replace(b"\r\n", b"\n").replace(b"\r", b"\n")  # the reader takes each for an end
    head = text.partition(b"\n\n")[0]
    for rule, where in ((_OF_HEAD, head), (_OF_PART, text)):
        if any(len(found.group(1)) > _MOST_HEADER for found in rule.finditer(where)):
            raise LetterError("a header of a letter is too long")


def _read(message: EmailMessage, raw: bytes) -> Incoming:
    sender = _sender(message)
    written, attachments = _content(message)
    title = _one_line(_header(message, "Subject"))[:_MOST_TITLE]
    return Incoming(
        sender=sender,
        title=title,
        text=own_words(written)[:_MOST_TEXT],
        automatic=_is_automatic(message),
        attachments=attachments,
        results=tuple(_as_it_came(message, "authentication-results")),
        digest=_digest(message, raw),
    )


def own_words(text: str) -> str:
    """What the writer wrote: up to the first quotation, forwarded letter or signature."""
    kept: list[str] = []
    lines = text.replace("\r\n", "\n").splitlines()
    for line, following in zip_longest(lines, lines[1:], fillvalue=""):
        plain, after = line.strip()[:_MOST_HEADER], following.strip()[:_MOST_HEADER]
        if plain.startswith(">"):
            continue
        # A program may have broken its announcement in two, or written a head in its place.
        if plain == "--" or _QUOTES.match(plain) or _QUOTES.match(f"{plain} {after}"):
            break
        if _HEAD_BEGINS.match(plain) and _HEAD_GOES_ON.match(after):
            break
        kept.append(line.rstrip())
    return "\n".join(kept).strip()


# How programs announce what is not the writer's own, in English, French and German.
_QUOTES: Final = re.compile(
    r"(-{2,}\s*(original message|message d'origine|message original|mail original|"
    r"message transféré|forwarded message|ursprüngliche nachricht)\s*-*"
    r"|_{10,}$"
    r"|begin forwarded message:|début du message (transféré|réexpédié)"
    r"|on .{4,100} wrote:$|le .{4,100} a écrit\s*:$|am .{4,100} schrieb.{0,100}:$)",
    re.IGNORECASE,
)


_HEAD_BEGINS: Final = re.compile(r"\*?(from|de|von)\s*:", re.IGNORECASE)
_HEAD_GOES_ON: Final = re.compile(
    r"\*?(sent|date|to|subject|envoyé|à|objet|gesendet|an|betreff)\s*:", re.IGNORECASE
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
    waiting: list[object] = [message]
    while waiting:
        part = waiting.pop(0)
        parts += 1
        if parts > _MOST_PARTS:
            raise LetterError("a letter has too many parts")
        if not isinstance(part, EmailMessage):
            continue
        kind = part.get_content_type()
        if kind.startswith("multipart/"):
            inside = part.get_payload()
            waiting = [*(inside if isinstance(inside, list) else ()), *waiting]
        elif part.get_filename() or part.get_content_disposition() == "attachment":
            attachments += 1
        elif not kind.startswith("text/"):
            attachments += 1  # another letter inside this one is not its writer's own words
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
    _BREAKS: Final = frozenset({"p", "div", "br", "li", "tr", "td", "h1", "h2", "h3", "table"})
    _INVISIBLE: Final = ("display:none", "visibility:hidden", "font-size:0", "opacity:0")
    _QUOTING: Final = ("gmail_quote", "divrplyfwdmsg", "yahoo_quoted", "moz-cite-prefix")

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.words: list[str] = []
        self._hidden: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Hidden text is nobody's request."""
        if tag == "body":
            self._hidden.clear()  # a head whose end is missing
        if tag in self._HIDDEN or self._hidden or self._is_hidden(dict(attrs)):
            if tag not in _EMPTY:
                self._hidden.append(tag)
        elif tag in self._BREAKS:
            self.words.append("\n")

    def _is_hidden(self, attributes: dict[str, str | None]) -> bool:
        style = (attributes.get("style") or "").replace(" ", "").lower()
        names = f"{attributes.get('class') or ''} {attributes.get('id') or ''}".lower()
        return (
            "hidden" in attributes
            or "max-height:0" in style
            or any(each in style for each in self._INVISIBLE)
            or any(each in names for each in self._QUOTING)
        )

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
    if any(name.lower() in _OF_PROGRAMS for name, _ in message.raw_items()):
        return True
    if any(path.strip() == "<>" for path in _as_it_came(message, "return-path")):
        return True
    return _sender(message).partition("@")[0] in _PROGRAMS


_PROGRAMS: Final = frozenset({"mailer-daemon", "postmaster", "noreply", "no-reply"})
_OF_PROGRAMS: Final = frozenset(
    {"list-id", "list-unsubscribe", "x-auto-response-suppress", "x-autoreply"}
)


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
    except _UNREADABLE:
        return ""


def _all_headers(message: EmailMessage, name: str) -> list[object]:
    return list(message.get_all(name, []))


def _as_it_came(message: EmailMessage, name: str) -> list[str]:
    """The headers of a name, not decoded: what looks like their syntax must be theirs."""
    return [
        "".join(str(value).splitlines())
        for found, value in message.raw_items()
        if found.lower() == name
    ]


def _one_line(text: str) -> str:
    return " ".join("".join(one if one.isprintable() else " " for one in text).split())
