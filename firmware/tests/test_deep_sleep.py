"""Deep sleep on the virtual device: each wake is a start, and time, zero and schedule go on."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cloud_agent.devices.console_client import Console
from firmware.tests.cable import await_boot
from tools.virtual_device import VirtualDevice

_OPTIONS = ("--fast", "--awake", "1", "--deep-sleep")
# Five seconds without anything, ten at most while a result is shown.
_ASLEEP_S = 30
_DAY_S = 86_400


@pytest.fixture
def flash(tmp_path: Path) -> Path:
    return tmp_path / "flash.img"


@pytest.fixture
def device(flash: Path) -> Iterator[VirtualDevice]:
    with VirtualDevice(flash, options=_OPTIONS) as device:
        yield device


@pytest.fixture
def console(device: VirtualDevice) -> Iterator[Console]:
    with Console(device.port) as console:
        await_boot(console)
        yield console


def _until(wanted: Callable[[], bool], what: str) -> None:
    deadline_s = time.monotonic() + _ASLEEP_S
    while not wanted():
        assert time.monotonic() < deadline_s, what
        time.sleep(0.05)


def _fall_asleep(device: VirtualDevice) -> None:
    _until(lambda: device.asleep, "the scale falls asleep")


def _clock(console: Console) -> tuple[int, int]:
    epoch, seconds, _ = console.request("about")["clock"]
    return int(epoch), int(seconds)


def test_an_idle_scale_sleeps_and_the_line_that_wakes_it_is_answered(
    device: VirtualDevice, console: Console
) -> None:
    before = _clock(console)
    _fall_asleep(device)
    assert json.loads(device.recent_output().splitlines()[-1].removeprefix("! display ")) == {
        "lines": []
    }
    device.let_pass(3_600)
    assert console.request("settings")["unit"] == "kg"
    assert (device.wakes, device.resets) == (1, 0)
    epoch, seconds = _clock(console)
    assert epoch == before[0], "the same clock"
    assert 3_600 <= seconds - before[1] <= 3_600 + _ASLEEP_S, "it counted the sleep"
    _fall_asleep(device)
    assert _clock(console)[0] == epoch


def test_it_wakes_by_itself_once_a_day(device: VirtualDevice, console: Console) -> None:
    _fall_asleep(device)
    device.let_pass(_DAY_S - 600)
    time.sleep(0.3)
    assert device.asleep
    device.let_pass(600)
    _until(lambda: device.wakes == 1, "the scale wakes by itself")
    epoch, seconds = _clock(console)
    assert (epoch, abs(seconds - _DAY_S) <= _ASLEEP_S) == (1, True)
    _fall_asleep(device)  # nobody has enrolled it: the next day is as the first


def test_it_does_not_sleep_in_the_midst_of_an_enrolment(
    device: VirtualDevice, console: Console
) -> None:
    """Its new keys are in memory, and a cloud or a person may be slow."""
    console.request("enrol-begin", "00" * 16)
    time.sleep(8)
    assert not device.asleep


def test_a_power_cut_in_its_sleep_begins_a_new_clock(
    device: VirtualDevice, console: Console, flash: Path
) -> None:
    _fall_asleep(device)
    retained = flash.with_name(flash.name + ".retained")
    assert retained.exists()
    device.kill()
    assert not retained.exists()
    device.start()
    await_boot(console)
    epoch, seconds = _clock(console)
    assert (epoch, seconds <= _ASLEEP_S) == (2, True)


@pytest.mark.parametrize("place", [24, -1], ids=["first byte", "last byte"])
def test_memory_that_changed_in_its_sleep_begins_a_new_clock(
    device: VirtualDevice, console: Console, flash: Path, place: int
) -> None:
    _fall_asleep(device)
    retained = flash.with_name(flash.name + ".retained")
    content = bytearray(retained.read_bytes())
    content[place] ^= 1
    retained.write_bytes(content)
    assert _clock(console)[0] == 2
    assert device.wakes == 1


def test_a_clock_that_runs_wrong_in_sleep_is_wrong_by_that_and_no_more(
    device: VirtualDevice, console: Console
) -> None:
    device.clock_ppm = 20_000  # 400 times what SPEC 9.5 allows, so that it can be seen
    before = _clock(console)
    _fall_asleep(device)
    device.let_pass(40_000)
    after = _clock(console)
    assert after[0] == before[0]
    assert 40_800 <= after[1] - before[1] <= 40_801 + _ASLEEP_S


def test_who_stands_on_a_sleeping_scale_is_weighed_against_the_zero_it_had(
    device: VirtualDevice, console: Console, tmp_path: Path
) -> None:
    # The empty plate has 150 g on it now, a bath mat, which is the zero from then on.
    mat = tmp_path / "mat.txt"
    mat.write_text("150\n" * 40)
    console.request("sim", "plate", str(mat))
    _fall_asleep(device)
    stands = tmp_path / "stands.txt"
    stands.write_text("70150\n" * 60 + "150\n" * 40)
    console.request("sim", "plate", str(stands))
    shown: list[str] = []
    while len(shown) < 2 or shown[1] != "not kept: no owner":
        shown = console.event("display")["lines"]
    assert shown[0] == "70.00 kg"


def test_starts_that_end_in_sleep_are_good_starts(device: VirtualDevice, console: Console) -> None:
    for _ in range(3):
        device.kill()
        device.start()
        await_boot(console)
    _fall_asleep(device)
    for _ in range(4):
        device.kill()
        device.start()
        await_boot(console)
    assert console.request("about")["safe_mode"] is None
