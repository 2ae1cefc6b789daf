"""Finding MicroPython: the one on PATH, the one unpacked earlier, or a message that helps."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tools import apt_sources, micropython
from tools.apt_sources import Release, Source
from tools.errors import MicroPythonError

_BOOKWORM = Release("debian", "bookworm", "Debian GNU/Linux 12 (bookworm)")
_NOWHERE = Source("file:///nonexistent/archive", ("bookworm",), ("main",))


@pytest.fixture
def on_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder that comes first on PATH, and an empty cache."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return folder


@pytest.fixture
def without_archive(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine like Debian 12 whose archive cannot be reached."""
    monkeypatch.setattr(apt_sources, "release", lambda: _BOOKWORM)
    monkeypatch.setattr(apt_sources, "archive", lambda _release: _NOWHERE)


def _program(folder: Path, script: str) -> Path:
    program = folder / "micropython"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return program


def _unpacked(cache: Path) -> Path:
    return cache / "tare" / f"micropython-debian-trixie-{os.uname().machine}"


def test_a_new_enough_one_on_path_comes_first(on_path: Path) -> None:
    program = _program(on_path, "echo 1 24")
    assert micropython.find_or_unpack() == [str(program)]


@pytest.mark.usefixtures("without_archive")
@pytest.mark.parametrize("script", ["echo 1 23", "exit 1", "echo 9 9; exit 1", "echo nonsense", ""])
def test_one_that_is_too_old_or_broken_is_passed_over(on_path: Path, script: str) -> None:
    _program(on_path, script)
    with pytest.raises(MicroPythonError):
        micropython.find_or_unpack()


@pytest.mark.usefixtures("without_archive")
def test_an_archive_out_of_reach_is_said_and_leaves_nothing(on_path: Path, tmp_path: Path) -> None:
    _program(on_path, "exit 1")
    with pytest.raises(MicroPythonError, match="could not reach the archive") as failure:
        micropython.find_or_unpack()
    assert "so that `micropython` is on PATH" in str(failure.value)
    assert list((tmp_path / "cache" / "tare").iterdir()) == []


@pytest.mark.usefixtures("without_archive")
def test_the_one_unpacked_earlier_is_used(on_path: Path, tmp_path: Path) -> None:
    _program(on_path, "exit 1")
    folder = _unpacked(tmp_path / "cache") / "usr" / "bin"
    folder.mkdir(parents=True)
    program = _program(folder, "echo 1 25")
    assert micropython.find_or_unpack() == [str(program)]


@pytest.mark.usefixtures("without_archive")
def test_a_damaged_one_unpacked_earlier_goes(on_path: Path, tmp_path: Path) -> None:
    _program(on_path, "exit 1")
    folder = _unpacked(tmp_path / "cache")
    folder.mkdir(parents=True)
    with pytest.raises(MicroPythonError):
        micropython.find_or_unpack()
    assert not folder.exists()


def test_a_system_without_apt_is_told_what_to_install(
    on_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _program(on_path, "exit 1")
    monkeypatch.setattr(apt_sources, "release", lambda: Release("", "", "Fedora Linux 41"))
    with pytest.raises(MicroPythonError, match="this is Fedora Linux 41: install MicroPython"):
        micropython.find_or_unpack()


def test_a_machine_without_sources_is_told_so(
    on_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _program(on_path, "exit 1")
    monkeypatch.setattr(apt_sources, "release", lambda: _BOOKWORM)
    monkeypatch.setattr(apt_sources, "archive", lambda _release: None)
    with pytest.raises(MicroPythonError, match="no source for bookworm main"):
        micropython.find_or_unpack()


@pytest.mark.usefixtures("without_archive")
def test_a_cache_that_cannot_be_written_is_named(
    on_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _program(on_path, "exit 1")
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(MicroPythonError, match="set XDG_CACHE_HOME"):
        micropython.find_or_unpack()


@pytest.mark.parametrize(
    ("release", "suite"),
    [
        (_BOOKWORM, "trixie"),
        (Release("debian", "trixie", ""), "trixie"),
        (Release("debian", "forky", ""), "forky"),
        (Release("ubuntu", "jammy", ""), "resolute"),
        (Release("ubuntu", "noble", ""), "resolute"),
        (Release("ubuntu", "questing", ""), "questing"),
    ],
)
def test_older_releases_take_a_later_suite(release: Release, suite: str) -> None:
    assert micropython.newer_suite(release) == suite


def test_as_a_program_it_prints_a_command_that_starts_micropython() -> None:
    script = Path(micropython.__file__)
    found = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, check=True
    )
    code = "import sys; print(sys.implementation[0])"
    started = subprocess.run(
        [*found.stdout.split(), "-c", code], capture_output=True, text=True, check=True
    )
    assert started.stdout.strip() == "micropython"
