"""The virtual scale as a whole, over its serial port: real MicroPython, real certificates."""

from __future__ import annotations

import json
import random
import re
import secrets
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cloud_agent.devices.console_client import Console
from cloud_agent.devices.errors import ConsoleError
from firmware.tests.cable import Authority, await_boot, enrol, reply
from tools.virtual_device import VirtualDevice


@pytest.fixture
def flash(tmp_path: Path) -> Path:
    return tmp_path / "flash.img"


@pytest.fixture
def device(flash: Path) -> Iterator[VirtualDevice]:
    device = VirtualDevice(flash, options=["--fast"])
    with device:
        yield device
    device.close()


@pytest.fixture
def console(device: VirtualDevice) -> Iterator[Console]:
    with Console(device.port, timeout_s=20) as console:
        await_boot(console)
        yield console


def test_a_new_device_says_what_it_is(console: Console) -> None:
    about = console.request("about")
    assert about == {
        "id": None,
        "model": "virtual-scale",
        "firmware": about["firmware"],
        "enrolled": False,
        "claim_epoch": 0,
        "journal": [1, 1],
        "clock": [1, about["clock"][1], None],
        "link": "asleep",
        "safe_mode": None,
    }


def test_enrolment_with_a_real_certificate_lasts_over_a_power_cut(
    device: VirtualDevice, console: Console
) -> None:
    name = enrol(console, Authority())
    assert re.fullmatch("[0-9a-f]{16}", name)
    device.kill()
    device.start()
    about = await_boot(console)
    assert (about["id"], about["enrolled"]) == (name, True)
    with pytest.raises(ConsoleError, match="already enrolled"):
        console.enrol_begin(secrets.token_bytes(16))


def test_a_certificate_for_another_device_is_refused(console: Console) -> None:
    request = console.enrol_begin(secrets.token_bytes(16))
    with pytest.raises(ConsoleError, match="another device"):
        console.enrol_finish(reply(request, Authority(), name="0" * 16))
    assert console.request("about")["enrolled"] is False


def test_no_secret_appears_on_the_console(
    device: VirtualDevice, console: Console, flash: Path
) -> None:
    enrol(console, Authority())
    console.request("button", "short")
    console.request("log")
    console.listen(0.5)
    said = device.recent_output()
    # The identity body in flash begins with its keys, each a CBOR byte string of 32 bytes.
    keys = re.findall(rb"\x58\x20(.{32})", flash.read_bytes(), re.DOTALL)
    assert len(keys) >= 3
    for key in keys[:3]:
        assert key.hex() not in said.lower()
    logged = [line for line in said.splitlines() if line.startswith("#")]
    codes = [line for line in said.splitlines() if "Enter this code" in line]
    assert codes, "the display shows it"
    code = json.loads(codes[-1].removeprefix("! display "))["lines"][1]
    assert not any(code in line for line in logged)


def test_readings_of_an_unclaimed_device_are_shown_and_not_kept(console: Console) -> None:
    console.request("sim", "step-on", 72500)
    shown = [console.event("display")["lines"] for _ in range(3)]
    assert shown[-1] == [shown[-1][0], "not kept: no owner"]
    kilograms = float(shown[-1][0].removesuffix(" kg"))
    assert abs(kilograms - 72.5) <= 0.1
    assert console.request("about")["journal"] == [1, 1]


def test_a_trace_of_weights_is_played(console: Console, tmp_path: Path) -> None:
    trace = tmp_path / "trace.txt"
    trace.write_text("0\n" * 5 + "60000\n" * 40)
    console.request("sim", "trace", str(trace))
    shown = [console.event("display")["lines"][0] for _ in range(3)]
    assert shown[-1] == "60.00 kg"
    with pytest.raises(ConsoleError, match="cannot be read"):
        console.request("sim", "trace", str(tmp_path / "missing"))


def test_a_reset_goes_on_and_a_power_cut_begins_a_new_boot(
    device: VirtualDevice, console: Console, flash: Path
) -> None:
    assert not flash.with_name("flash.img.retained").exists()
    console.request("reboot")
    deadline = time.monotonic() + 20
    while not device.resets and time.monotonic() < deadline:
        time.sleep(0.02)
    await_boot(console)
    assert device.resets == 1
    assert any("boot 2" in line for line in console.request("log")["lines"])
    device.kill()
    device.start()
    await_boot(console)
    assert any("boot 3" in line for line in console.request("log")["lines"])


def test_what_was_set_holds_through_a_power_cut(device: VirtualDevice, console: Console) -> None:
    console.request("set", "unit", "lb")
    with pytest.raises(ConsoleError, match="kg, lb, st"):
        console.request("set", "unit", "oz")
    device.kill()
    device.start()
    await_boot(console)
    assert console.request("settings")["unit"] == "lb"
    console.request("sim", "step-on", 72500)
    shown = ""
    while not shown.endswith(" lb"):
        shown = console.event("display")["lines"][0]
    assert abs(float(shown.removesuffix(" lb")) - 159.8) <= 0.3


def test_noise_on_the_line_does_not_disturb_the_device(console: Console) -> None:
    noise = random.Random(4)
    for _ in range(200):
        words = noise.choice(["about", "data", "sim", "button", "enrol-finish", "zzz", "log x"])
        junk = "".join(chr(noise.randrange(33, 127)) for _ in range(noise.randrange(60)))
        with pytest.raises(ConsoleError):
            console.request(words, junk)
    assert console.request("about")["journal"] == [1, 1]


def test_data_outside_the_buffer_is_refused(console: Console) -> None:
    console.request("data", 4095, "ff")
    for offset, data in ((4096, "ff"), (4095, "ffff"), (0, ""), (0, "ff" * 257), (-1, "ff")):
        with pytest.raises(ConsoleError):
            console.request("data", offset, data)
