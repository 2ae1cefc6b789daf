"""The command `tare` as a person and a script use it: real processes, real exit codes."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import pty
import re
import subprocess
import sys
import time
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
import typer.main

from cloud_agent.accounts import accounts, agreements
from cloud_agent.cli import app
from cloud_agent.config import DataFolder, FolderLock
from cloud_agent.operations import OPERATIONS
from cloud_agent.storage import schema
from cloud_agent.tests.commands.test_control import running
from cloud_agent.tests.household import PASSWORD, Household

CREATE = ("account", "create", "--email", "ann@example.org", "--of-age", "--accept-terms", "1")


@dataclass
class Ran:
    code: int
    out: str
    err: str


class Shell:
    """Runs `tare` in a data folder; nobody sits at the keyboard."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def tare(
        self, *arguments: str, password: str | None = PASSWORD, env: Mapping[str, str] | None = None
    ) -> Ran:
        environment = {k: v for k, v in os.environ.items() if not k.startswith("TARE_")}
        environment |= {"TARE_DATA": str(self.root), "COLUMNS": "200", "TERM": "dumb"}
        if password is not None:
            environment["TARE_PASSWORD"] = password
        done = subprocess.run(
            [sys.executable, "-W", "error", "-m", "cloud_agent.cli", *arguments],
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
            env=environment | dict(env or {}),
        )
        assert "Traceback" not in done.stderr, done.stderr
        return Ran(done.returncode, done.stdout, done.stderr)


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path / "data")


@pytest.fixture
def furnished(shell: Shell) -> Shell:
    """Ann with a scale and three readings; no server runs."""
    household = Household(shell.root)
    ann = household.open_account("ann@example.org", "Ann Archer")
    scale = household.add_scale()
    household.claim(ann, scale)
    household.confirm_orders(scale)
    household.deliver(scale, household.weigh(scale, [72_500, 72_600, 72_700]))
    household.close()
    return shell


def test_from_opening_to_erasing(shell: Shell) -> None:
    created = shell.tare(*CREATE, "--consent-health", "--name", "Ann", "--zone", "Europe/Paris")
    assert (created.code, created.err) == (0, "")
    assert "Terms version 1 accepted" in created.out
    assert "Consent to process health data, version 1, given" in created.out
    shown = shell.tare("account", "show", "--email", "ann@example.org", "--json")
    account = json.loads(shown.out)
    assert (account["name"], account["time_zone"]) == ("Ann", "Europe/Paris")
    assert [consent["purpose"] for consent in account["consents"]] == ["health"]
    erased = shell.tare("account", "erase", "--email", "ann@example.org", "--yes")
    assert erased.code == 0
    assert re.search(r"state +proven", erased.out)
    assert re.search(r"found after +0 places", erased.out)
    assert "not verified" in erased.out
    assert shell.tare("account", "show", "--email", "ann@example.org").code == 3


def test_readings_as_table_csv_and_json(furnished: Shell) -> None:
    login = ("readings", "list", "--email", "ann@example.org")
    assert "72.6 kg" in furnished.tare(*login).out
    rows = list(csv.DictReader(io.StringIO(furnished.tare(*login, "--csv").out)))
    assert [row["weight_kg"] for row in rows] == ["72.500", "72.600", "72.700"]
    readings = json.loads(furnished.tare(*login, "--json", "--limit", "1").out)
    assert [r["values"]["weight"] for r in readings] == [{"value": 72.7, "unit": "kg"}]


def test_what_nobody_is_known_for_is_counted_and_not_shown(shell: Shell) -> None:
    household = Household(shell.root)
    scale = household.add_scale()
    household.claim(household.open_account("ann@example.org"), scale)
    household.confirm_orders(scale)
    household.deliver(scale, household.weigh(scale, [99_100, 99_200], handle=0))
    day = time.strftime("%Y-%m-%d", time.gmtime(household.clock() + 14 * 86_400))
    household.close()
    login = ("--email", "ann@example.org")
    listed = shell.tare("readings", "list", *login)
    assert (listed.code, listed.err) == (0, "")
    assert "2 readings of your devices could not be put to a person" in listed.out
    assert f"The oldest is kept until {day}: `tare readings tray`." in listed.out
    assert "99" not in listed.out
    assert json.loads(shell.tare("readings", "list", *login, "--json").out) == []
    assert re.search(r"readings of nobody +2\s", shell.tare("account", "show", *login).out)


