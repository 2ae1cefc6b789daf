"""Ties a child process to its parent: `python -m cloud_agent.broker.leash PARENT COMMAND ...`
becomes COMMAND, which the kernel kills when the process PARENT ends, even by kill -9.
Linux; other systems have no such call, and `die_with_parent` does nothing there.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def die_with_parent(parent: int) -> None:
    """Asks the kernel for SIGKILL when the parent ends; ends at once if it has already."""
    if sys.platform != "linux":
        return
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        raise SystemExit(1)


def main() -> None:
    """Becomes the command. The parent's number is passed because it may be gone already."""
    die_with_parent(int(sys.argv[1]))
    os.execv(sys.argv[2], sys.argv[2:])  # noqa: S606 - a list of arguments, no shell


if __name__ == "__main__":
    main()
