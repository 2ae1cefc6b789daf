"""Debian packages: what is missing is installed for root, and named in one line for anyone else.

Standard library only. Nothing that is installed is ever replaced, and no service is started.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tools import programs
from tools.errors import SetupError
from tools.progress import Step

_POLICY = Path("/usr/sbin/policy-rc.d")
_UPDATE = ("apt-get", "update")
_INSTALL = ("apt-get", "install", "-y", "--no-install-recommends", "--no-upgrade")
_LOCK_WAIT = ("-o", "DPkg::Lock::Timeout=120")
#: Services that come with a package; they would start with the machine from now on.
_SERVICES = {"mosquitto": "mosquitto.service", "dovecot-imapd": "dovecot.service"}
_SYSTEMD = Path("/run/systemd/system")


def install(packages: Sequence[str], *, why: str) -> None:
    """Installs `packages` as root; otherwise raises SetupError with the line to run.

    `why` is what they are for, as in "needed for `why`".
    """
    line = f"apt-get update && apt-get install -y --no-install-recommends {' '.join(packages)}"
    if shutil.which("apt-get") is None:
        raise SetupError(
            f"{why} is missing, and this is no Debian or Ubuntu machine: install what your system"
            f" calls {', '.join(packages)}, then run this again"
        )
    if os.geteuid() != 0:
        raise SetupError(f'{why} is missing. Run this, then try again:\n    sudo sh -c "{line}"')
    with Step(f"Installing {', '.join(packages)} (for {why})"), _services_stay_off():
        _run([*_UPDATE])
        _run([*_INSTALL, *_LOCK_WAIT, *packages])
        for service in (_SERVICES[name] for name in packages if name in _SERVICES):
            if _SYSTEMD.is_dir():
                _run(["systemctl", "disable", "--quiet", service])


def _run(command: Sequence[str]) -> None:
    variables = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"}
    programs.run(command, f"run {' '.join(command)}", error=SetupError, environment=variables)


@contextmanager
def _services_stay_off() -> Iterator[None]:
    """A package's service (Mosquitto's) must not start: tests start their own.

    Debian asks policy-rc.d before it starts a service; 101 means no. A policy that the machine
    has already is left as it is.
    """
    try:
        with _POLICY.open("x") as file:
            file.write("#!/bin/sh\nexit 101\n")
    except (FileExistsError, FileNotFoundError):
        yield
        return
    try:
        _POLICY.chmod(0o755)
        yield
    finally:
        _POLICY.unlink(missing_ok=True)