def test_a_consent_that_was_never_given_is_said(shell: Shell) -> None:
    assert shell.tare(*CREATE, "--no-consent-health").code == 0
    shown = shell.tare("account", "show", "--email", "ann@example.org").out
    assert re.search(r"consent to health data +not given\s", shown)


def test_export_is_private_and_never_overwrites(furnished: Shell, tmp_path: Path) -> None:
    target = tmp_path / "ann.zip"
    command = ("account", "export", "--email", "ann@example.org", "--output", str(target))
    assert furnished.tare(*command).code == 0
    assert target.stat().st_mode & 0o777 == 0o600
    with zipfile.ZipFile(target) as archive:
        assert "readings.csv" in archive.namelist()
    before = target.read_bytes()
    again = furnished.tare(*command)
    assert (again.code, target.read_bytes()) == (2, before)
    assert "there already" in again.err


def test_an_erasure_with_a_device_waits_for_it(furnished: Shell, tmp_path: Path) -> None:
    flash = tmp_path / "flash.img"
    flash.write_bytes(b"\xff" * 4096)
    erased = furnished.tare(
        *("account", "erase", "--email", "ann@example.org", "--yes", "--json"),
        *("--also-scan", str(flash)),
    )
    report = json.loads(erased.out)
    assert (erased.code, report["state"]) == (0, "awaiting-devices")
    status = furnished.tare("account", "erasure", report["request"])
    assert "will erase when it connects next" in status.out


def test_withdrawing_the_consent_stops_storing_at_once(furnished: Shell) -> None:
    command = ("account", "consent", "--email", "ann@example.org")
    withdrawn = furnished.tare(*command, "--withdraw")
    assert (withdrawn.code, withdrawn.err) == (0, "")
    household = Household(furnished.root)
    with household.service.database.reading() as connection:
        [subject] = connection.exec_driver_sql("SELECT id FROM subject").scalars()
        assert not accounts.has_health_consent(connection, subject)
    household.close()
    assert furnished.tare(*command, "--give").code == 0
    assert furnished.tare(*command).code == 2


def test_texts_are_shown_and_asked_for_at_the_keyboard(shell: Shell) -> None:
    answers = [
        (b"accept the terms of use, version 1? [y/N]", b"y\n"),
        (b"Are you 15 years old or older? [y/N]", b"y\n"),
        (b"consent to the processing of your health data? [y/N]", b"n\n"),
        (b"Password:", f"{PASSWORD}\n".encode()),
        (b"The same again:", f"{PASSWORD}\n".encode()),
    ]
    seen = Keyboard(shell.root, "account", "create", "--email", "ann@example.org").answer(answers)
    assert b"Terms of use of Tare, version 1" in seen
    assert b"Consent to the processing of health data, version 1" in seen
    assert PASSWORD.encode() not in seen, "a password is not echoed"
    assert b"no reading is stored" in seen
    assert shell.tare("account", "show", "--email", "ann@example.org").code == 0


def test_who_refuses_the_terms_has_no_account(shell: Shell) -> None:
    keyboard = Keyboard(shell.root, "account", "create", "--email", "ann@example.org")
    keyboard.answer([(b"[y/N]", b"n\n")], code=3)
    assert not shell.root.exists()


class Keyboard:
    """Runs `tare` at a terminal, and types."""

    def __init__(self, root: Path, *arguments: str) -> None:
        self._terminal, line = pty.openpty()
        environment = {k: v for k, v in os.environ.items() if not k.startswith("TARE_")}
        self._child = subprocess.Popen(
            [sys.executable, "-m", "cloud_agent.cli", *arguments],
            stdin=line,
            stdout=line,
            stderr=line,
            env=environment | {"TARE_DATA": str(root), "TERM": "dumb"},
            start_new_session=True,  # else a password is asked for at the tester's own terminal
        )
        os.close(line)

    def answer(self, answers: list[tuple[bytes, bytes]], *, code: int = 0) -> bytes:
        seen = b""
        for prompt, text in answers:
            while prompt not in seen.rpartition(b"\n")[2]:
                seen += os.read(self._terminal, 4096)
            os.write(self._terminal, text)
        with contextlib.suppress(OSError):  # how Linux says that the other side has ended
            while more := os.read(self._terminal, 4096):
                seen += more
        os.close(self._terminal)
        assert self._child.wait(30) == code, seen
        return seen


