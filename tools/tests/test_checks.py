"""`dev.py test`: all stages run, a failed one is named, and pytest speaks last."""

import subprocess
import sys
from pathlib import Path

import pytest

from tools import checks, system_packages
from tools.checks import Stage
from tools.commands import main
from tools.environment import ROOT
from tools.errors import SetupError

_OK = (sys.executable, "-c", "print('fine')")
_BAD = (sys.executable, "-c", "raise SystemExit(3)")


@pytest.fixture
def stages(monkeypatch: pytest.MonkeyPatch) -> list[Stage]:
    """Two stages before pytest, which itself is a small program here."""
    stages = [Stage("first", _OK), Stage("second", _OK)]
    monkeypatch.setattr(checks, "_static_stages", lambda: list(stages))
    monkeypatch.setattr(checks, "_pytest", lambda _arguments: Stage("tests", _OK))
    monkeypatch.setattr(checks, "_provide_programs", lambda: None)
    monkeypatch.setattr(checks, "_provide_rig_image", lambda: None)
    monkeypatch.setattr(checks, "ensure", lambda: None)
    return stages


def test_a_good_run_ends_with_the_last_stages_own_words(
    stages: list[Stage], capfd: pytest.CaptureFixture[str]
) -> None:
    assert len(stages) == 2
    assert checks.run([]) == 0
    lines = capfd.readouterr().out.splitlines()
    assert lines[-1] == "fine"
    assert [line for line in lines if line.startswith("==")] == [
        "== 1/3 first ==",
        "== 2/3 second ==",
        "== 3/3 tests ==",
    ]


def test_after_a_failed_stage_the_others_run_and_it_is_named(
    stages: list[Stage], capfd: pytest.CaptureFixture[str]
) -> None:
    stages[0] = Stage("first", _BAD)
    assert checks.run([]) == 1
    lines = capfd.readouterr().out.splitlines()
    assert lines.count("fine") == 2
    assert lines[-1] == "failed stages: first"


def test_with_arguments_only_pytest_runs_and_gives_the_exit_code(
    stages: list[Stage], monkeypatch: pytest.MonkeyPatch
) -> None:
    stages[0] = Stage("first", _BAD)
    given: list[str] = []

    def pytest_stage(arguments: list[str]) -> Stage:
        given.extend(arguments)
        return Stage("tests", (sys.executable, "-c", "raise SystemExit(5)"))

    monkeypatch.setattr(checks, "_pytest", pytest_stage)
    assert checks.run(["-k", "journal"]) == 5
    assert given == ["-k", "journal"]


def test_a_plain_user_is_told_what_is_skipped_and_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(checks, "_SYSTEM_FOLDERS", ())
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    checks._provide_programs()
    said = capsys.readouterr().out
    assert "the tests against Mosquitto" in said
    packages = "mosquitto mosquitto-clients dovecot-imapd strace"
    assert f"apt-get install -y --no-install-recommends {packages}" in said


def test_root_goes_on_when_a_package_cannot_be_had(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def install(_packages: list[str], *, why: str) -> None:
        raise SetupError(f"no archive for {why}")

    def which(name: str, path: str | None = None) -> str | None:
        """Only apt-get is there; the programs are looked for with a path of their own."""
        return "/usr/bin/apt-get" if path is None and name == "apt-get" else None

    monkeypatch.setattr("shutil.which", which)
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr(system_packages, "install", install)
    checks._provide_programs()
    assert "Going on without the tests against Mosquitto" in capsys.readouterr().err


def test_ci_runs_exactly_this_command() -> None:
    script = ROOT / ".ci" / "run"
    commands = [
        line
        for line in script.read_text().splitlines()
        if line and not line.startswith(("#", "set ", "cd "))
    ]
    assert commands == ["exec python3 tools/dev.py test"]
    assert script.stat().st_mode & 0o111


def test_help_names_every_command() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "tools" / "dev.py"), "--help"],
        capture_output=True,
        text=True,
        check=True,
    )
    for command in ("demo", "test", "device", "setup", "lock"):
        assert f"\n    {command} " in done.stdout


def test_arguments_of_pytest_in_the_wrong_place_are_named(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit):
        main(["test", "protocol", "-q"])
    assert (
        "unrecognized arguments: -q; pytest's arguments stand after --" in capsys.readouterr().err
    )
