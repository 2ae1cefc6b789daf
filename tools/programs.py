"""Runs a program for one stated aim; when it fails, the error shows its last lines.

Standard library only: the setup needs it before anything is installed.
"""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from tools.errors import ToolError

_TAIL_LINES = 20


def run(
    command: Sequence[str],
    aim: str,
    *,
    error: type[ToolError],
    environment: Mapping[str, str],
    timeout_s: float | None = None,
    cwd: Path | None = None,
) -> str:
    """Runs `command` without input; what it printed. `aim` completes "could not ..."."""
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=environment,
            cwd=cwd,
            timeout=timeout_s,
            check=False,
        )
    except subprocess.TimeoutExpired as late:
        raise error(f"could not {aim} within {timeout_s:g} s") from late
    except OSError as failure:
        raise error(f"could not {aim}: {failure}") from failure
    if done.returncode:
        raise error(f"could not {aim}:\n{tail(done.stdout.splitlines())}")
    return done.stdout


def tail(lines: Sequence[str]) -> str:
    """The last lines of a program's output, indented to stand below a sentence."""
    return "\n".join(f"    {line}" for line in lines[-_TAIL_LINES:])
