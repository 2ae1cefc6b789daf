"""The boot guard on the whole virtual device: hangs, failing tasks, flash that cannot be read."""

from __future__ import annotations

import binascii
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from cloud_agent.devices.console_client import Console
from cloud_agent.devices.errors import ConsoleError
from firmware.tests.cable import Authority, await_boot, enrol
from hil_tests.rig.waiting import until
from tools.virtual_device import VirtualDevice

_MOST_FAILED = 5
_BOOT_SECTORS = (4, 5)
_SECTOR = 4096


@pytest.fixture
def flash(tmp_path: Path) -> Path:
    return tmp_path / "flash.img"


@pytest.fixture
def device(flash: Path) -> Iterator[VirtualDevice]:
    device = VirtualDevice(flash, options=["--fast", "--watchdog", "2"])
    with device:
        yield device
    device.close()


def _about(device: VirtualDevice) -> dict[str, object]:
    with Console(device.port, timeout_s=20) as console:
        return dict(await_boot(console))


def _hang(device: VirtualDevice) -> None:
    resets = device.resets
    with Console(device.port, timeout_s=0.2) as console, pytest.raises(ConsoleError):
        console.request("fault", "hang")
    until(lambda: device.resets > resets, "the watchdog bites", timeout_s=20)


def test_a_scale_that_hangs_again_and_again_says_so_in_safe_mode_and_can_be_left(
    device: VirtualDevice,
) -> None:
    with Console(device.port, timeout_s=20) as console:
        await_boot(console)
        name = enrol(console, Authority())
    # The first start is counted as well: nothing but a minute would have proved it good.
    for _ in range(_MOST_FAILED):
        assert _about(device)["safe_mode"] is None
        _hang(device)
    about = _about(device)
    assert about["safe_mode"] == "the watchdog bit"
    assert about["id"] == name, "the keys are untouched"
    assert '"Safe mode", "the watchdog bit"' in device.recent_output()
    assert "# safe mode: the watchdog bit" in device.recent_output()
    with Console(device.port, timeout_s=20) as console:
        console.request("sim", "step-on", "72500")
        console.request("log")
    assert _about(device)["journal"] == [1, 1], "nothing is weighed in safe mode"


def test_a_task_that_keeps_failing_ends_the_start(device: VirtualDevice) -> None:
    with Console(device.port, timeout_s=20) as console:
        await_boot(console)
        console.request("fault", "sensor")
    until(lambda: device.resets == 1, "the start is given up", timeout_s=60)
    _about(device)
    said = device.recent_output()
    assert said.count("# task scale failed: OSError") == 10
    assert "# restart: a task kept failing" in said


def test_flash_of_other_firmware_leaves_a_console_that_says_why(
    device: VirtualDevice, flash: Path
) -> None:
    _about(device)
    device.kill()
    content = bytearray(flash.read_bytes())
    # A boot item that only later firmware would write: whole, of another version.
    for sector in _BOOT_SECTORS:
        start = sector * _SECTOR
        if content[start : start + 4] == b"TARE":
            _rewrite_version(content, start)
    flash.write_bytes(content)
    before = flash.read_bytes()
    device.start()
    about = _about(device)
    assert about["safe_mode"] == "sector 4 has version 2"
    with (
        Console(device.port, timeout_s=20) as console,
        pytest.raises(ConsoleError, match="no such verb"),
    ):
        console.request("button", "short")
    device.kill()
    assert flash.read_bytes() == before, "what other firmware wrote is not ours to change"


def _rewrite_version(content: bytearray, start: int) -> None:
    content[start + 5] = 2
    length = struct.unpack_from("<H", content, start + 6)[0]
    header = bytes(content[start : start + 12])
    body = bytes(content[start + 16 : start + 16 + length])
    struct.pack_into("<I", content, start + 12, binascii.crc32(body, binascii.crc32(header)))
