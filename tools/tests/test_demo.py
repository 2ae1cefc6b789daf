"""The demo from end to end, as a stranger runs it: exit code 0 and a line for each act."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tools.environment import ROOT

_DEV = str(ROOT / "tools" / "dev.py")
_TIMEOUT_S = 400
_LINES = (
    r"1 cloud up in \d+\.\d s: embedded broker on port \d+, TLSv1\.[23], no entry without",
    r"2 account of \S+@example\.org opened: terms version \S+ .* health consent version",
    r"3 scale [0-9a-f]{16} .* enrolled over /dev/\S+, claimed with the code .* claim 1",
    r"4 3 weigh-ins of a (recorded|simulated) person .*stored as displayed",
    r"5 broker stopped for \d+\.\d s and power cut twice .* all 6 readings so far stored exactly",
    r"6 3 forgeries refused \(signature, unknown-key, wrong-topic\): reasons recorded",
    r"7 6 readings exported .* places before, 0 after in \d+ files .* late frame refused",
)


@pytest.mark.timeout(_TIMEOUT_S + 30)
@pytest.mark.parametrize("recordings", ["shared", "none"])
def test_the_demo_shows_all_seven_acts(tmp_path: Path, recordings: str) -> None:
    environment = dict(os.environ)
    if recordings == "none":
        environment["TARE_SHARED"] = str(tmp_path / "nowhere")
    elif not Path(os.environ["TARE_SHARED"], "data", "standing").is_dir():
        pytest.skip("no recorded people (TARE_SHARED)")
    data = tmp_path / "data of the demo"
    done = subprocess.run(
        [sys.executable, _DEV, "demo", "--data", str(data)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        env=environment,
        timeout=_TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    closing = " ".join(done.stdout.partition("What was seen")[2].split())
    for line in _LINES:
        assert re.search(line, closing), f"{line!r} is not in: {closing}"
    assert "Traceback" not in done.stdout + done.stderr
    assert "$ TARE_PASSWORD=wrong tare readings list" in done.stdout
    assert sorted(path.name for path in data.iterdir()) == [
        "cloud",
        "cloud.log",
        "scale.flash",
        "second-scale.flash",
    ]


def test_a_folder_that_is_in_use_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "precious").touch()
    done = subprocess.run(
        [sys.executable, _DEV, "demo", "--data", str(tmp_path)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "is not empty" in done.stderr
    assert "Traceback" not in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["precious"]


def test_a_file_is_no_folder_for_the_demo(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("precious")
    for name in ("file", "file/below"):
        done = subprocess.run(
            [sys.executable, "-P", "-m", "tools.demo", "--data", str(tmp_path / name)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 1
        assert done.stderr == f"demo: {tmp_path / name} is not a folder: choose another name\n"
    assert (tmp_path / "file").read_text() == "precious"


def test_an_interrupt_ends_every_part(tmp_path: Path) -> None:
    data = tmp_path / "data"
    # A shell starts what it puts into the background with this signal ignored, for good.
    interruptible = ["env", "--default-signal=INT"]
    command = [*interruptible, sys.executable, "-P", "-m", "tools.demo", "--data", str(data)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as demo:
        deadline_s = time.monotonic() + 60
        while not (data / "scale.flash").exists():
            assert time.monotonic() < deadline_s, "the scale was not started"
            time.sleep(0.1)
        demo.send_signal(signal.SIGINT)
        demo.communicate(timeout=60)
    assert demo.returncode == 130
    # A command that was just being started ends by itself: its server and its scale are gone.
    deadline_s = time.monotonic() + 30
    while (left := _processes_naming(str(data))) and time.monotonic() < deadline_s:
        time.sleep(0.2)
    assert left == []


def _processes_naming(text: str) -> list[str]:
    """Command lines that contain `text`: what the demo started names its folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            line = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue
        if text in line:
            found.append(line)
    return found
