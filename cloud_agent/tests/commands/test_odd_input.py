"""What people, terminals, devices and disks do that nobody meant: one line and an exit code,
and nothing that a terminal would obey.
"""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from cloud_agent import terminal
from cloud_agent.cli import main
from cloud_agent.errors import StorageError
from cloud_agent.storage import schema
from cloud_agent.tests.commands.test_cli import CREATE, Shell
from cloud_agent.tests.household import PASSWORD, Household

LOGIN = ("--email", "ann@example.org")


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path / "data")


def test_a_name_in_brackets_is_shown_as_it_is(shell: Shell) -> None:
    name = "[/red] Ann :smile: [bold]"
    assert shell.tare(*CREATE, "--no-consent-health", "--name", name).code == 0
    shown = shell.tare("account", "show", *LOGIN)
    assert (shown.code, name in shown.out) == (0, True)


def test_a_model_cannot_give_orders_to_the_terminal(shell: Shell) -> None:
    household = Household(shell.root)
    scale = household.add_scale()
    row = schema.device.c.id == scale.id
    hostile = "\x1b]0;owned\x07[/x]\x9b2J"
    update = schema.device.update().where(row).values(model=hostile)
    household.service.writer.call(lambda c: c.execute(update))
    household.close()
    listed = shell.tare("device", "list")
    assert listed.code == 0
    assert "owned" in listed.out  # it was shown at all
    assert [one for one in listed.out if not one.isprintable() and one != "\n"] == []


def test_an_error_stays_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert terminal.report(StorageError("one\ntwo\x1b[31m")) == 1
    assert capsys.readouterr().err == "tare: one\ufffdtwo\ufffd[31m\n"


def test_bytes_that_are_no_text(shell: Shell) -> None:
    half = os.fsdecode(b"\xff")
    assert shell.tare(*CREATE, "--no-consent-health").code == 0
    address = shell.tare("account", "show", "--email", f"{half}@example.org")
    assert (address.code, address.err) == (2, "tare: email is not text\n")
    assert shell.tare("account", "show", *LOGIN, password=f"{PASSWORD}{half}").code == 2
    other = ("account", "create", "--email", "bob@example.org", "--accept-terms", "1", "--of-age")
    assert shell.tare(*other, "--no-consent-health", "--name", half).code == 2
    assert shell.tare("device", "console", "--port", "loop://", "r\xe9boot").code == 1


def test_a_limit_beyond_every_number(shell: Shell) -> None:
    assert shell.tare(*CREATE, "--no-consent-health").code == 0
    huge = shell.tare("readings", "list", *LOGIN, "--limit", "9" * 30)
    assert (huge.code, huge.err.count("\n")) == (2, 1)


def test_a_folder_whose_files_cannot_be_opened(shell: Shell) -> None:
    Household(shell.root).close()
    assert shell.tare("device", "list").code == 0
    for name in ("lock", "ledger", "tare.db", "keys.db"):
        path = shell.root / name
        kept = path.with_suffix(".kept")
        path.rename(kept)
        path.mkdir()
        broken = shell.tare("device", "list")
        assert (broken.code, broken.err.count("\n")) == (1, 1), name
        path.rmdir()
        kept.rename(path)
    assert shell.tare("device", "list").code == 0


def test_the_end_of_input_at_a_prompt(shell: Shell) -> None:
    keyboard, screen = pty.openpty()
    os.write(keyboard, b"\x04")
    command = [sys.executable, "-m", "cloud_agent.cli", "account", "show"]
    ended = subprocess.run(
        command,
        stdin=screen,
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"TARE_DATA": str(shell.root)},
    )
    os.close(keyboard)
    os.close(screen)
    assert ended.returncode == 1
    assert "Traceback" not in ended.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_full_disk_is_said_in_words(
    household: Household, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # SQLite's own word for it, under a limit on the number of pages.
    limit = "PRAGMA max_page_count = 1"
    household.service.writer.call_alone(lambda c: _driver(c).execute(limit))
    with pytest.raises(StorageError, match="database or disk is full"):
        household.service.writer.call(_fill)

    def full(*_: object, **__: object) -> None:
        with Path("/dev/full").open("wb") as disk:
            disk.write(b"x")

    monkeypatch.setattr("cloud_agent.cli.app", full)
    assert main([]) == 1
    assert capsys.readouterr().err == "tare: No space left on device\n"


def _driver(connection: sa.Connection) -> Any:
    return connection.connection.driver_connection


def _fill(connection: sa.Connection) -> None:
    row = {"reason": "x" * 100_000, "topic": "", "length": 0, "received_s": 0}
    connection.execute(schema.refused_frame.insert().values(row))


def test_somebody_elses_folder_is_neither_filled_nor_closed(shell: Shell) -> None:
    shell.root.mkdir(mode=0o755)
    (shell.root / "letters").mkdir()
    shell.root.chmod(0o755)
    refused = shell.tare(*CREATE, "--no-consent-health")
    assert (refused.code, refused.err.count("\n")) == (2, 1)
    assert [one.name for one in shell.root.iterdir()] == ["letters"]
    assert shell.root.stat().st_mode & 0o777 == 0o755


def test_an_own_folder_that_was_opened_by_a_copy_is_closed_again(shell: Shell) -> None:
    Household(shell.root).close()
    assert shell.tare("device", "list").code == 0
    shell.root.chmod(0o755)
    assert shell.tare("device", "list").code == 0
    assert shell.root.stat().st_mode & 0o777 == 0o700


def test_a_crash_would_leave_no_memory_behind() -> None:
    script = "import resource; from cloud_agent.cli import main; main(['--help']);"
    script += "print(resource.getrlimit(resource.RLIMIT_CORE)[0])"
    command = ["/bin/sh", "-c", f'ulimit -S -c unlimited; exec "{sys.executable}" -c "{script}"']
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "0"


def test_eighty_columns_lose_nothing(shell: Shell) -> None:
    household = Household(shell.root)
    scale = household.add_scale()
    topic = f"tare/1/{scale.id}/up"
    row = {"reason": "consent-withdrawn", "kid": scale.signer.kid, "topic": topic, "length": 1024}
    insert = schema.refused_frame.insert().values(row | {"received_s": household.clock()})
    household.service.writer.call(lambda c: c.execute(insert))
    hello = schema.device.update().values(hello_s=household.clock(), cursor=123_456)
    household.service.writer.call(lambda c: c.execute(hello))
    household.close()
    for command in (("refused",), ("device", "list")):
        shown = shell.tare(*command, env={"COLUMNS": "80"}).out
        assert max(map(len, shown.splitlines())) <= 80
        assert "\N{HORIZONTAL ELLIPSIS}" not in shown
        assert scale.id in shown
