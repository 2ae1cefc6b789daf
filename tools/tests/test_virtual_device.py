"""The virtual device's power and port, with a small program of our own in place of the firmware."""

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import serial

from tools import virtual_device
from tools.environment import ROOT
from tools.errors import FlashFileError, FlashInUseError, ToolError
from tools.virtual_device import RESET_CODE, VirtualDevice

# Answers each line; "die N" ends the program, "flood" talks without being asked.
_PROGRAM = """
import sys
print("boot", sys.argv[1:])
while True:
    line = sys.stdin.readline()
    if not line:
        sys.exit(1)
    words = line.split()
    if words[:1] == ["die"]:
        sys.exit(int(words[1]))
    if words[:1] == ["flood"]:
        for number in range(20000):
            print("flood", number)
    print("got", line.strip())
"""

_HOST = """
import time
from pathlib import Path
from tools import virtual_device
virtual_device._ENTRY = Path({program!r})
device = virtual_device.VirtualDevice(Path({flash!r}))
device.start()
print(device._process.pid, flush=True)
time.sleep(60)
"""


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The program in place of the firmware's entry."""
    program = tmp_path / "program.py"
    program.write_text(_PROGRAM)
    monkeypatch.setattr(virtual_device, "_ENTRY", program)
    return program


@pytest.fixture
def device(tmp_path: Path, program: Path) -> Iterator[VirtualDevice]:
    assert program.exists()
    device = VirtualDevice(tmp_path / "flash", options=["--fast"])
    yield device
    device.close()


@pytest.fixture
def port(device: VirtualDevice) -> Iterator[serial.Serial]:
    """The open port of a device that has just been switched on (opening drops old output)."""
    with serial.Serial(device.port, timeout=10) as port:
        device.start()
        yield port


def _expect(port: serial.Serial, wanted: str) -> list[str]:
    seen: list[str] = []
    while not seen or wanted not in seen[-1]:
        line = port.readline().decode()
        assert line, f"{wanted!r} did not come; last seen: {seen[-3:]}"
        seen.append(line.rstrip("\n"))
    return seen


def test_the_port_is_a_serial_line_without_echo(port: serial.Serial, tmp_path: Path) -> None:
    boot = _expect(port, "boot")[-1]
    assert str(tmp_path / "flash") in boot
    assert "--fast" in boot
    port.write(b"hello\n")
    assert _expect(port, "got") == ["got hello"]


def test_a_power_cut_keeps_the_port_and_loses_what_was_sent_meanwhile(
    device: VirtualDevice, port: serial.Serial
) -> None:
    _expect(port, "boot")
    device.kill()
    assert not device.running
    port.write(b"nobody hears\n")
    device.start()
    _expect(port, "boot")
    port.write(b"again\n")
    assert _expect(port, "got") == ["got again"]


def test_a_reset_starts_the_program_again(device: VirtualDevice, port: serial.Serial) -> None:
    _expect(port, "boot")
    port.write(b"die %d\n" % RESET_CODE)
    _expect(port, "boot")
    assert device.resets == 1
    assert device.running


def test_a_program_that_ends_otherwise_stays_down(
    device: VirtualDevice, port: serial.Serial
) -> None:
    _expect(port, "boot")
    port.write(b"die 9\n")
    assert device.wait(10) == 9
    assert not device.running


def test_nobody_listening_does_not_stop_the_device(
    device: VirtualDevice, port: serial.Serial
) -> None:
    _expect(port, "boot")
    port.write(b"flood\n")
    deadline_s = time.monotonic() + 20
    while "got flood" not in device.recent_output():
        assert time.monotonic() < deadline_s, "the device was stopped by its own output"
        time.sleep(0.05)
    port.reset_input_buffer()
    port.write(b"still there\n")
    assert _expect(port, "got still there")


