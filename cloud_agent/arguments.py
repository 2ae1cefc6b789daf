"""Reads what a request over the control socket brings: each raises `UsageError` by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from cloud_agent.errors import UsageError

Arguments = dict[str, Any]

_MOST_TEXT: Final = 10_000


def text(arguments: Arguments, name: str) -> str:
    """A text that is not empty."""
    value = optional_text(arguments, name)
    if not value:
        raise UsageError(f"{name} is missing")
    return value


def optional_text(arguments: Arguments, name: str) -> str | None:
    """A text of at most 10,000 characters that can be stored, or None where it is not given."""
    value = arguments.get(name)
    if value is None:
        return None
    # JSON can hold halves of a pair (Unicode, D71), which no encoding can.
    is_whole = isinstance(value, str) and not any("\ud800" <= one <= "\udfff" for one in value)
    if not isinstance(value, str) or not is_whole or "\0" in value or len(value) > _MOST_TEXT:
        raise UsageError(f"{name} is not text")
    return value


def octets(arguments: Arguments, name: str) -> bytes:
    """Bytes that travel as hex."""
    try:
        return bytes.fromhex(text(arguments, name))
    except ValueError as error:
        raise UsageError(f"{name} is not hexadecimal") from error


def files(arguments: Arguments, name: str) -> tuple[Path, ...]:
    """Files that are there; none where nothing is given."""
    given = arguments.get(name, [])
    if not isinstance(given, list):
        raise UsageError(f"{name} is a list of files")
    paths = tuple(Path(text({name: path}, name)) for path in given)
    for path in paths:
        try:
            is_file = path.is_file()
        except OSError as error:
            raise UsageError(f"cannot read {path}: {error.strerror}") from error
        if not is_file:
            raise UsageError(f"{path} is not a file")
    return paths
