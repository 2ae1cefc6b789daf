"""The rig board with a flash that outlives its power, behind a serial port: for what flashes it.

`qemu.py` is for programs and counts; here nobody but the port's user speaks to the board, and the
power is cut by SIGKILL.
"""

from __future__ import annotations

import re
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from hil_tests.board import qemu
from hil_tests.board.errors import BoardError
from hil_tests.board.image import Image

_PORT = re.compile(rb"char device redirected to (\S+) ")
_START_TIMEOUT_S = 30.0
_ERASED = b"\xff"


class SerialBoard:
    """One powered board; `flash` is the file of its external memory, made (erased) when missing."""

    def __init__(self, image: Image, flash: Path) -> None:
        self._image = image
        self._flash = flash
        self.port = ""

    def kill(self) -> None:
        """A power cut, at whatever the board was doing."""
        with self._process:  # closes its pipe, and waits
            self._process.kill()

    def __enter__(self) -> Self:
        if not self._flash.exists():
            self._flash.write_bytes(_ERASED * qemu.FLASH_SIZE)
        self._process = subprocess.Popen(
            qemu.command(self._image.firmware, self._flash, serial="pty"),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        self.port = self._read_port()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.kill()

    def _read_port(self) -> str:
        assert self._process.stdout is not None
        said = b""
        deadline_s = time.monotonic() + _START_TIMEOUT_S
        while time.monotonic() < deadline_s:
            line = self._process.stdout.readline()
            said += line
            found = _PORT.search(line)
            if found:
                return found[1].decode()
            if not line:
                break
        self.kill()
        raise BoardError(f"the emulator names no serial port: {said.decode(errors='replace')}")
