"""A program that fails, hangs or is not there becomes a sentence with its last words."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from tools import programs
from tools.errors import SetupError


def _run(code: str, timeout_s: float | None = None) -> str:
    command = [sys.executable, "-c", code]
    return programs.run(
        command, "count", error=SetupError, environment=os.environ, timeout_s=timeout_s
    )


def test_what_it_printed_comes_back() -> None:
    assert _run("import sys; print('out'); sys.stderr.write('err')").split() == ["out", "err"]


def test_a_failing_program_shows_its_last_lines() -> None:
    code = "import sys; [print('line', number) for number in range(60)]; sys.exit(3)"
    with pytest.raises(SetupError, match="could not count:\n") as failure:
        _run(code)
    assert str(failure.value).endswith("    line 59")
    assert "line 1\n" not in str(failure.value)


def test_a_program_that_hangs_is_ended() -> None:
    with pytest.raises(SetupError, match=r"could not count within 0\.5 s"):
        _run("import time; time.sleep(60)", timeout_s=0.5)


def test_a_program_that_is_not_there_is_no_traceback(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match=r"could not start: .*No such file"):
        programs.run([str(tmp_path / "none")], "start", error=SetupError, environment={})
