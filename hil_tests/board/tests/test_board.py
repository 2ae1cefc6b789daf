"""The emulated board runs programs, keeps count, and says what went wrong."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from hil_tests.board import image, qemu
from hil_tests.board.errors import BoardError, BoardMissingError
from tools import apt_sources, system_packages
from tools.apt_private import ArchiveError, PrivateArchive
from tools.errors import SetupError
from tools.firmware import rom, targets
from tools.firmware.errors import BuildError

_DEVICE = Path(image.__file__).parent / "device"


@pytest.fixture
def board(rig_image: image.Image) -> Iterator[qemu.Board]:
    contents = rom.pack({"rig.py": _DEVICE / "rig.py"}, targets.RIG_ARCHITECTURE)
    with qemu.Board(rig_image, contents) as powered:
        yield powered


def test_the_image_is_the_release_and_has_what_the_application_needs(board: qemu.Board) -> None:
    program = """
import asyncio, gc, hashlib, micropython, select, sys, time, vfs
print(sys.implementation.version[:3], "Cortex-M3" in sys.implementation._machine)
print(bool(vfs.VfsLfs2 and vfs.VfsRom), gc.mem_free() > 136000)
@micropython.viper
def add(a: int, b: int) -> int:
    return a + b
print(add(40, 2))
"""
    version = tuple(int(part) for part in image.VERSION.split("."))
    assert board.run(program).output == f"{version} True\nTrue True\n42\n"


def test_counts_are_the_same_in_every_run(rig_image: image.Image) -> None:
    contents = rom.pack({"rig.py": _DEVICE / "rig.py"}, targets.RIG_ARCHITECTURE)
    program = """
import rig
rig.count("work", sum, range(1000))
rig.count("more", sum, range(2000))
rig.count("list", list, range(1000))
"""
    counts = []
    for _ in range(2):
        with qemu.Board(rig_image, contents) as powered:
            counts.append(powered.run(program).counts)
    # The counter ticks every 1.25 instructions.
    assert abs(counts[0]["work"].instructions - counts[1]["work"].instructions) <= 2
    assert counts[0]["list"].garbage_bytes == counts[1]["list"].garbage_bytes > 4000
    ratio = counts[0]["more"].instructions / counts[0]["work"].instructions
    assert 1.9 < ratio < 2.1


def test_time_passes_on_the_board_as_it_says(board: qemu.Board) -> None:
    program = """
import time
start = time.ticks_ms(), time.ticks_us()
time.sleep_ms(250)
time.sleep_us(1500)
ms, us = time.ticks_diff(time.ticks_ms(), start[0]), time.ticks_diff(time.ticks_us(), start[1])
print(251 <= ms <= 253, 251500 <= us <= 253000)
"""
    assert board.run(program).output == "True True\n"


def test_tasks_run_side_by_side(board: qemu.Board) -> None:
    program = """
import asyncio
async def say(name, delay_ms):
    for _ in range(2):
        await asyncio.sleep_ms(delay_ms)
        print(name, end=" ")
async def both():
    await asyncio.gather(say("slow", 30), say("fast", 20))
asyncio.run(both())
"""
    assert board.run(program).output == "fast slow fast slow "


def test_names_stay_for_the_next_program(board: qemu.Board) -> None:
    board.run("kept = 7")
    assert board.run("print(kept)").output == "7\n"


def test_an_error_on_the_board_comes_with_its_traceback(board: qemu.Board) -> None:
    with pytest.raises(BoardError, match="ZeroDivisionError"):
        board.run("print('before')\n1 / 0")
    assert board.run("print('still there')").output == "still there\n"


def test_a_board_that_does_not_answer_is_an_error(board: qemu.Board) -> None:
    with pytest.raises(BoardError, match="in time"):
        board.run("while True: pass", timeout_s=0.5)


def test_a_board_that_resets_is_an_error(board: qemu.Board) -> None:
    with pytest.raises(BoardError, match="ended"):
        board.run("import machine; machine.reset()")


def test_code_that_does_not_compile_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("def\n")
    with pytest.raises(BuildError, match=r"(?s)broken\.py does not compile.*SyntaxError"):
        rom.pack({"broken.py": tmp_path / "broken.py"}, targets.RIG_ARCHITECTURE)


def test_files_and_folders_are_found_on_the_board(rig_image: image.Image, tmp_path: Path) -> None:
    package = tmp_path / "package"
    (package / "tests").mkdir(parents=True)
    (package / "module.py").write_text("ANSWER = 42\n")
    (package / "tests" / "hidden.py").write_text("")
    (package / "data.json").write_text("[1]")
    (package / "notes.txt").write_text("stays behind")
    contents = rom.pack(rom.files(package, "package"), targets.RIG_ARCHITECTURE)
    with qemu.Board(rig_image, contents) as powered:
        listed = powered.run("import os; print(sorted(os.listdir('/rom/package')))")
        assert listed.output == "['data.json', 'module.mpy']\n"
        program = (
            "import package.module as m; print(m.ANSWER, open('/rom/package/data.json').read())"
        )
        assert powered.run(program).output == "42 [1]\n"


def test_a_machine_without_the_programs_is_told_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(packages: list[str], *, why: str) -> None:
        raise SetupError(f"{why}: install {' '.join(packages)}")

    monkeypatch.setattr(system_packages, "install", refuse)
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(BoardMissingError, match=r"gcc-arm-none-eabi .*qemu-system-arm"):
        image.provide_programs()


def test_a_finished_image_is_not_built_again(
    rig_image: image.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(image, "_build", None)
    assert image.find_or_build() == rig_image


@pytest.mark.usefixtures("rig_image")
def test_a_failed_build_leaves_nothing_that_looks_finished(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def unreachable(*arguments: object) -> Path:
        raise ArchiveError("could not reach the archive")

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(PrivateArchive, "update", unreachable)
    with pytest.raises(BoardMissingError, match="could not reach"):
        image.find_or_build()
    assert [path.name for path in (tmp_path / "tare").iterdir()] == ["rig.lock"]


def test_another_system_than_debian_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    other = apt_sources.Release("", "", "Plan 9")
    monkeypatch.setattr(apt_sources, "release", lambda: other)
    monkeypatch.setattr(image, "provide_programs", None)
    with pytest.raises(BoardMissingError, match="this is Plan 9"):
        image.find_or_build()
