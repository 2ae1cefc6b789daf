"""The key-encryption key: one file, 0600, outside all backups.

It is made once, together with an empty key database; where keys exist and the file does not,
making a new one would only hide the loss, so that is refused.
"""

from __future__ import annotations

import secrets
import stat
from pathlib import Path
from typing import Final

from cloud_agent.errors import KeyEncryptionKeyError
from cloud_agent.files import remove_durably, write_private
from cloud_agent.privacy.sealing import KEY_SIZE

_LABEL: Final = "tare key-encryption key 1: "


def load_or_create(path: Path, *, may_create: bool) -> bytes:
    """The 32-byte key. Raises `KeyEncryptionKeyError` when it is missing, damaged or exposed."""
    for left_over in path.parent.glob(f".{path.name}.*"):
        # A cut while it was made: a copy that no list of files to leave out of a backup names.
        remove_durably(left_over)
    if not path.exists():
        if not may_create:
            raise KeyEncryptionKeyError(
                f"{path.name} is missing, but keys wrapped by it exist: put it back from where "
                "it is kept; without it no stored reading can be read"
            )
        write(path, secrets.token_bytes(KEY_SIZE))
    return read(path)


def read(path: Path) -> bytes:
    """The key in a file. Raises `KeyEncryptionKeyError` when it is damaged or exposed."""
    if stat.S_IMODE(path.stat().st_mode) & 0o077:
        raise KeyEncryptionKeyError(f"{path.name} can be read by others: chmod 600 it")
    return _parse(path.name, path.read_bytes())


def write(path: Path, key: bytes) -> None:
    """Writes a key as a file that `load_or_create` reads."""
    write_private(path, f"{_LABEL}{key.hex()}\n".encode(), replace=False)


def _parse(name: str, content: bytes) -> bytes:
    text = content.decode("ascii", errors="replace").strip()
    try:
        key = bytes.fromhex(text.removeprefix(_LABEL))
    except ValueError:
        key = b""
    if not text.startswith(_LABEL) or len(key) != KEY_SIZE:
        raise KeyEncryptionKeyError(f"{name} is damaged")
    return key
