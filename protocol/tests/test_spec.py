"""The tables of SPEC.md and the code say the same, and the device's subset is kept."""

import ast
import re
from pathlib import Path

import pytest

from protocol import answer, command, envelope, frame, message_types, reading, settings

_PACKAGE = Path(__file__).resolve().parent.parent
_SPEC = (_PACKAGE / "SPEC.md").read_text("utf-8")
_MODULES = sorted(path for path in _PACKAGE.glob("*.py"))
#: Modules of the standard library that MicroPython has as well.
_ALLOWED_IMPORTS = {"hashlib", "struct", "protocol"}


def _rows(*heading: str) -> list[list[str]]:
    """Return the rows of the table that begins with these columns."""
    lines = _SPEC.splitlines()
    start = next(at for at, line in enumerate(lines) if _cells(line) == list(heading))
    rows: list[list[str]] = []
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            return rows
        rows.append(_cells(line))
    return rows


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_types_and_purposes_are_those_of_the_table() -> None:
    rows = _rows("type", "message", "direction", "envelope", "purpose")
    purposes = {int(row[0]): row[4].strip("`") for row in rows}
    assert len(purposes) == 10
    for number, purpose in purposes.items():
        assert message_types.purpose(number) == purpose
    up = tuple(int(row[0]) for row in rows if row[2] == "up")
    assert up == message_types.UPLINK
    answers = tuple(int(row[0]) for row in rows if row[2] == "down" and "Mac0" in row[3])
    assert answers == message_types.ANSWERS


def test_reasons_of_an_ack_are_those_of_the_table() -> None:
    rows = _rows("reason", "", "meaning")
    codes = {value for name, value in vars(answer).items() if name.startswith(("DROP_", "HOLD_"))}
    assert {int(row[0]) for row in rows} == codes
    for row in rows:
        assert answer.is_hold(int(row[0])) == (row[1] == "hold")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("A whole message is at most 1,024 bytes", message_types.MAX_SIZE),
        ("an enrolment message at most 4,096", message_types.MAX_ENROLMENT_SIZE),
        ("1 .. 32 records of consecutive sequence", frame.MAX_READINGS),
        ("[receipt, ...]]`, 1 .. 16 of consecutive", frame.MAX_RECEIPTS),
        ("count 1 .. 65,535", frame.MAX_VOIDS),
        ("how long the window stays open, 1 .. 600", frame.MAX_CLAIM_WINDOW_S),
        ("The list, at most 32 entries", answer.MAX_REFUSALS),
        ("expires <= issued + 86,400", command.MAX_LIFE_S),
        ("slot on the display 1 .. 8", command.MAX_SLOT),
        ("Ranges: 1 .. 300,000 g", reading.MAX_WEIGHT_G),
        ("1 .. 30,000 (0.1 ohm)", reading.MAX_IMPEDANCE_DOHM),
        ("pressures 1 .. 4,000", reading.MAX_PRESSURE_DMMHG),
        ("pulse 1 .. 3,500", reading.MAX_PULSE_DBPM),
    ],
)
def test_limits_are_those_of_the_text(text: str, value: int) -> None:
    assert text in _SPEC
    assert f"{value:,}" in text


def test_verbs_are_those_of_the_text() -> None:
    sentence = re.search(r"2\. Verbs: (.*?)person:", _SPEC)
    assert sentence is not None
    named = {name: int(number) for number, name in re.findall(r"(\d) ([a-z]+)", sentence[1])}
    for name, number in named.items():
        assert getattr(command, "VERB_" + name.upper()) == number
    assert len(named) == 7


def test_settings_are_those_of_the_table() -> None:
    rows = _rows("number", "name", "values", "at first")
    assert len(rows) == len(settings.TABLE)
    for row, setting in zip(rows, settings.TABLE, strict=True):
        named = (setting.number, f"`{setting.name}`", setting.default)
        assert (int(row[0]), row[1], int(row[3])) == named
        for value, word in enumerate(setting.words):
            assert f"{value} `{word}`" in row[2]
        assert setting.words or row[2].startswith(f"{setting.low} .. {setting.high} s: ")


def test_module_is_written_in_the_subset_of_both_runtimes() -> None:
    assert len(_MODULES) > 15
    for path in _MODULES:
        tree = ast.parse(path.read_text("utf-8"))
        assert _forbidden(tree) == [], path.name


def _forbidden(tree: ast.Module) -> list[str]:
    """Name what MicroPython cannot run, or runs differently without a word."""
    found = []
    for_types_only = {
        id(inner)
        for node in tree.body
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if id(node) not in for_types_only:
            found.extend(_imports(node))
        if isinstance(node, ast.Match | ast.Assert | ast.NamedExpr):
            found.append(type(node).__name__)
        if isinstance(node, ast.arguments) and node.posonlyargs:
            found.append("positional-only parameter")
        if isinstance(node, ast.Raise) and node.cause is not None:
            found.append("raise ... from")
        if isinstance(node, ast.List | ast.Tuple | ast.Set) and _has_star(node):
            found.append("star in a display")
        if isinstance(node, ast.Call):
            found.extend(_calls(node))
    return found


def _imports(node: ast.AST) -> list[str]:
    names: list[str] = []
    if isinstance(node, ast.Import):
        names = [alias.name for alias in node.names]
    elif isinstance(node, ast.ImportFrom):
        names = [node.module or ""]
    return [f"import {name}" for name in names if name.split(".")[0] not in _ALLOWED_IMPORTS]


def _has_star(node: ast.List | ast.Tuple | ast.Set) -> bool:
    return any(isinstance(element, ast.Starred) for element in node.elts)


def _calls(node: ast.Call) -> list[str]:
    called = ast.unparse(node.func)
    if called.endswith(".bit_length"):
        return [called]
    if called == "pow" and len(node.args) == 3 and ast.unparse(node.args[1]).startswith("-"):
        return ["pow with a negative exponent"]
    if called.endswith((".to_bytes", ".from_bytes")) and node.keywords:
        return [called + " with keywords"]
    return []


def test_the_subset_check_finds_what_it_is_for() -> None:
    for source in (
        "import typing",
        "from dataclasses import dataclass",
        "import hmac",
        "match x:\n    case 1: pass",
        "def f(a, /): pass",
        "raise E from e",
        "x = [*a, 1]",
        "x = (1).to_bytes(2, byteorder='big')",
        "x = pow(a, -1, b)",
        "x = a.bit_length()",
        "assert x",
        "if (x := 1): pass",
    ):
        assert _forbidden(ast.parse(source)) != [], source
    assert _forbidden(ast.parse("if TYPE_CHECKING:\n    from typing import Any")) == []


def test_profile_pins_the_algorithms_of_the_text() -> None:
    assert "`{1: -9, 4: kid}`" in _SPEC
    assert "`{1: 5, 4: generation}`" in _SPEC
    aad = envelope.external_aad(message_types.HELLO, bytes(8))
    assert aad == b"\x82\x6ctare/1/hello\x48" + bytes(8)
