"""`dev.py test`: every check of the project, one stage after the other.

All stages run, also after one failed. pytest comes last, so that its closing line ends the output
of a good run; after a bad one a line with the failed stages follows.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hil_tests.board import image
from tools import micropython, system_packages
from tools.environment import ENVIRONMENT, PYTHON, ROOT, child_environment, ensure
from tools.errors import SetupError, ToolError
from tools.progress import Step

_PACKAGES = ("protocol", "cloud_agent", "tools", "hil_tests")
#: Servers' programs are outside a plain user's PATH on Debian.
_SYSTEM_FOLDERS = ("/usr/local/sbin", "/usr/sbin", "/sbin")
#: Programs that some tests need: the Debian package, and what is skipped without it.
_PROGRAMS = {
    "mosquitto": ("mosquitto", "the tests against Mosquitto"),
    "mosquitto_pub": ("mosquitto-clients", "the tests with Mosquitto's clients"),
    "dovecot": ("dovecot-imapd", "the tests that fetch mail"),
    "strace": ("strace", "the tests that trace system calls"),
}
_PARALLEL = 2


@dataclass(frozen=True)
class Stage:
    """One check: a name for the headings and the command line."""

    name: str
    command: tuple[str, ...]


def run(pytest_arguments: Sequence[str]) -> int:
    """Runs all stages, or with `pytest_arguments` only pytest with these; returns the exit code."""
    ensure()
    with Step("Looking for MicroPython") as step:
        micropython.find_or_unpack(step)
    _provide_programs()
    environment = _environment()
    if pytest_arguments:
        return _execute(_pytest(pytest_arguments), environment)
    _provide_rig_image()
    stages = [*_static_stages(), _pytest([f"-n{_PARALLEL}", "--dist=worksteal", "--durations=10"])]
    failed = []
    for number, stage in enumerate(stages, 1):
        print(f"\n== {number}/{len(stages)} {stage.name} ==", flush=True)
        started_s = time.monotonic()
        code = _execute(stage, environment)
        result = "passed" if code == 0 else f"FAILED (exit code {code})"
        if code:
            failed.append(stage.name)
        if stage is not stages[-1]:
            print(f"-- {stage.name}: {result}, {time.monotonic() - started_s:.1f} s", flush=True)
    if failed:
        print(f"\nfailed stages: {', '.join(failed)}", flush=True)
    return 1 if failed else 0


def _static_stages() -> list[Stage]:
    packages = [name for name in _PACKAGES if (ROOT / name).is_dir()]
    ruff = str(ENVIRONMENT / "bin" / "ruff")
    mypy = str(ENVIRONMENT / "bin" / "mypy")
    return [
        Stage("lint (ruff)", (ruff, "check", ".")),
        Stage("format (ruff)", (ruff, "format", "--check", ".")),
        Stage("types (mypy --strict)", (mypy, *packages)),
        Stage(
            "types of the firmware (mypy with MicroPython's stubs)",
            (mypy, "--config-file", "tools/mypy-firmware.ini", *_firmware_files()),
        ),
        Stage("documents", (str(PYTHON), "-P", "-m", "tools.docs_check")),
        Stage("every branch of protocol", (str(PYTHON), "-P", "-m", "tools.coverage_gate")),
    ]


def _firmware_files() -> list[str]:
    """Everything that MicroPython runs, tests apart."""
    files = [ROOT / "tools" / "mp_runner.py", ROOT / "tools" / "mp_support.py"]
    for folder in ("firmware", "protocol"):
        files += sorted((ROOT / folder).rglob("*.py"))
    return [str(file.relative_to(ROOT)) for file in files if "tests" not in file.parts]


def _pytest(arguments: Sequence[str]) -> Stage:
    return Stage("tests (pytest)", (str(PYTHON), "-m", "pytest", *arguments))


def _execute(stage: Stage, environment: dict[str, str]) -> int:
    return subprocess.run(stage.command, cwd=ROOT, env=environment, check=False).returncode


def _environment() -> dict[str, str]:
    environment = child_environment()
    shared = ROOT.parent / "shared"
    environment.setdefault("TARE_SHARED", str(shared))
    environment["PATH"] = _search_path()
    if not Path(environment["TARE_SHARED"]).is_dir():
        print(
            f"No folder {environment['TARE_SHARED']}: tests of public vectors and recordings are"
            " skipped; they are not part of this repository (TARE_SHARED may name their folder).",
            flush=True,
        )
    return environment


def _provide_rig_image() -> None:
    """Built here, where it may take its time: inside a test the test's limit would count."""
    try:
        with Step("Looking for the rig image") as step:
            image.find_or_build(step)
    except ToolError as error:
        # Where it cannot be had its tests skip; where it cannot be built they fail.
        print(f"Without the rig image: {error}", flush=True)


def _search_path() -> str:
    folders = os.environ.get("PATH", os.defpath).split(os.pathsep)
    folders += [folder for folder in _SYSTEM_FOLDERS if folder not in folders]
    return os.pathsep.join(folders)


def _provide_programs() -> None:
    """Root gets what tests need; anyone else is told in one line what will be skipped."""
    missing = [name for name in _PROGRAMS if shutil.which(name, path=_search_path()) is None]
    if not missing:
        return
    packages = [_PROGRAMS[name][0] for name in missing]
    skipped = ", ".join(_PROGRAMS[name][1] for name in missing)
    if os.geteuid() == 0 and shutil.which("apt-get") is not None:
        try:
            system_packages.install(packages, why=skipped)
        except SetupError as error:
            sys.stderr.write(f"{error}\nGoing on without {skipped}.\n")
        return
    line = f"apt-get install -y --no-install-recommends {' '.join(packages)}"
    print(
        f"Without {', '.join(missing)}, {skipped} are skipped; to get them, as root: {line}",
        flush=True,
    )
