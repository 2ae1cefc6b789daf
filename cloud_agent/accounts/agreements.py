"""The texts that people agree to: read from `texts/`, named by version, proven by hash."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Final

from cloud_agent.errors import RefusedError

TERMS: Final = "terms"
HEALTH: Final = "health"
PARTNER: Final = "partner"

# The version of each that is in force. Older files stay: a hash must stay explainable.
_CURRENT: Final = {TERMS: "1", HEALTH: "1", PARTNER: "1"}


@dataclass(frozen=True, slots=True)
class Agreement:
    """One version of one text; `hash` is the SHA-256 of its UTF-8 bytes."""

    document: str
    version: str
    text: str
    hash: bytes


@cache
def current(document: str) -> Agreement:
    """The version in force of `TERMS`, `HEALTH` or `PARTNER`."""
    version = _CURRENT[document]
    folder = resources.files("cloud_agent.accounts") / "texts"
    content = (folder / f"{document}_{version}.txt").read_bytes()
    return Agreement(document, version, content.decode(), hashlib.sha256(content).digest())


def accepted(document: str, version: str) -> Agreement:
    """The text that was agreed to; raises `RefusedError` when it is not the one in force."""
    agreement = current(document)
    if version != agreement.version:
        raise RefusedError(
            f"the {document} text in force is version {agreement.version}, not {version!r}: "
            "read that one first"
        )
    return agreement
