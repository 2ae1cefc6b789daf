"""The flash file of a virtual scale: made when missing, and held by one scale at a time.

Touches that one file. The lock is the kernel's (flock), so it ends with its last holder however
that ends, and leaves nothing behind.
"""

from __future__ import annotations

import fcntl
import os
import stat
import time
from pathlib import Path

from tools.errors import FlashFileError, FlashInUseError

#: What `firmware/boards/unix/board.py` takes for its flash.
SIZE = 1 << 20
_ERASED = b"\xff"
_MODE = 0o600
#: The firmware outlives a killed host by a moment, and holds the lock until it has ended.
_PATIENCE_S = 2.0
_POLL_S = 0.05


def hold(path: Path) -> int:
    """Opens the flash and locks it; whoever has the descriptor, or inherits it, has the lock."""
    try:
        # Not to wait for the other end, should it be a pipe. Keys are in it: for its owner only.
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NONBLOCK, _MODE)
    except IsADirectoryError:
        raise _not_a_flash(path) from None
    except OSError as error:
        raise FlashFileError(f"{path} cannot be opened: {error.strerror}") from None
    try:
        _lock(descriptor, path)
        _check_or_make(descriptor, path)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _lock(descriptor: int, path: Path) -> None:
    deadline_s = time.monotonic() + _PATIENCE_S
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline_s:
                raise FlashInUseError(f"{path} is in use by another virtual scale") from None
            time.sleep(_POLL_S)
        else:
            return


def _check_or_make(descriptor: int, path: Path) -> None:
    state = os.fstat(descriptor)
    if not stat.S_ISREG(state.st_mode):
        raise _not_a_flash(path)
    if state.st_size == SIZE:
        return
    # Shorter and erased is new, or was being made when its maker was killed.
    content = os.pread(descriptor, SIZE + 1, 0)
    if len(content) > SIZE or content.strip(_ERASED):
        raise _not_a_flash(path)
    try:
        os.pwrite(descriptor, _ERASED * SIZE, 0)
    except OSError as error:
        raise FlashFileError(f"{path} cannot be written: {error.strerror}") from None


def _not_a_flash(path: Path) -> FlashFileError:
    return FlashFileError(
        f"{path} is not the flash of a virtual scale (1 MiB): choose another name"
    )