class TestMistakes:
    """Each is one line and an exit code."""

    @pytest.mark.parametrize(
        ("arguments", "code", "text"),
        [
            (("account", "show", "--email", "nobody@example.org"), 3, "no Tare data in /"),
            (("device", "list"), 3, "or start `tare serve` there"),
            (("account", "erase", "--email", "ann@example.org"), 2, "--yes"),
            (("readings", "list", "--email", "a@b.org", "--csv", "--json"), 2, "choose"),
            (("readings", "list", "--email", "a@b.org", "--limit", "0"), 2, "limit"),
            (("account", "create", "--email", "a@b.org"), 2, "--accept-terms 1"),
            (("account", "create", "--email", "a@"), 2, "'a@' is not an e-mail address"),
            (("account", "create", "--email", "a@b.org", "--accept-terms", "1"), 2, "--of-age"),
            ((*CREATE, "--under-age", "--consent-health"), 3, "15 or older"),
            ((*CREATE,), 2, "--consent-health"),
            ((*CREATE, "--consent-health", "--zone", "Mars"), 2, "time zone"),
            ((*CREATE[:-1], "7", "--consent-health"), 3, "version 1"),
            (("frobnicate",), 2, "frobnicate"),
            (("account", "create"), 2, "--email"),
        ],
    )
    def test_mistake(self, shell: Shell, arguments: tuple[str, ...], code: int, text: str) -> None:
        ran = shell.tare(*arguments)
        assert (ran.code, ran.out) == (code, "")
        assert text in ran.err

    @pytest.mark.parametrize(
        ("arguments", "code", "text"),
        [
            (("account", "show", "--email", "nobody@example.org"), 3, "wrong"),
            (("account", "show", "--email", "nobody"), 2, "not an e-mail address"),
            (("account", "erasure", "cafe"), 3, "no erasure"),
            (
                ("account", "erase", *CREATE[2:4], "--yes", "--also-scan", "n" * 300),
                2,
                "File name too long",
            ),
            (("account", "export", *CREATE[2:4], "-o", "n" * 300), 1, "File name too long"),
        ],
    )
    def test_mistake_with_data(
        self, furnished: Shell, arguments: tuple[str, ...], code: int, text: str
    ) -> None:
        ran = furnished.tare(*arguments)
        assert (ran.code, ran.out) == (code, "")
        assert text in ran.err

    def test_a_wrong_folder_does_not_become_a_cloud(self, shell: Shell) -> None:
        assert shell.tare("device", "list").code == 3
        assert not shell.root.exists()
        created = shell.tare(*CREATE, "--no-consent-health")
        assert f"A new cloud was made in {shell.root}.\n" in created.out

    def test_wrong_password(self, furnished: Shell) -> None:
        ran = furnished.tare("readings", "list", "--email", "ann@example.org", password="wrong")
        assert (ran.code, ran.err) == (
            3,
            "tare: the e-mail address or the password is wrong\n",
        )

    def test_no_password_and_nobody_to_ask(self, furnished: Shell) -> None:
        ran = furnished.tare("readings", "list", "--email", "ann@example.org", password=None)
        assert ran.code == 2
        assert "TARE_PASSWORD" in ran.err

    def test_a_weak_password(self, shell: Shell) -> None:
        ran = shell.tare(*CREATE, "--consent-health", password="password1234")
        assert ran.code == 2
        assert "guessed first" in ran.err

    def test_a_taken_address(self, furnished: Shell) -> None:
        ran = furnished.tare(*CREATE, "--consent-health")
        assert ran.code == 3

    def test_a_damaged_ledger(self, furnished: Shell) -> None:
        ledger = furnished.root / "ledger"
        ledger.write_bytes(ledger.read_bytes().replace(b"1", b"2", 1))
        ran = furnished.tare("readings", "list", "--email", "ann@example.org")
        assert ran.code == 1
        assert "ledger" in ran.err

    def test_a_folder_that_another_process_has(self, furnished: Shell) -> None:
        lock = FolderLock(DataFolder(furnished.root))
        ran = furnished.tare("readings", "list", "--email", "ann@example.org")
        lock.release()
        assert ran.code == 4
        assert "in use" in ran.err


