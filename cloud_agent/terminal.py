"""What all commands share at the terminal: options, passwords, output, and errors as one
line and an exit code. The only module that prompts.
"""

from __future__ import annotations

import getpass
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Final

import typer
from rich import box
from rich.console import Console
from rich.table import Table

from cloud_agent.client import Client
from cloud_agent.config import DataFolder
from cloud_agent.errors import TareError, UsageError
from tools.errors import ToolError

EXIT_CODES: Final = (
    "Exit codes: 0 done; 1 failed; 2 wrong usage; 3 refused or not found; "
    "4 the data folder or the server is busy."
)
INTERRUPTED: Final = 130
_DATE_WIDTH: Final = len("2026-03-01")

# No markup and no emoji codes: names and models are shown as they are, brackets and colons too.
out: Final = Console(highlight=False, soft_wrap=True, markup=False, emoji=False)
errors: Final = Console(stderr=True, highlight=False, soft_wrap=True, markup=False, emoji=False)

DataOption = Annotated[
    Path | None,
    typer.Option(
        "--data",
        metavar="DIR",
        help="Data folder. Default: TARE_DATA, else this user's data folder.",
        show_default=False,
    ),
]


def _ask_email() -> str:
    require_terminal("give the e-mail address with --email or TARE_EMAIL")
    return input("E-mail address: ")


EmailOption = Annotated[
    str,
    typer.Option(
        "--email",
        envvar="TARE_EMAIL",
        metavar="ADDRESS",
        help="E-mail address of the account. Default: TARE_EMAIL, else a prompt.",
        default_factory=_ask_email,
        show_default=False,
        show_envvar=False,
    ),
]
PasswordFileOption = Annotated[
    Path | None,
    typer.Option(
        "--password-file",
        metavar="FILE",
        help="File whose first line is the password. Default: TARE_PASSWORD, else a prompt.",
        show_default=False,
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]


@contextmanager
def connect(data: Path | None, *, create: bool = False) -> Iterator[Client]:
    """A client of the chosen data folder, which only `create` may make."""
    with Client(DataFolder.choose(data), create=create) as client:
        yield client


def read_password(file: Path | None, *, twice: bool = False) -> str:
    """The password from the file, TARE_PASSWORD or the keyboard; never from an argument,
    where every user of the machine could read it. `twice`: a new one, typed two times.
    """
    if file is not None:
        return _password_in(file)
    if "TARE_PASSWORD" in os.environ:
        return os.environ["TARE_PASSWORD"]
    require_terminal("give the password with --password-file or TARE_PASSWORD")
    return _ask_password("Password: ", twice=twice)


def read_new_password(file: Path | None) -> str:
    """A password that takes the place of another, from the file or typed two times."""
    if file is not None:
        return _password_in(file)
    require_terminal("give the new password with --new-password-file")
    return _ask_password("New password: ", twice=True)


def operator() -> dict[str, str]:
    """Who the operator is: TARE_OPERATOR, with TARE_OPERATOR_PASSWORD or the keyboard."""
    name = os.environ.get("TARE_OPERATOR", "")
    if not name:
        return {}
    password = os.environ.get("TARE_OPERATOR_PASSWORD")
    if password is None:
        require_terminal("give the operator's password with TARE_OPERATOR_PASSWORD")
        password = getpass.getpass(f"Password of the operator {name}: ")
    return {"operator": name, "operator_password": password}


def require_terminal(advice: str) -> None:
    """Raises `UsageError` where nobody can answer a question."""
    if not sys.stdin.isatty():
        raise UsageError(f"nobody is there to ask: {advice}")


def confirm(question: str) -> bool:
    """Asks for yes or no; no unless `y` or `yes` is typed."""
    return input(f"{question} [y/N] ").strip().casefold() in {"y", "yes"}


def table(*names: str, whole: tuple[str, ...] = ()) -> Table:
    """A table that loses nothing in 80 columns: what is too wide goes on in the next line, but for
    the columns `whole`, which people copy.
    """
    made = Table(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    for name in names:
        # A time folds between date and hour.
        least = _DATE_WIDTH if "(UTC)" in name else None
        made.add_column(name, overflow="fold", no_wrap=name in whole, min_width=least)
    return made


def report(error: TareError | ToolError) -> int:
    """Prints an error as one line; returns the exit code."""
    errors.print(f"tare: {printable(str(error))}")
    return error.exit_code


def printable(text: str) -> str:
    """The text without what a terminal obeys instead of showing it: what a device says of itself,
    or a topic, may hold escape sequences. One line stays one line.
    """
    return "".join(one if one.isprintable() else "\N{REPLACEMENT CHARACTER}" for one in text)


def printable_lines(text: str) -> str:
    """The same for a text of several lines."""
    return "\n".join(printable(line) for line in text.splitlines())


def _password_in(file: Path) -> str:
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read the password from {file}") from error
    return _first_line(text)


def _ask_password(prompt: str, *, twice: bool) -> str:
    password = getpass.getpass(prompt)
    if twice and getpass.getpass("The same again: ") != password:
        raise UsageError("the two passwords are not the same")
    return password


def _first_line(text: str) -> str:
    lines = text.splitlines()
    return lines[0] if lines else ""
