"""The key-encryption key on paper: four lines, each with a check of its own. Pure."""

from __future__ import annotations

import hashlib
from typing import Final

from cloud_agent.errors import UsageError
from cloud_agent.privacy.sealing import KEY_SIZE
from protocol import claim_code
from protocol.errors import MessageError

_PIECE: Final = 8
_LINES: Final = KEY_SIZE // _PIECE


def to_text(key: bytes) -> str:
    """The key as lines of four groups, numbered."""
    pieces = (key[start : start + _PIECE] for start in range(0, KEY_SIZE, _PIECE))
    return "\n".join(
        f"{number}  {claim_code.to_text(piece + _check(number, piece))}"
        for number, piece in enumerate(pieces, start=1)
    )


def from_text(text: str) -> bytes:
    """The key of a sheet that was typed. Raises `UsageError`, which names the line to look at."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if len(lines) != _LINES:
        raise UsageError(f"a recovery sheet has {_LINES} lines, and this has {len(lines)}")
    key = b""
    for number, line in enumerate(lines, start=1):
        typed = line.removeprefix(str(number)).strip()
        try:
            whole = claim_code.from_text(typed)
        except MessageError as error:
            raise UsageError(f"line {number} of the recovery sheet cannot be read") from error
        piece, check = whole[:_PIECE], whole[_PIECE:]
        if check != _check(number, piece):
            raise UsageError(f"line {number} of the recovery sheet has a mistake")
        key += piece
    return key


def _check(number: int, piece: bytes) -> bytes:
    return hashlib.sha256(bytes([number]) + piece).digest()[:2]
