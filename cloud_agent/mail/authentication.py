"""What our own mail server found about a letter's sender. A score: it proves nobody. Pure.

Only the `Authentication-Results` header (RFC 8601) that names our own server counts, and of
those the topmost: anybody can write one further down, and our server has to remove those that
name it (RFC 8601, section 5). Only DMARC counts, because it alone says that what was signed
belongs to the address that a person sees, and only with the domain that it was found for.

Our server's header repeats what the sender said (addresses, reasons), in quotes and in comments:
what stands there is text, whatever it looks like.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import StrEnum
from typing import Final

_MOST: Final = 4_000


class Score(StrEnum):
    """How far a letter comes from where it says."""

    ALIGNED = "aligned"
    NOT_ALIGNED = "not-aligned"
    NOT_CHECKED = "not-checked"


def score(results: Sequence[str], our_server: str, sender: str) -> Score:
    """`results`: headers as they came, not decoded, topmost first. `our_server`: the authserv-id
    that ours writes. One of ours that cannot be read to its end checks nothing.
    """
    for header in results:
        parts, is_whole = _parts(header[:_MOST])
        if not parts or _server(parts[0]) != our_server.lower():
            continue
        if not is_whole or len(header) > _MOST:
            return Score.NOT_CHECKED
        return _of_ours(parts[1:], _domain(sender.rpartition("@")[2]))
    return Score.NOT_CHECKED


def _server(part: str) -> str:
    """The name in front of a header, without the version that may follow."""
    return part.split(maxsplit=1)[0].lower() if part.split() else ""


def _of_ours(methods: Sequence[str], domain: str) -> Score:
    found = [(each, result) for each in methods if (result := _DMARC.match(each.strip()))]
    if not found:
        return Score.NOT_CHECKED
    for each, result in found:
        stated = {_domain(name) for name in _HEADER_FROM.findall(each)}
        if result.group(1).lower() != "pass" or stated != {domain}:
            return Score.NOT_ALIGNED
    return Score.ALIGNED


def _domain(name: str) -> str:
    """One form for both spellings of a domain with letters beyond ASCII."""
    try:
        return name.encode("idna").decode("ascii").lower()
    except UnicodeError:
        return name.lower()


def _parts(text: str) -> tuple[list[str], bool]:
    """What stands between semicolons, without comments; False where one of them has no end."""
    parts = [""]
    depth = 0
    for found in _PIECE.finditer(text):
        piece = found.group()
        if piece == "(":
            depth += 1
        elif piece == ")" and depth:
            depth -= 1
        elif depth:
            continue  # what is quoted or escaped in a comment ends none
        elif piece == ";":
            parts.append("")
        elif piece == '"':
            return parts, False
        elif piece.startswith('"'):
            # Of quoted text only a plain name can be a value that is looked for.
            parts[-1] += piece[1:-1] if _PLAIN.fullmatch(piece[1:-1]) else "?"
        else:
            parts[-1] += piece
    return parts, depth == 0


# Quotes mean nothing in a comment; a quotation ends in its own header only.
_PIECE: Final = re.compile(r'"(?:[^"\\]|\\.)*"|\\.|.', re.DOTALL)
_PLAIN: Final = re.compile(r"[\w.@-]+")
_DMARC: Final = re.compile(r"dmarc(?:\s*/\s*\d+)?\s*=\s*([a-z]+)(?:\s|$)", re.IGNORECASE)
_HEADER_FROM: Final = re.compile(r"(?:^|\s)header\.from\s*=\s*(\S+)", re.IGNORECASE)
