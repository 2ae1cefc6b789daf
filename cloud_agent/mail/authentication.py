"""What our own mail server found about a letter's sender. A score: it proves nobody. Pure.

Only the `Authentication-Results` header (RFC 8601) that names our own server counts, and of
those the topmost: anybody can write one further down. Only DMARC counts, because it alone says
that what was signed belongs to the address that a person sees.
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
    """`results`: headers, topmost first. `our_server`: the authserv-id that ours writes."""
    for header in results:
        text = _without_comments(header[:_MOST])
        name, _, rest = text.partition(";")
        if not name.split() or name.split()[0].strip('"').lower() != our_server.lower():
            continue
        return _of_ours(rest, sender.rpartition("@")[2].lower())
    return Score.NOT_CHECKED


def _of_ours(methods: str, domain: str) -> Score:
    for each in methods.split(";"):
        result = _DMARC.match(each.strip())
        if result is None:
            continue
        stated = _HEADER_FROM.search(each)
        same = stated is None or stated.group(1).strip('"').lower() == domain
        passed = result.group(1).lower() == "pass" and same
        return Score.ALIGNED if passed else Score.NOT_ALIGNED
    return Score.NOT_CHECKED


def _without_comments(text: str) -> str:
    """Without what stands in brackets, also nested, which may hold anything."""
    kept = []
    depth = 0
    for one in text:
        if one == "(":
            depth += 1
        elif one == ")" and depth:
            depth -= 1
        elif not depth:
            kept.append(one)
    return "".join(kept)


_DMARC: Final = re.compile(r"dmarc\s*=\s*([a-z]+)", re.IGNORECASE)
_HEADER_FROM: Final = re.compile(r"header\.from\s*=\s*([^\s;]+)", re.IGNORECASE)