def test_the_capture_has_everything_also_what_nobody_read(tmp_path: Path, program: Path) -> None:
    assert program.exists()
    capture = tmp_path / "capture"
    with VirtualDevice(tmp_path / "flash", capture=capture) as device:
        with serial.Serial(device.port) as port:
            port.write(b"flood\n")
            deadline_s = time.monotonic() + 20
            while "got flood" not in device.recent_output():
                assert time.monotonic() < deadline_s
                time.sleep(0.05)
        device.kill()
        device.start()
        while capture.read_text().count("boot") < 2:
            assert time.monotonic() < deadline_s
            time.sleep(0.05)
    flood = [line for line in capture.read_text().splitlines() if line.startswith("flood")]
    assert flood == [f"flood {number}" for number in range(20000)]


def _is_alive(pid: int) -> bool:
    """In a container without an init process nobody collects what ended: state Z."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def test_the_device_ends_when_its_host_is_killed(tmp_path: Path, program: Path) -> None:
    script = tmp_path / "host.py"
    script.write_text(_HOST.format(program=str(program), flash=str(tmp_path / "flash")))
    with subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE) as host:
        assert host.stdout is not None
        device_pid = int(host.stdout.readline())
        assert Path(f"/proc/{device_pid}").exists()
        host.kill()
    deadline_s = time.monotonic() + 10
    while _is_alive(device_pid):
        assert time.monotonic() < deadline_s, "the device outlived its host"
        time.sleep(0.05)


def test_it_is_not_started_twice(device: VirtualDevice) -> None:
    device.start()
    with pytest.raises(ToolError, match="on already"):
        device.start()


def test_one_flash_has_one_scale_at_a_time(device: VirtualDevice, tmp_path: Path) -> None:
    device.start()
    other = VirtualDevice(tmp_path / "flash")
    with pytest.raises(FlashInUseError, match="flash is in use by another virtual scale"):
        other.start()
    assert device.running
    # A power cut and the next power on are the same scale's; then the flash is free.
    device.kill()
    device.start()
    device.close()
    other.start()
    other.close()


def test_a_killed_host_leaves_the_flash_free(
    device: VirtualDevice, program: Path, tmp_path: Path
) -> None:
    script = tmp_path / "host.py"
    script.write_text(_HOST.format(program=str(program), flash=str(tmp_path / "flash")))
    with subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE) as host:
        assert host.stdout is not None
        assert host.stdout.readline()
        with pytest.raises(FlashInUseError):
            device.start()
        host.kill()
    device.start()
    assert device.running


def test_a_new_flash_is_erased_and_its_owners_only(device: VirtualDevice, tmp_path: Path) -> None:
    flash = tmp_path / "flash"
    device.start()
    assert flash.stat().st_mode & 0o777 == 0o600
    assert flash.read_bytes() == b"\xff" * (1 << 20)


def test_a_flash_that_was_half_made_is_finished(device: VirtualDevice, tmp_path: Path) -> None:
    flash = tmp_path / "flash"
    flash.write_bytes(b"\xff" * 5000)
    device.start()
    assert flash.read_bytes() == b"\xff" * (1 << 20)


@pytest.mark.parametrize("content", [b"precious", b"\xff" * ((1 << 20) + 1), None])
def test_what_is_not_a_flash_is_left_alone(
    device: VirtualDevice, tmp_path: Path, content: bytes | None
) -> None:
    flash = tmp_path / "flash"
    if content is None:
        flash.mkdir()
    else:
        flash.write_bytes(content)
    with pytest.raises(FlashFileError, match="not the flash of a virtual scale"):
        device.start()
    assert content is None or flash.read_bytes() == content


def test_the_command_says_in_a_sentence_what_is_wrong() -> None:
    command = [sys.executable, "-P", "-m", "tools.virtual_device", "--flash", "README.md"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr == (
        "device: README.md is not the flash of a virtual scale (1 MiB): choose another name\n"
    )


def test_an_interrupt_in_the_moment_of_switching_on_leaves_nothing_running(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C in the demo came while the relay thread was being started: closing then failed."""

    def interrupted(_thread: threading.Thread) -> None:
        raise KeyboardInterrupt

    device = VirtualDevice(tmp_path / "flash.img")
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", interrupted)
        with pytest.raises(KeyboardInterrupt):
            device.start()
    device.close()
    assert not device.running
    with VirtualDevice(tmp_path / "flash.img") as again:
        assert again.running, "the flash is held by what was left behind"