def test_a_password_file_is_read_and_no_argument_takes_one(
    furnished: Shell, tmp_path: Path
) -> None:
    file = tmp_path / "password"
    file.write_text(f"{PASSWORD}\n")
    command = ("readings", "list", "--email", "ann@example.org", "--password-file")
    assert furnished.tare(*command, str(file), password=None).code == 0
    missing = furnished.tare(*command, str(tmp_path / "none"), password=None)
    assert missing.code == 2
    refused = furnished.tare("readings", "list", "--email", "a@b.org", "--password", "x")
    assert refused.code == 2


def test_the_address_may_come_from_the_environment(furnished: Shell) -> None:
    assert furnished.tare("readings", "list", env={"TARE_EMAIL": "ann@example.org"}).code == 0


def test_a_running_server_does_it_with_the_folder_locked(furnished: Shell) -> None:
    household = Household(furnished.root)
    login = ("readings", "list", "--email", "ann@example.org")
    with running(household.service, OPERATIONS):
        listed = furnished.tare(*login, "--csv")
        wrong = furnished.tare(*login, password="wrong")
    household.close()
    assert (listed.code, len(listed.out.splitlines())) == (0, 4)
    assert wrong.code == 3


def test_refused_messages_are_listed(furnished: Shell) -> None:
    household = Household(furnished.root)
    row = {"reason": "signature", "kid": b"k" * 8, "topic": "tare/1/x/up", "length": 99}
    household.service.writer.call(
        lambda c: c.execute(schema.refused_frame.insert().values(received_s=0, **row))
    )
    household.close()
    [listed] = json.loads(furnished.tare("refused", "--json").out)
    assert (listed["reason"], listed["kid"], listed["length"]) == ("signature", "6b" * 8, 99)
    assert "signature" in furnished.tare("refused").out


def test_a_closed_pipe_is_no_error(furnished: Shell) -> None:
    command = f"{sys.executable} -W error -m cloud_agent.cli account texts | head -1"
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True, check=False
    )
    assert done.stderr == ""


def commands(group: object, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    found: list[tuple[str, ...]] = [path]
    for name, command in getattr(group, "commands", {}).items():
        found += commands(command, (*path, name))
    return found


@pytest.mark.parametrize("path", commands(typer.main.get_command(app)), ids=" ".join)
def test_every_command_and_option_says_what_it_is_for(path: tuple[str, ...]) -> None:
    command = typer.main.get_command(app)
    for name in path:
        command = getattr(command, "commands")[name]  # noqa: B009 # groups only
    assert command.help
    for parameter in command.params:
        if parameter.name != "help":
            assert getattr(parameter, "help", None), f"{path} {parameter.name}"


def test_help_names_the_exit_codes(shell: Shell) -> None:
    ran = shell.tare("--help")
    assert ran.code == 0
    for text in ("0 done", "1 failed", "2 wrong usage", "3 refused", "4 the data folder"):
        assert text in " ".join(ran.out.split())


def test_the_readme_names_every_command() -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    every = commands(typer.main.get_command(app))
    leaves = [path for path in every if not any(other[:-1] == path for other in every)]
    assert len(leaves) > 12
    assert [path for path in leaves if f"`tare {' '.join(path)}`" not in readme] == []


def test_the_texts_fit_a_terminal_of_80_columns_word_for_word(shell: Shell) -> None:
    shown = shell.tare("account", "texts", env={"COLUMNS": "80"}).out
    assert max(len(line) for line in shown.splitlines()) <= 80
    texts = " ".join(agreements.current(document).text for document in ("terms", "health"))
    assert [word for word in texts.split() if word not in shown.split()] == []
