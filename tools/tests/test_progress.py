"""Progress of long steps: plain lines in a log, one moving line on a terminal, else silence."""

import io
import time

import pytest

from tools import progress
from tools.progress import Step


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "_QUIET_S", 0.05)
    monkeypatch.setattr(progress, "_REFRESH_S", 0.02)


def test_a_step_that_is_over_at_once_says_nothing() -> None:
    log = io.StringIO()
    with Step("Looking", stream=log):
        pass
    assert log.getvalue() == ""


def test_in_a_log_a_long_step_is_two_lines() -> None:
    log = io.StringIO()
    with Step("Fetching", stream=log) as step:
        time.sleep(0.2)
        step("half")
    first, second = log.getvalue().splitlines()
    assert first == "- Fetching ..."
    assert second.startswith("- Fetching: done (")


def test_a_failed_step_says_so_and_the_error_goes_on() -> None:
    log = io.StringIO()

    def fetch() -> None:
        with Step("Fetching", stream=log):
            time.sleep(0.2)
            raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        fetch()
    assert "- Fetching: failed (" in log.getvalue()


def test_on_a_terminal_the_detail_moves_within_one_line() -> None:
    terminal = _Terminal()
    with Step("Fetching", stream=terminal) as step:
        step("3 of 7")
        time.sleep(0.3)
    assert "3 of 7" in terminal.getvalue()
    assert terminal.getvalue().count("\n") == 1
