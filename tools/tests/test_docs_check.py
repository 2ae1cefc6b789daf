"""The check of pages finds each kind of mistake that it is for, and passes what is right."""

from pathlib import Path

import pytest

from tools import docs_check


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A project with its five pages."""
    for name in ("", "protocol", "firmware", "cloud_agent", "tools"):
        (tmp_path / name).mkdir(exist_ok=True)
        (tmp_path / name / "README.md").write_text("# Page\n")
    return tmp_path


def _problems(root: Path, text: str) -> list[str]:
    (root / "README.md").write_text(text)
    return docs_check.problems(root)


def test_right_pages_pass(root: Path) -> None:
    text = """
[tools](tools/README.md), [above](#top), [a site](https://example.org/x), `tools/README.md`

```
python3 tools/dev.py demo --keep  # plays on
python3 tools/dev.py test -- -k name --lf
```
Run `python3 tools/dev.py device --flash FILE`; `tools/dev.py` alone is prose, and tare is a word.
"""
    (root / "tools" / "dev.py").touch()
    assert _problems(root, text) == []


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[x](gone.md)", "README.md:1: the link to gone.md leads nowhere"),
        ("see `tools/gone.py`", "README.md:1: there is no tools/gone.py"),
        ("`python3 tools/dev.py nonsense`", "README.md:1: dev.py has no command nonsense"),
        ("python3 tools/dev.py demo --fast", "README.md:1: dev.py demo has no option --fast"),
    ],
)
def test_a_mistake_is_named_with_its_place(root: Path, text: str, problem: str) -> None:
    assert _problems(root, text) == [problem]


def test_a_package_without_a_page_is_named(root: Path) -> None:
    (root / "firmware" / "README.md").unlink()
    (found,) = docs_check.problems(root)
    assert found.startswith("firmware/README.md: missing")
