"""Flashing the virtual device by mpremote: checked on the device, and safe at every moment."""

from __future__ import annotations

import os
import pty
import random
import signal
import subprocess
import time
import tty
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from cloud_agent.devices.console_client import Console
from tools.environment import ENVIRONMENT
from tools.firmware import build, cable, flash, rom
from tools.firmware.cable import Cable
from tools.firmware.errors import FlashingError, WrongBoardError
from tools.firmware.manifest import Bytecode, Entry, Manifest
from tools.virtual_device import VirtualDevice

_SECTOR = 4096
_SLOTS = slice(136 * _SECTOR, 256 * _SECTOR)
_TARE = str(ENVIRONMENT / "bin" / "tare")
_PROGRAM = """
def main(arguments):
    print("this is {name}", arguments[0])
    while True:
        if not __import__("sys").stdin.readline():
            return 0
"""
#: Three sectors and a part of a fourth.
_FILLING = random.Random(7).randbytes(13_000)


def _small(name: str, folder: Path) -> build.Built:
    """An image that says its name when it is started."""
    source = folder / f"{name}.py"
    source.write_text(_PROGRAM.format(name=name))
    code = rom.compiled(source, "x64", name="boards/unix/run.py")
    image = rom.image({"boards/unix/run.mpy": code, f"{name}.bin": _FILLING})
    manifest = Manifest(
        board="unix",
        version=name,
        commit=None,
        dirty=True,
        bytecode=Bytecode.of_file(code),
        start="boards.unix.run",
        image=Entry.of(image),
        files={"boards/unix/run.mpy": Entry.of(code)},
    )
    return build.Built(manifest, image)


@pytest.fixture
def one(tmp_path: Path) -> build.Built:
    return _small("one", tmp_path)


@pytest.fixture
def two(tmp_path: Path) -> build.Built:
    return _small("two", tmp_path)


@pytest.fixture
def device(tmp_path: Path) -> Iterator[VirtualDevice]:
    """At its prompt."""
    with _at_prompt(tmp_path) as powered:
        yield powered


def _at_prompt(folder: Path) -> VirtualDevice:
    return VirtualDevice(folder / "scale.flash", options=["--prompt"], from_flash=True)


def _flash(port: str, built: build.Built, at: Callable[[int], None] = lambda _: None) -> str:
    """The slot, with a mark when nothing was written; `at` gets the bytes done."""
    with Cable(port) as open_cable:
        flashed = flash.flash(open_cable, built, lambda done, _: at(done))
    return flashed.slot if flashed.written else f"already {flashed.slot}"


def _started(folder: Path, wanted: str) -> str:
    """What the device says when it starts from its flash, up to `wanted`."""
    with VirtualDevice(folder / "scale.flash", from_flash=True) as powered:
        deadline_s = time.monotonic() + 10
        while wanted not in powered.recent_output() and time.monotonic() < deadline_s:
            time.sleep(0.02)
        return powered.recent_output()


def _assert_starts(folder: Path, name: str) -> None:
    said = _started(folder, f"this is {name}")
    assert f"this is {name}" in said
    assert said.count("this is") == 1


def test_the_real_firmware_is_flashed_and_starts_and_settings_stay(tmp_path: Path) -> None:
    path = tmp_path / "scale.flash"
    with VirtualDevice(path) as from_sources, Console(from_sources.port) as console:
        console.request("set", "unit", "lb")
    before = path.read_bytes()
    with _at_prompt(tmp_path) as powered:
        command = [_TARE, "firmware", "flash", "--port", powered.port]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")
        assert "is in slot A, and its SHA-256 on the board is right" in done.stdout
        again = subprocess.run([*command, "--json"], capture_output=True, text=True, check=False)
        assert '"written": false' in again.stdout
    after = path.read_bytes()
    assert after[: _SLOTS.start] == before[: _SLOTS.start]
    assert build.build("unix").image in after[_SLOTS]
    with VirtualDevice(path, from_flash=True) as flashed, Console(flashed.port) as console:
        assert console.request("about")["firmware"] == build.build("unix").manifest.version
        assert console.request("settings")["unit"] == "lb"


def test_images_take_turns_and_the_same_is_not_written_again(
    device: VirtualDevice, one: build.Built, two: build.Built
) -> None:
    built = [one, one, two, two, one]
    slots = [_flash(device.port, each) for each in built]
    assert slots == ["A", "already A", "B", "already B", "A"]


