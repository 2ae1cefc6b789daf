"""One MicroPython process that runs the test functions of one file, for the pytest plugin.

Knows nothing of pytest: it starts the process, asks for one test at a time, and tells what came
of it, also when the process died or did not answer in time.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import selectors
import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
#: Generous, because a full collection of garbage costs more than memory does on a desktop.
_HEAP = "32m"
_FRAME = re.compile(r'^  File "(?P<file>[^"]+)", line (?P<line>\d+), in ')
_RUNNER = "tools/mp_runner.py"


class Outcome(Enum):
    """What came of one test function."""

    PASSED = auto()
    FAILED = auto()
    SKIPPED = auto()
    DIED = auto()
    TIMED_OUT = auto()


@dataclass(frozen=True)
class Result:
    """`text` is what the test printed, with the traceback of a failure; `reason` one line."""

    outcome: Outcome
    text: str
    reason: str = ""


class MicroPythonProcess:
    """Runs tests of one file; starts a fresh process when there is none (any more)."""

    def __init__(
        self, *, interpreter: Sequence[str], file: Path, environment: dict[str, str]
    ) -> None:
        self._mark = f"\x1e{secrets.token_hex(8)}"
        path = [".frozen", str(ROOT), str(ROOT / "firmware"), str(file.parent)]
        self._environment = {**environment, "MICROPYPATH": ":".join(path)}
        start = f"from tools import mp_runner; mp_runner.main({file.stem!r}, {self._mark!r})"
        self._command = [*interpreter, "-X", f"heapsize={_HEAP}", "-c", start]
        self._process: subprocess.Popen[bytes] | None = None

    def run(self, test: str, *, timeout_s: float) -> Result:
        """Runs one test function by name."""
        process = self._started()
        try:
            return self._run(process, test, timeout_s)
        except BaseException:  # an interrupt must not leave a test running behind our back
            self.close()
            raise

    def close(self) -> None:
        """Ends the process, if there is one."""
        process, self._process = self._process, None
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                cwd=ROOT,
                env=self._environment,
                start_new_session=True,
            )
        return self._process

    def _run(self, process: subprocess.Popen[bytes], test: str, timeout_s: float) -> Result:
        with contextlib.suppress(BrokenPipeError):
            os.write(_fd(process.stdin), f"{test}\n".encode())
        seen, ended = self._read(process, time.monotonic() + timeout_s)
        text, mark, answer = seen.decode(errors="replace").partition(f"\n{self._mark} ")
        if mark:
            word, _, reason = answer.strip().partition(" ")
            return Result(Outcome[word.upper()], with_source(text), reason)
        if ended:
            code = process.wait()
            self.close()
            return Result(Outcome.DIED, text, f"MicroPython {_ending(code)} during {test}")
        self.close()
        return Result(Outcome.TIMED_OUT, text, f"{test} did not end within {timeout_s:g} s")

    def _read(self, process: subprocess.Popen[bytes], deadline_s: float) -> tuple[bytes, bool]:
        """Reads up to the line with the mark: what was seen, and whether the process ended."""
        mark = f"\n{self._mark} ".encode()
        seen = bytearray()
        stdout = _fd(process.stdout)
        with selectors.DefaultSelector() as selector:
            selector.register(stdout, selectors.EVENT_READ)
            while not (seen.endswith(b"\n") and mark in seen):
                left_s = deadline_s - time.monotonic()
                if left_s <= 0 or not selector.select(left_s):
                    return bytes(seen), False
                chunk = os.read(stdout, 65536)
                if not chunk:
                    return bytes(seen), True
                seen += chunk
        return bytes(seen), False


def with_source(text: str) -> str:
    """Adds to each line of a MicroPython traceback the source line that it names.

    The frames of our own runner say nothing about a test and are left out.
    """
    lines = []
    for line in text.splitlines():
        frame = _FRAME.match(line)
        if frame is not None and frame["file"].endswith(_RUNNER):
            continue
        lines.append(line)
        if frame is not None:
            lines += _source_line(Path(frame["file"]), int(frame["line"]))
    return "\n".join(lines)


def _source_line(file: Path, number: int) -> list[str]:
    try:
        return [f"    {file.read_text().splitlines()[number - 1].strip()}"]
    except (OSError, IndexError, UnicodeDecodeError):
        return []


def _ending(code: int) -> str:
    if code < 0:
        return f"was ended by {signal.Signals(-code).name}"
    return f"exited with code {code}"


def _fd(stream: object) -> int:
    fileno = getattr(stream, "fileno", None)
    if fileno is None:
        raise ValueError("the process has no such pipe")
    number: int = fileno()
    return number
