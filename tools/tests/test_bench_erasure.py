"""The benchmark of an erasure runs, and proves what it erased. Its times are not tested here."""

from __future__ import annotations

import pytest

from tools.bench import erasure


def test_it_proves_what_it_erased(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TARE_BENCH_SMALL", "1")
    erasure.main()
    said = capsys.readouterr().out
    assert "10 accounts, 10000 readings" in said
    assert "proved in" in said
    assert said.rstrip().endswith(": proven")
