"""100 % branch coverage of `protocol` on CPython, or a list of what is not covered.

Only the tests that run on both runtimes count: they are quick, and what they cover is covered on
the device as well. Use: `python -m tools.coverage_gate`; returns 0 when every branch is covered.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from tools.environment import ROOT

_PACKAGE = "protocol"


def main() -> int:
    """Runs the tests under coverage; the exit code of the first step that fails, else 0."""
    tests = sorted(str(path) for path in (ROOT / _PACKAGE / "tests").glob("test_*_both.py"))
    with tempfile.TemporaryDirectory() as folder:
        data = f"--data-file={Path(folder) / 'coverage'}"
        options = ["--branch", f"--source={_PACKAGE}", f"--omit={_PACKAGE}/tests/*"]
        # MicroPython's half of each file is measured by nobody and would only take time.
        pytest = ["-m", "pytest", "-q", "-k", "not micropython", "-p", "no:cacheprovider"]
        code = _coverage("run", data, *options, *pytest, *tests)
        if code:
            return code
        return _coverage("report", data, "--show-missing", "--skip-covered", "--fail-under=100")


def _coverage(*arguments: str) -> int:
    command = [sys.executable, "-m", "coverage", *arguments]
    return subprocess.run(command, cwd=ROOT, check=False).returncode


if __name__ == "__main__":
    raise SystemExit(main())
