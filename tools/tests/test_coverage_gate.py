"""The coverage gate passes only when every branch was taken."""

from pathlib import Path

import pytest

from tools import coverage_gate

_MODULE = "def sign(number):\n    if number < 0:\n        return -1\n    return 1\n"


@pytest.mark.parametrize(("called", "passes"), [("(-1, 1)", True), ("(1,)", False)])
def test_gate_asks_for_every_branch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, called: str, *, passes: bool
) -> None:
    tests = tmp_path / "protocol" / "tests"
    tests.mkdir(parents=True)
    (tmp_path / "pyproject.toml").write_text("[tool.pytest.ini_options]\npythonpath = ['.']\n")
    (tmp_path / "protocol" / "__init__.py").write_text("")
    (tmp_path / "protocol" / "signs.py").write_text(_MODULE)
    (tests / "test_signs_both.py").write_text(
        f"from protocol import signs\n\n\ndef test_it():\n"
        f"    assert [signs.sign(n) for n in {called}][-1] == 1\n"
    )
    monkeypatch.setattr(coverage_gate, "ROOT", tmp_path)
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    assert (coverage_gate.main() == 0) == passes


def test_gate_fails_when_a_test_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tests = tmp_path / "protocol" / "tests"
    tests.mkdir(parents=True)
    (tests / "test_it_both.py").write_text("def test_it():\n    assert False\n")
    monkeypatch.setattr(coverage_gate, "ROOT", tmp_path)
    assert coverage_gate.main() != 0
