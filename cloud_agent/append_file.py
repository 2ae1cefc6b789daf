"""A text file that only grows, line by line, each durable before anybody relies on it.

A last line without its newline is a write that was cut: nobody was told that it lasts, so it
is dropped when the file is opened.
"""

from __future__ import annotations

import os
from pathlib import Path

from cloud_agent.config import PRIVATE_FILE_MODE
from cloud_agent.errors import StorageError
from cloud_agent.files import sync_folder


class AppendFile:
    """The open file, made (0600) where there is none. Its caller sees to one writer at a time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._kept = _drop_torn_line(path)
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        self._descriptor = os.open(path, flags, PRIVATE_FILE_MODE)

    def take_lines(self) -> list[bytes]:
        """The lines that were there when it was opened, once: they are not kept here."""
        lines, self._kept = self._kept.splitlines(), b""
        return lines

    def append(self, lines: bytes) -> None:
        """Adds whole lines in one write. Raises `StorageError`; the file is as before then."""
        size = os.fstat(self._descriptor).st_size
        try:
            written = os.write(self._descriptor, lines)
            if written != len(lines):
                raise OSError(f"{written} of {len(lines)} bytes written")  # noqa: TRY301 # one way to undo
            os.fsync(self._descriptor)
            if size == 0:
                sync_folder(self._path.parent)
        except OSError as error:
            # Half a line must not stay in front of the next one.
            os.ftruncate(self._descriptor, size)
            raise StorageError(f"{self._path.name} cannot be written: {error}") from error

    def close(self) -> None:
        """Ends it; again is no error."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def _drop_torn_line(path: Path) -> bytes:
    """The complete lines of the file; what a cut left behind them is removed."""
    if not path.exists():
        return b""
    content = path.read_bytes()
    kept = content[: content.rfind(b"\n") + 1]
    if kept != content:
        with path.open("r+b") as stream:
            stream.truncate(len(kept))
            stream.flush()
            os.fsync(stream.fileno())
    return kept
