"""Checks the pages against the project: links lead somewhere, and commands shown exist.

Run as `python -m tools.docs_check`. A page is wrong sooner than code, because nothing runs it.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from tools.environment import PYTHON, ROOT

_LINK = re.compile(r"\[[^\]]*\]\((?P<target>[^)\s]+)\)")
_COMMAND = re.compile(
    r"(?:^|`|\$ )(?:(?P<dev>python3 tools/dev\.py)|(?P<tare>(?:\.venv/bin/)?tare))"
    r"(?P<words>(?: [a-z][a-z-]*)+)?(?P<options>[^`\n#|]*)"
)
_OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]*")
_FILE = re.compile(r"`(?P<path>(?:protocol|firmware|cloud_agent|tools|hil_tests)/[\w./-]+)`")
_PACKAGES = ("protocol", "firmware", "cloud_agent", "tools")
_TIMEOUT_S = 60


def problems(root: Path = ROOT) -> list[str]:
    """Every mistake found, as `page:line: what is wrong`."""
    found = [
        f"{name}/README.md: missing (each package has one)"
        for name in ("", *_PACKAGES)
        if not (root / name / "README.md").is_file()
    ]
    for page in _pages(root):
        for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
            place = f"{page.relative_to(root)}:{number}"
            found += [f"{place}: {problem}" for problem in _line_problems(root, page, line)]
    return found


def _pages(root: Path) -> list[Path]:
    hidden = (path for path in root.rglob("*.md") if not _is_hidden(path.relative_to(root)))
    return sorted(hidden)


def _is_hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


def _line_problems(root: Path, page: Path, line: str) -> Iterator[str]:
    for link in _LINK.finditer(line):
        target = link["target"].partition("#")[0]
        if target and "://" not in target and not (page.parent / target).exists():
            yield f"the link to {target} leads nowhere"
    for file in _FILE.finditer(line):
        path = file["path"].rstrip("/.")
        if "*" not in path and not (root / path).exists():
            yield f"there is no {path}"
    for command in _COMMAND.finditer(line):
        yield from _command_problems(command)


def _command_problems(command: re.Match[str]) -> Iterator[str]:
    words = (command["words"] or "").split()
    program = "tare" if command["tare"] else "dev.py"
    if not words:
        return
    help_text = _help_of(program, tuple(words))
    if help_text is None:
        yield f"{program} has no command {' '.join(words)}"
        return
    for option in _OPTION.findall(command["options"].partition(" -- ")[0]):
        if option not in help_text:
            yield f"{program} {' '.join(words)} has no option {option}"


@cache
def _help_of(program: str, words: tuple[str, ...]) -> str | None:
    """The help text of a command; trailing words may be its arguments (`tare serve now`)."""
    run_tare = "from cloud_agent.cli import main; raise SystemExit(main())"
    starts = {
        "dev.py": [str(PYTHON), str(ROOT / "tools" / "dev.py")],
        "tare": [str(PYTHON), "-P", "-c", run_tare],
    }
    done = subprocess.run(
        [*starts[program], *words, "--help"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=_TIMEOUT_S,
        check=False,
    )
    return done.stdout if done.returncode == 0 else None


def _main() -> int:
    found = problems()
    for problem in found:
        print(problem)
    print(f"{len(_pages(ROOT))} pages, {len(found)} problems")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(_main())
