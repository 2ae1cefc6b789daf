"""One process has the folder; what is damaged is refused in words."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from cloud_agent.config import DataFolder
from cloud_agent.errors import BusyError, UsageError
from cloud_agent.service import Service
from cloud_agent.tests.household import Household


def test_the_folder_and_all_files_are_private(household: Household) -> None:
    root = household.service.folder.root
    for path in [root, *root.rglob("*")]:
        assert path.stat().st_mode & 0o077 == 0, path


def test_an_open_folder_made_by_hand_is_closed(tmp_path: Path) -> None:
    root = tmp_path / "data"
    root.mkdir(mode=0o755)
    with Service.open(root):
        assert root.stat().st_mode & 0o777 == 0o700


def test_a_second_one_is_refused_and_the_first_goes_on(household: Household) -> None:
    with pytest.raises(BusyError, match="in use"):
        Service.open(household.service.folder.root)
    household.open_account("ann@example.org")


def test_the_lock_goes_with_the_process(tmp_path: Path) -> None:
    root = tmp_path / "data"
    code = (
        "import sys, time; from pathlib import Path; from cloud_agent.service import Service;"
        "Service.open(Path(sys.argv[1])); print('open', flush=True); time.sleep(60)"
    )
    command = [sys.executable, "-c", code, str(root)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"open\n"
        with pytest.raises(BusyError):
            Service.open(root)
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
        Service.open(root).close()


def test_a_failed_start_gives_everything_back(tmp_path: Path) -> None:
    root = tmp_path / "data"
    Service.open(root).close()
    ledger = (root / "ledger").read_bytes()
    (root / "ledger").write_bytes(b"not a ledger\n")
    for _ in range(2):
        with pytest.raises(Exception, match="line 1"):
            Service.open(root)
    (root / "ledger").write_bytes(ledger)
    Service.open(root).close()


def test_the_folder_is_the_given_one_then_the_environments(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TARE_DATA", str(tmp_path / "from-environment"))
    assert DataFolder.choose(tmp_path / "given").root == tmp_path / "given"
    assert DataFolder.choose(None).root == tmp_path / "from-environment"
    monkeypatch.setenv("TARE_DATA", "")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "share"))
    assert DataFolder.choose(None).root == tmp_path / "share" / "tare"


def test_a_folder_that_cannot_be_made_is_a_users_mistake(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UsageError, match="cannot make"):
        Service.open(tmp_path / "file" / "data")
