"""The project's own Python environment in `.venv`, made from the hash-locked lists.

Standard library only. A stamp, written last, names what the environment was made from; without
it, or with another one, the environment counts as half made and is made again.
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

from tools import programs, system_packages
from tools.errors import SetupError, ToolError
from tools.progress import Report, Step

ROOT = Path(__file__).resolve().parent.parent
ENVIRONMENT = ROOT / ".venv"
PYTHON = ENVIRONMENT / "bin" / "python"
LOCK = ROOT / "requirements.lock"
STUBS_LOCK = ROOT / "tools" / "stubs.lock"
#: MicroPython's type stubs: apart, because they would shadow CPython's standard library.
STUBS = ENVIRONMENT / "micropython-stubs"
_STAMP = ENVIRONMENT / "tare-stamp.json"
_CERTIFICATE_VARIABLES = ("SSL_CERT_FILE", "PIP_CERT", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
#: Settings of the caller that would install somewhere else than into our environment.
_MISLEADING_VARIABLES = (
    "PIP_PREFIX",
    "PIP_REQUIREMENT",
    "PIP_TARGET",
    "PIP_USER",
    "PYTHONHOME",
    "PYTHONPATH",
    "VIRTUAL_ENV",
)
_INSTALL = ("install", "--require-hashes", "--no-deps", "--only-binary=:all:", "-r")


def child_environment() -> dict[str, str]:
    """The environment for child processes: certificates for all tools, nothing misleading.

    urllib and uv read SSL_CERT_FILE, old pip only PIP_CERT: the first variable that names an
    existing file is given to both.
    """
    variables = {
        name: value for name, value in os.environ.items() if name not in _MISLEADING_VARIABLES
    }
    for name in _CERTIFICATE_VARIABLES:
        if Path(variables.get(name) or "/nonexistent").is_file():
            variables["PIP_CERT"] = variables["SSL_CERT_FILE"] = variables[name]
            break
    variables["PIP_DISABLE_PIP_VERSION_CHECK"] = "1"
    return variables


def ensure() -> Path:
    """Makes the environment if it is missing or out of date; returns its Python."""
    if _stamp_is(_wanted_stamp()):
        return PYTHON
    with _one_at_a_time():
        wanted = _wanted_stamp()
        present = _read_stamp()
        if present is None or present["base"] != wanted["base"]:
            _make()
            _install_project()
        elif present != wanted:
            _install_project()
        _STAMP.write_text(json.dumps(wanted))
    return PYTHON


def become(arguments: Sequence[str]) -> NoReturn:
    """Goes on as the environment's Python with `arguments`, in place of this program."""
    python = ensure()
    os.execve(python, [str(python), *arguments], child_environment())  # noqa: S606 -- same program


def _wanted_stamp() -> dict[str, str]:
    base = hashlib.sha256()
    # The prefix, not the executable: started from inside .venv it has another name.
    for part in (sys.version, sys.base_prefix, str(ROOT)):
        base.update(part.encode() + b"\0")
    for lock in (LOCK, STUBS_LOCK):
        base.update(lock.read_bytes())
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    # Dependencies are in the lock; what the editable install makes of the project is the rest.
    tables = [settings["build-system"], settings["project"], settings["tool"]["setuptools"]]
    project = hashlib.sha256(json.dumps(tables, sort_keys=True).encode())
    return {"base": base.hexdigest(), "project": project.hexdigest()}


def _read_stamp() -> dict[str, str] | None:
    try:
        stamp = json.loads(_STAMP.read_text())
    except (OSError, ValueError):
        return None
    usable = isinstance(stamp, dict) and stamp.keys() == {"base", "project"} and PYTHON.exists()
    return stamp if usable else None


def _stamp_is(wanted: dict[str, str]) -> bool:
    return _read_stamp() == wanted


@contextmanager
def _one_at_a_time() -> Iterator[None]:
    """Two runs in one checkout must not make the environment at once: the second waits."""
    with LOCK.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _make() -> None:
    _ensure_venv_module()
    if ENVIRONMENT.exists():
        shutil.rmtree(ENVIRONMENT)
    with Step("Making the Python environment in .venv"):
        base = sys._base_executable  # type: ignore[attr-defined]  # noqa: SLF001 -- not .venv's own
        _run([base, "-m", "venv", str(ENVIRONMENT)])
    wanted = sum(line[:1].isalnum() for line in LOCK.read_text().splitlines())
    with Step(f"Installing {wanted} locked Python packages") as step:
        _pip([*_INSTALL, str(LOCK)], step, of=wanted)
        _pip(["check"], step)
    with Step("Installing MicroPython's type stubs"):
        _pip([*_INSTALL, str(STUBS_LOCK), "--target", str(STUBS)], None)


def _install_project() -> None:
    with Step("Installing the tare command"):
        _pip(["install", "--no-deps", "--no-build-isolation", "--no-index", "-e", str(ROOT)], None)


def _ensure_venv_module() -> None:
    """Debian ships Python without ensurepip, and then leaves a half-made environment behind."""
    if importlib.util.find_spec("ensurepip") is not None:
        return
    system_packages.install([_venv_package()], why="Python's venv module")
    importlib.invalidate_caches()
    if importlib.util.find_spec("ensurepip") is None:
        raise SetupError(
            f"{sys.executable} still has no ensurepip module: install Python with its venv module"
        )


def _venv_package() -> str:
    version = f"python3.{sys.version_info.minor}"
    default = Path("/usr/bin/python3").resolve().name
    return "python3-venv" if default == version else f"{version}-venv"


def _pip(arguments: Sequence[str], report: Report | None, *, of: int = 0) -> None:
    command = [str(PYTHON), "-m", "pip", "--no-input", *arguments]
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=child_environment(),
    ) as pip:
        lines: list[str] = []
        collected = 0
        for line in pip.stdout or ():
            lines.append(line.rstrip())
            if line.startswith("Collecting ") and report is not None:
                collected += 1
                report(f"{collected} of {of}")
    if pip.returncode:
        raise ToolError(f"could not run {' '.join(command)}:\n{programs.tail(lines)}")


def _run(command: Sequence[str]) -> None:
    aim = f"run {' '.join(command)}"
    programs.run(command, aim, error=ToolError, environment=child_environment())


def lock() -> None:
    """Writes both lock files anew (needs the network; fetches uv into a folder that goes again)."""
    with tempfile.TemporaryDirectory(prefix="tare-lock-") as folder:
        with Step("Fetching the resolver"):
            _run([sys.executable, "-m", "venv", folder])
            _run([f"{folder}/bin/python", "-m", "pip", "install", "--no-input", "uv"])
        with Step("Resolving"):
            _resolve(folder, LOCK, ["pyproject.toml", "--group", "dev"])
            _resolve(folder, STUBS_LOCK, ["--group", "stubs"])


def _resolve(folder: str, lock_file: Path, sources: Sequence[str]) -> None:
    options = ["--universal", "--python-version", "3.11", "--generate-hashes"]
    options += ["--only-binary", ":all:"]
    options += ["--upgrade", "--no-header", "--no-annotate", "--quiet", "--no-config"]
    written = Path(folder) / lock_file.name
    _run([f"{folder}/bin/uv", "pip", "compile", *sources, *options, "-o", str(written)])
    text = written.read_text()
    if "://" in text:
        raise ToolError(f"the resolver wrote an address into {lock_file.name}; it was not replaced")
    lock_file.write_text(text)