def test_progress_ends_at_the_whole_image(device: VirtualDevice, one: build.Built) -> None:
    done: list[int] = []
    _flash(device.port, one, done.append)
    assert done == [0, _SECTOR, 2 * _SECTOR, 3 * _SECTOR, len(one.image)]


class _InterruptedError(Exception):
    pass


@pytest.mark.parametrize("step", range(5))
def test_a_host_that_goes_at_any_step_leaves_the_old_image_until_all_is_written(
    tmp_path: Path, one: build.Built, two: build.Built, step: int
) -> None:
    seen = 0

    def leave(_: int) -> None:
        nonlocal seen
        if seen == step:
            raise _InterruptedError
        seen += 1

    with _at_prompt(tmp_path) as powered:
        _flash(powered.port, one)
        with pytest.raises(_InterruptedError):
            _flash(powered.port, two, leave)
    _assert_starts(tmp_path, "two" if step == 4 else "one")
    with _at_prompt(tmp_path) as powered:
        assert _flash(powered.port, two) == ("already B" if step == 4 else "B")
    _assert_starts(tmp_path, "two")


@pytest.mark.parametrize("step", range(4))
def test_a_power_cut_at_any_step_leaves_the_old_image(
    tmp_path: Path, one: build.Built, two: build.Built, step: int
) -> None:
    with _at_prompt(tmp_path) as powered:
        _flash(powered.port, one)

        def cut(done: int) -> None:
            if done == step * _SECTOR:
                powered.kill()

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(cable, "_ANSWER_S", 1.0)
            with pytest.raises(FlashingError, match="went away"):
                _flash(powered.port, two, cut)
    _assert_starts(tmp_path, "one")
    with _at_prompt(tmp_path) as powered:
        assert _flash(powered.port, two) == "B"
    _assert_starts(tmp_path, "two")


def test_a_command_killed_at_any_time_can_be_given_again(
    tmp_path: Path, one: build.Built, two: build.Built
) -> None:
    """SIGKILL after so many answers of one device, which is never reset in between."""
    images = [tmp_path / "one", tmp_path / "two"]
    for built, folder in zip((one, two), images, strict=True):
        built.write(folder)
    said = tmp_path / "said"
    with VirtualDevice(
        tmp_path / "scale.flash", options=["--prompt"], from_flash=True, capture=said
    ) as powered:

        def command(folder: Path) -> list[str]:
            return [_TARE, "firmware", "flash", "--port", powered.port, "--image", str(folder)]

        subprocess.run(command(images[0]), check=True, capture_output=True)
        ended = []
        # Two while it asks, then at each sector, at the digest and before the header.
        for answers in (2, 6, 10, 11, 12, 13, 14, 15):
            wanted = said.read_bytes().count(b"OK") + answers
            with subprocess.Popen(command(images[1]), stdout=subprocess.DEVNULL) as process:
                while said.read_bytes().count(b"OK") < wanted and process.poll() is None:
                    time.sleep(0.002)
                process.kill()
            ended.append(process.returncode)
        # On a busy machine the last ones may have ended before.
        assert ended[:4] == [-signal.SIGKILL] * 4
        subprocess.run(command(images[1]), check=True, capture_output=True)
    _assert_starts(tmp_path, "two")


@pytest.mark.parametrize(
    ("fault", "what"),
    [
        ("def program(self, address, data): pass", "nothing is written"),
        ("def program(self, address, data): kept(self, address, data[:-1] + b'\\x00')", "a byte"),
        (
            "def program(self, address, data): kept(self, address, data) if address % 8192 else 0",
            "every other sector",
        ),
    ],
    ids=lambda value: value if "def" not in value else "",
)
def test_writes_that_fail_silently_are_found_on_the_device(
    tmp_path: Path, one: build.Built, two: build.Built, fault: str, what: str
) -> None:
    with _at_prompt(tmp_path) as powered:
        _flash(powered.port, one)
        with Cable(powered.port) as prompt:
            prompt.do("from loader.chip_unix import FileChip\nkept = FileChip.program")
            prompt.do(f"{fault}\nFileChip.program = program")
        with pytest.raises(FlashingError, match="did not keep what was written"):
            _flash(powered.port, two)
    _assert_starts(tmp_path, "one")


