"""E-mail addresses as identifiers. Pure."""

from __future__ import annotations

import unicodedata
from typing import Final

from cloud_agent.errors import UsageError

_MAX_SIZE: Final = 254  # RFC 5321 4.5.3.1.3, less the angle brackets


def masked(address: str) -> str:
    """Enough to tell two people apart who are both known, and no address to write to."""
    local, _, domain = address.rpartition("@")
    return f"{local[:1]}…@{domain[:1]}….{domain.rpartition('.')[2]}"


def normalise(address: str) -> str:
    """One form for all spellings of an address: NFKC, no space around, no case.

    Raises `UsageError` for what cannot be an address. Only a message that arrives proves that
    it is one, so nothing more is asked of its form.
    """
    text = unicodedata.normalize("NFKC", address).strip().casefold()
    local, at, domain = text.rpartition("@")
    labels = domain.split(".")
    broken = (
        not at
        or not local
        or not all(labels)
        # Before it is encoded: half a character, as a wrong keyboard setting leaves it, cannot be.
        or any(character.isspace() or not character.isprintable() for character in text)
        or len(text.encode()) > _MAX_SIZE
    )
    if broken:
        raise UsageError("this is not an e-mail address")
    return text
