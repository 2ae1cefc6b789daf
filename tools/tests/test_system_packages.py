"""Installing Debian packages: for root without starting services, for others one line to run."""

import os
import subprocess
from pathlib import Path

import pytest

from tools import system_packages
from tools.errors import SetupError


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine where we are root; its apt-get writes down how it was called."""
    program = tmp_path / "apt-get"
    program.write_text(
        f'#!/bin/sh\necho "$DEBIAN_FRONTEND $*" >> {tmp_path}/calls\n'
        f"cat {tmp_path}/policy-rc.d >> {tmp_path}/policy-seen 2>/dev/null\n"
        f'test ! -e {tmp_path}/fails || {{ echo "E: no such package"; exit 100; }}\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(system_packages, "_POLICY", tmp_path / "policy-rc.d")
    monkeypatch.setattr(system_packages, "_SYSTEMD", tmp_path / "systemd")
    return tmp_path


def test_root_installs_quietly_and_services_stay_off(root: Path) -> None:
    system_packages.install(["mosquitto"], why="the tests")
    update, install = (root / "calls").read_text().splitlines()
    assert update == "noninteractive update"
    assert install.startswith("noninteractive install -y --no-install-recommends")
    assert install.endswith(" mosquitto")
    assert "exit 101" in (root / "policy-seen").read_text()
    assert not (root / "policy-rc.d").exists()


def test_a_service_does_not_start_with_the_machine_either(root: Path) -> None:
    (root / "systemd").mkdir()
    systemctl = root / "systemctl"
    systemctl.write_text(f'#!/bin/sh\necho "$*" >> {root}/services\n')
    systemctl.chmod(0o755)
    system_packages.install(["strace", "mosquitto"], why="the tests")
    assert (root / "services").read_text() == "disable --quiet mosquitto.service\n"


def test_the_policy_that_forbids_services_is_one_that_debian_obeys(root: Path) -> None:
    with system_packages._services_stay_off():
        done = subprocess.run([str(root / "policy-rc.d"), "mosquitto", "start"], check=False)
    assert done.returncode == 101


def test_a_policy_that_is_there_stays_as_it_is(root: Path) -> None:
    (root / "policy-rc.d").write_text("mine")
    system_packages.install(["mosquitto"], why="the tests")
    assert (root / "policy-rc.d").read_text() == "mine"


def test_a_failure_shows_what_apt_said_and_leaves_no_policy(root: Path) -> None:
    (root / "fails").touch()
    with pytest.raises(SetupError, match="E: no such package"):
        system_packages.install(["mosquitto"], why="the tests")
    assert not (root / "policy-rc.d").exists()


def test_a_plain_user_gets_the_line_to_run(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(SetupError, match=r"apt-get install -y --no-install-recommends a b"):
        system_packages.install(["a", "b"], why="the tests")
    assert not (root / "calls").exists()


def test_a_machine_without_apt_gets_the_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SetupError, match="no Debian or Ubuntu machine"):
        system_packages.install(["a"], why="the tests")
