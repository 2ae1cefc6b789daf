"""Flashing the emulated Cortex-M3 by its serial port, with the loader that its image holds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hil_tests.board import image
from hil_tests.board.serial_board import SerialBoard
from tools.firmware import build, cable, flash, rom, targets
from tools.firmware.cable import Cable
from tools.firmware.errors import FlashingError, WrongBoardError
from tools.firmware.manifest import Bytecode, Entry, Manifest

_SECTOR = 4096
_MOUNT = "from loader import start\nmounted = start.mount()"


@pytest.fixture
def powered(rig_image: image.Image, tmp_path: Path) -> Iterator[SerialBoard]:
    with SerialBoard(rig_image, tmp_path / "flash") as board:
        yield board


def _small(name: str, folder: Path) -> build.Built:
    source = folder / f"{name}.py"
    source.write_text(f"NAME = {name!r}\nFILLING = {bytes(range(256)) * 40!r}\n")
    code = rom.compiled(source, targets.RIG_ARCHITECTURE, name="small.py")
    made = rom.image({"small.mpy": code})
    manifest = Manifest(
        board="mps2",
        version=name,
        commit=None,
        dirty=True,
        bytecode=Bytecode.of_file(code),
        start=None,
        image=Entry.of(made),
        files={"small.mpy": Entry.of(code)},
    )
    return build.Built(manifest, made)


def _flash(port: str, built: build.Built, at: Callable[[int], None] = lambda _: None) -> str:
    with Cable(port) as open_cable:
        return flash.flash(open_cable, built, lambda done, _: at(done)).slot


def _name(rig_image: image.Image, flash_file: Path) -> str:
    """What is mounted after power on."""
    with SerialBoard(rig_image, flash_file) as board, Cable(board.port) as prompt:
        prompt.do(f"{_MOUNT}\nimport small")
        name: str = prompt.ask("small.NAME")
        return name


def test_the_real_firmware_is_flashed_and_runs_in_place(
    rig_image: image.Image, tmp_path: Path
) -> None:
    built = build.build("mps2")
    with SerialBoard(rig_image, tmp_path / "flash") as board:
        assert _flash(board.port, built) == "A"
    # Power off and on: it is in flash.
    with SerialBoard(rig_image, tmp_path / "flash") as board, Cable(board.port) as prompt:
        prompt.do(f"{_MOUNT}\nfrom tare import version, signer, scale\nfrom protocol import frame")
        assert prompt.ask("(mounted, version.FIRMWARE, version.__file__, signer.native)") == (
            True,
            built.manifest.version,
            "/rom/tare/version.mpy",
            True,
        )
    content = (tmp_path / "flash").read_bytes()
    assert content[: 136 * _SECTOR] == b"\xff" * (136 * _SECTOR)
    assert content[196 * _SECTOR :] == b"\xff" * (len(content) - 196 * _SECTOR)


def test_a_board_that_loses_power_at_any_step_keeps_the_image_from_before(
    rig_image: image.Image, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = _small("one", tmp_path), _small("two", tmp_path)
    file = tmp_path / "flash"
    with SerialBoard(rig_image, file) as board:
        _flash(board.port, one)
    monkeypatch.setattr(cable, "_ANSWER_S", 1.0)
    for step in range((len(two.image) + _SECTOR - 1) // _SECTOR):
        with SerialBoard(rig_image, file) as board:

            def cut(done: int, step: int = step, board: SerialBoard = board) -> None:
                if done == step * _SECTOR:
                    board.kill()

            with pytest.raises(FlashingError):
                _flash(board.port, two, cut)
        assert _name(rig_image, file) == "one"
    monkeypatch.undo()
    with SerialBoard(rig_image, file) as board:
        assert _flash(board.port, two) == "B"
    assert _name(rig_image, file) == "two"


def test_a_write_that_fails_silently_is_found_on_the_board(
    powered: SerialBoard, tmp_path: Path
) -> None:
    one, two = _small("one", tmp_path), _small("two", tmp_path)
    _flash(powered.port, one)
    with Cable(powered.port) as prompt:
        prompt.do("from loader.chip_mps2 import MemoryChip\nkept = MemoryChip.program")
        prompt.do("MemoryChip.program = lambda self, address, data: None")
    with pytest.raises(FlashingError, match="did not keep what was written"):
        _flash(powered.port, two)
    with Cable(powered.port) as prompt:
        prompt.do(f"{_MOUNT}\nimport small\nMemoryChip.program = kept")
        assert prompt.ask("small.NAME") == "one"
    assert _flash(powered.port, two) == "B"


def test_a_flipped_bit_is_found_before_anything_is_imported(
    rig_image: image.Image, tmp_path: Path
) -> None:
    one, file = _small("one", tmp_path), tmp_path / "flash"
    with SerialBoard(rig_image, file) as board:
        _flash(board.port, one)
    content = bytearray(file.read_bytes())
    content[content.index(one.image) + 9_000] ^= 1
    file.write_bytes(content)
    with SerialBoard(rig_image, file) as board:
        with Cable(board.port) as prompt:
            prompt.do(_MOUNT)
            assert prompt.ask("mounted") is False
        assert _flash(board.port, one) == "A"
    assert _name(rig_image, file) == "one"


def test_the_image_of_another_board_is_refused(powered: SerialBoard) -> None:
    with pytest.raises(WrongBoardError, match="for xtensawin, and the board runs bytecode 6"):
        _flash(powered.port, build.build("esp32"))
    with pytest.raises(WrongBoardError, match="for x64, and the board runs bytecode 6"):
        _flash(powered.port, build.build("unix"))
