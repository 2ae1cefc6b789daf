"""A program of the cloud in a process of its own, with everything that it says kept in a file."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

_STOP_S = 15


class Process:
    """Starts and ends one program; its log file goes on over restarts."""

    def __init__(
        self, command: Sequence[str], log: Path, *, environment: Mapping[str, str] | None = None
    ) -> None:
        self.log = log
        self._command = tuple(command)
        self._environment = {**os.environ, **(environment or {})}
        self._process: subprocess.Popen[bytes] | None = None
        self._started_at = 0

    @property
    def running(self) -> bool:
        """Whether it was started and has not ended."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int | None:
        """Its process id; None before it was started."""
        return None if self._process is None else self._process.pid

    @property
    def exit_code(self) -> int | None:
        """The code it ended with; None while it runs."""
        return None if self._process is None else self._process.poll()

    def start(self, first_line: bytes = b"") -> None:
        """Starts it; what `first_line` says goes to its standard input, which stays open."""
        if self.running:
            raise RuntimeError("the process runs already")
        self._started_at = self.log.stat().st_size if self.log.exists() else 0
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self._environment,
                # Ctrl-C ends the tests, which then end this in order.
                start_new_session=True,
            )
        if first_line and self._process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.write(first_line)
                self._process.stdin.flush()

    def kill(self) -> None:
        """Kill -9: nothing is finished."""
        if self._process is not None:
            self._process.kill()
            self._wait()

    def stop(self) -> int | None:
        """Ends it in order, by force when it does not obey; the exit code."""
        if self._process is None:
            return None
        self._process.terminate()
        try:
            return self._wait()
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._wait()
            raise

    def said(self) -> str:
        """Everything that it has said since it was last started."""
        if not self.log.exists():
            return ""
        with self.log.open("rb") as log:
            log.seek(self._started_at)
            return log.read().decode(errors="replace")

    def _wait(self) -> int | None:
        process = self._process
        if process is None:
            return None
        code = process.wait(_STOP_S)
        if process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                process.stdin.close()
        return code
