"""Small files whose loss or leak would matter: written once, private, durable."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from cloud_agent.config import PRIVATE_FILE_MODE


def sync_folder(folder: Path) -> None:
    """Makes names created or removed in `folder` durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_private(path: Path, content: bytes, *, replace: bool) -> None:
    """Writes a 0600 file so that a cut leaves all of it or nothing.

    Raises FileExistsError when the file is there and `replace` is false.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    try:
        with os.fdopen(os.open(temporary, flags, PRIVATE_FILE_MODE), "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        if replace:
            temporary.replace(path)
        else:
            os.link(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    sync_folder(path.parent)


def remove_durably(path: Path) -> None:
    """Removes a file, if it is there, and makes that last."""
    path.unlink(missing_ok=True)
    if path.parent.is_dir():
        sync_folder(path.parent)
