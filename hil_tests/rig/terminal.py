"""A program on a terminal of its own, and a person who reads and types."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import selectors
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from hil_tests.rig.waiting import RigTimeoutError

# Passwords are asked for on the controlling terminal, which a new session does not have yet.
_TAKE_TERMINAL = (
    "import fcntl, os, sys, termios;"
    "fcntl.ioctl(0, termios.TIOCSCTTY, 0);"
    "os.execvp(sys.argv[1], sys.argv[1:])"
)
_ESCAPES = re.compile(r"\x1b(\[[0-9;?]*[A-Za-z]|\][^\x07]*\x07|[()][A-Z0-9])")
# A person waits until nothing more is printed before answering.
_QUIET_S = 0.15
_CHUNK = 65536


class Terminal:
    """Runs `command`; everything that it prints is kept in `text`."""

    def __init__(self, command: Sequence[str], folder: Path) -> None:
        self.command = tuple(command)
        self.text = ""
        self._seen = 0
        self._master, slave = pty.openpty()
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-c", _TAKE_TERMINAL, *command],
                stdin=slave,
                stdout=slave,
                stderr=slave,
                cwd=folder,
                env={**os.environ, "TERM": "dumb", "NO_COLOR": "1", "COLUMNS": "200"},
                start_new_session=True,
            )
        finally:
            os.close(slave)
        os.set_blocking(self._master, False)

    def type(self, text: str) -> None:
        """Types a line. What was printed before is not looked at again."""
        self._seen = len(self.text)
        os.write(self._master, text.encode() + b"\n")

    def interrupt(self) -> None:
        """Presses Ctrl-C."""
        os.write(self._master, b"\x03")

    def end_input(self) -> None:
        """Presses Ctrl-D."""
        os.write(self._master, b"\x04")

    def expect(self, pattern: str, timeout_s: float) -> re.Match[str]:
        """Waits for text that was not looked at before. Raises RigTimeoutError."""
        deadline_s = time.monotonic() + timeout_s
        while True:
            found = re.search(pattern, self.text[self._seen :])
            if found:
                self._seen += found.end()
                return found
            if not self._read(0.1) and self._process.poll() is not None:
                raise RigTimeoutError(f"{self._name} ended without {pattern!r}:\n{self.text}")
            if time.monotonic() > deadline_s:
                raise RigTimeoutError(f"{self._name} did not print {pattern!r}:\n{self.text}")

    def answer(self, answers: Sequence[tuple[str, str]], timeout_s: float) -> int:
        """Answers each question by the first pattern in it, until the program ends; its code."""
        deadline_s = time.monotonic() + timeout_s
        while self._process.poll() is None:
            if time.monotonic() > deadline_s:
                raise RigTimeoutError(f"{self._name} did not end:\n{self.text}")
            if self._read(_QUIET_S):
                continue
            question = self.text[self._seen :].rpartition("\n")[2]
            reply = next((text for ask, text in answers if re.search(ask, question)), None)
            if reply is not None:
                self.type(reply)
        while self._read(_QUIET_S):
            pass
        return self._process.returncode

    def close(self) -> None:
        """Ends the program."""
        self._process.terminate()
        try:
            # A terminal that nobody reads would stop what it still has to say.
            deadline_s = time.monotonic() + 15
            while self._process.poll() is None and time.monotonic() < deadline_s:
                self._read(0.1)
        finally:
            self._process.kill()
            self._process.wait()
            os.close(self._master)

    @property
    def _name(self) -> str:
        return " ".join(self.command)

    def _read(self, wait_s: float) -> bool:
        """Takes what is printed within `wait_s`; whether there was anything."""
        with selectors.DefaultSelector() as selector:
            selector.register(self._master, selectors.EVENT_READ)
            if not selector.select(wait_s):
                return False
        chunk = b""
        # The kernel says EIO when the program's side is closed.
        with contextlib.suppress(OSError):
            chunk = os.read(self._master, _CHUNK)
        if not chunk:
            time.sleep(_QUIET_S)
            return False
        self.text += _ESCAPES.sub("", chunk.decode(errors="replace")).replace("\r", "")
        return True
