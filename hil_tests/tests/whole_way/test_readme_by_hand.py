"""The README's commands for running each part by hand, run as they stand by a scripted person in
three terminals; only the words in capitals are filled in.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from hil_tests.rig.cloud import TARE, Export
from hil_tests.rig.terminal import Terminal
from hil_tests.rig.waiting import until
from tools.environment import ENVIRONMENT, ROOT

_EMAIL = "mina.weighs@example.org"
_PASSWORD = "seven tall herons fishing"
_ANSWERS = (
    (r"(?i)password|the same again", _PASSWORD),
    (r"(?i)do you (accept|consent).*\[y/N\]", "y"),
    (r"(?i)are you 15.*\[y/N\]", "y"),
    (r"(?i)erase the account.*\[y/N\]", "yes"),
)
_CODE = re.compile(r'"([0-9A-Z]{4}-[0-9A-Z]{4})", "([0-9A-Z]{4}-[0-9A-Z]{4})"')
_START_S = 60
_COMMAND_S = 60
_WEIGH_S = 30


@dataclass(frozen=True)
class Command:
    """One line of the README: what is entered, and what its remark says to type then."""

    line: str
    then_type: str = ""


def by_hand() -> dict[int, list[Command]]:
    """The commands of each terminal."""
    section = (ROOT / "README.md").read_text().split("## Each part by hand")[1]
    block = section.split("```")[1]
    terminals: dict[int, list[Command]] = {}
    number = 0
    for line in block.strip().splitlines():
        heading = re.match(r"# (\d):", line)
        if heading:
            number = int(heading[1])
            terminals[number] = []
        elif line:
            command, _, remark = line.partition("  #")
            _, _, to_type = remark.partition("type: ")
            terminals[number].append(Command(command.strip(), to_type.strip()))
    return terminals


class Someone:
    """Works through the lines of one terminal, and fills in what the scale showed."""

    def __init__(self, folder: Path, port: str) -> None:
        self._folder = folder
        self._known = {"PORT": port, "EMAIL": _EMAIL}
        self.seen = ""

    def enter(self, command: Command, exported: str) -> None:
        """Enters one command and stays with it until it ends."""
        line = re.sub(r"\b(PORT|EMAIL|CODE)\b", lambda word: self._known[word[0]], command.line)
        terminal = Terminal(["/bin/sh", "-c", f"{exported}\nexec {line}"], self._folder)
        try:
            if command.then_type:
                self._converse(terminal, command.then_type)
            else:
                code = terminal.answer(_ANSWERS, _COMMAND_S)
                assert code == 0, f"{line}: exit code {code}\n{terminal.text}"
            self.seen += terminal.text
        finally:
            terminal.close()

    def _converse(self, terminal: Terminal, text: str) -> None:
        terminal.type(text)
        if text.startswith("button"):
            shown = terminal.expect(_CODE.pattern, _WEIGH_S)
            self._known["CODE"] = f"{shown[1]}-{shown[2]}"
        else:
            terminal.expect("! saved", _WEIGH_S)
            until(lambda: _is_settled(terminal), "the reading is settled", timeout_s=_WEIGH_S)
        terminal.end_input()
        assert terminal.answer((), _COMMAND_S) == 0, terminal.text


def _is_settled(terminal: Terminal) -> bool:
    """Nothing is left in the journal, says the scale."""
    terminal.type("about")
    oldest, following = terminal.expect(r'"journal": \[(\d+), (\d+)\]', _WEIGH_S).groups()
    return bool(oldest == following)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder that looks like the project's, so that nothing is written into the real one."""
    if Path(TARE) != ENVIRONMENT / "bin" / "tare":
        pytest.skip("the README's commands are for the environment that tools/dev.py makes")
    for name in (".venv", "tools"):
        (tmp_path / name).symlink_to(ROOT / name)
    return tmp_path


def test_each_part_is_started_by_hand_as_the_readme_says(folder: Path) -> None:
    terminals = by_hand()
    (serve,), (device,), lines = terminals[1], terminals[2], terminals[3]
    with _running(serve, folder) as cloud, _running(device, folder) as scale:
        cloud.expect("Tare is ready", _START_S)
        port = scale.expect(r"serial port: (\S+)", _START_S)[1]
        someone = Someone(folder, port)
        exports = [each.line for each in lines if each.line.startswith("export ")]
        for command in lines:
            if command.line not in exports:
                someone.enter(command, "\n".join(exports))
        (reading,) = Export.read(folder / "my-data.zip").readings
        grams = round(reading["values"]["weight"]["value"] * 1000)
        assert abs(grams - 72_500) <= 100
        assert f"{reading['values']['weight']['value']:g} kg" in someone.seen
        assert re.search(r"found after +0 places", someone.seen)
        cloud.interrupt()
        assert cloud.answer((), _COMMAND_S) == 0, cloud.text
        assert "Traceback" not in cloud.text


@contextmanager
def _running(command: Command, folder: Path) -> Iterator[Terminal]:
    terminal = Terminal(["/bin/sh", "-c", f"exec {command.line}"], folder)
    try:
        yield terminal
    finally:
        terminal.close()
