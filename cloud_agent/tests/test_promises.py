"""Each promise names a test that is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
PAGE = TESTS.parent / "PROMISES.md"


def _rows() -> list[tuple[str, str]]:
    lines = [line for line in PAGE.read_text().splitlines() if line.startswith("| ")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return [(row[0], row[2]) for row in cells if row[2] not in {"shown by", "---"}]


@pytest.mark.parametrize(("promise", "shown"), _rows())
def test_what_shows_it_is_there(promise: str, shown: str) -> None:
    if shown == "not built":
        return
    names = re.findall(r"`([^`]+)`", shown)
    assert names, promise
    for name in names:
        file, _, inside = name.partition("::")
        text = (TESTS / file).read_text()
        assert re.search(r"def test_|^Test\w+ = ", text, re.MULTILINE), name
        if inside:
            assert re.search(rf"(class|def) {re.escape(inside)}\b", text), name


def test_every_promise_and_every_duty_is_on_the_page() -> None:
    rows = [promise for promise, _ in _rows()]
    assert len(rows) == len(set(rows)) >= 30