def test_one_flipped_bit_in_flash_falls_back_and_then_is_safe_mode_that_can_be_flashed(
    tmp_path: Path, one: build.Built, two: build.Built
) -> None:
    with _at_prompt(tmp_path) as powered:
        _flash(powered.port, one)
        _flash(powered.port, two)
    _assert_starts(tmp_path, "two")
    _flip(tmp_path, two.image)
    _assert_starts(tmp_path, "one")
    _flip(tmp_path, one.image)
    said = _started(tmp_path, "safe mode")
    assert "# slot A is damaged\n# slot B is damaged\n# safe mode: flash it" in said
    # Safe mode is a prompt: no option is needed.
    with VirtualDevice(tmp_path / "scale.flash", from_flash=True) as powered:
        assert _flash(powered.port, two) == "A"
    _assert_starts(tmp_path, "two")


def _flip(folder: Path, image: bytes) -> None:
    path = folder / "scale.flash"
    content = bytearray(path.read_bytes())
    at = content.find(image)
    assert at > 0
    content[at + len(image) // 2] ^= 0x10
    path.write_bytes(content)


_BYTECODE = Bytecode(6, 3, 2)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"bytecode": Bytecode(5)}, r"is bytecode 5\.0 for none, and the board runs bytecode 6\.3"),
        ({"bytecode": replace(_BYTECODE, architecture=10)}, "for xtensawin, and the board runs"),
        ({"bytecode": replace(_BYTECODE, revision=2)}, r"6\.2 for x64, and the board runs"),
        ({"board": "mps2"}, "is for mps2, and this is unix"),
    ],
)
def test_an_image_that_cannot_run_there_is_refused_before_anything_is_written(
    tmp_path: Path, one: build.Built, change: dict[str, object], reason: str
) -> None:
    wrong = build.Built(replace(one.manifest, **change), one.image)  # type: ignore[arg-type]
    with _at_prompt(tmp_path) as powered:
        before = (tmp_path / "scale.flash").read_bytes()
        with pytest.raises(WrongBoardError, match=f"{reason}.*: nothing was written") as refused:
            _flash(powered.port, wrong)
        assert "\n" not in str(refused.value)
        assert (tmp_path / "scale.flash").read_bytes() == before
        assert _flash(powered.port, one) == "A"


def test_an_image_that_is_too_large_is_refused(device: VirtualDevice, one: build.Built) -> None:
    large = build.Built(one.manifest, bytes(59 * _SECTOR + 1))
    with pytest.raises(WrongBoardError, match="the board takes 241,664: nothing was written"):
        _flash(device.port, large)


@pytest.mark.parametrize(
    ("program", "reason"),
    [
        ("slots.FORMAT = 9", "loader is of format 9, and this writes 1"),
        ("start.here = slots.missing = lambda: __import__('nowhere')", "no loader of Tare"),
        ("start.chip = None", "does not know this board's flash"),
    ],
)
def test_a_board_without_our_loader_is_refused(
    device: VirtualDevice, one: build.Built, program: str, reason: str
) -> None:
    with Cable(device.port) as prompt:
        prompt.do(f"from loader import slots, start\n{program}")
    with pytest.raises(FlashingError, match=reason):
        _flash(device.port, one)


def test_thumb_processors_run_what_is_for_smaller_ones() -> None:
    armv7em = Bytecode(6, 3, 6)
    assert armv7em.runs(Bytecode(6, 3, 5))
    assert armv7em.runs(Bytecode(6))
    assert not armv7em.runs(Bytecode(6, 3, 7))
    assert not Bytecode(6, 3, 10).runs(Bytecode(6, 3, 9))
    assert not armv7em.runs(Bytecode(6, 2, 5))


@pytest.mark.parametrize("port", ["/dev/nowhere", "nothing://x", ""])
def test_a_port_that_cannot_be_opened_is_one_line(port: str) -> None:
    with pytest.raises(FlashingError, match="cannot be opened") as refused:
        Cable(port)
    assert "\n" not in str(refused.value)


def test_a_port_where_nobody_answers_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cable, "_ANSWER_S", 0.5)
    master, slave = pty.openpty()
    tty.setraw(slave)
    try:
        with pytest.raises(FlashingError, match="no MicroPython answers on"):
            Cable(os.ttyname(slave))
    finally:
        os.close(master)
        os.close(slave)
