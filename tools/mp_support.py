"""What a test that runs inside MicroPython (or in both runtimes) may need: skipping and folders.

Runs unchanged on MicroPython and CPython; imports nothing of either but `os` and `sys`.
"""

import os
import sys


class SkipTest(Exception):  # noqa: N818 -- a way out of a test, not an error
    """Raised by a test that cannot run here; its text says why and is shown by pytest."""


def shared_folder() -> str:
    """The folder of shared vectors and recordings; raises SkipTest when there is none.

    TARE_SHARED names it; under pytest that is set to `shared` beside the repository by default.
    """
    folder = os.getenv("TARE_SHARED") or ""
    try:
        os.stat(folder)
    except OSError:
        raise SkipTest("no shared folder (set TARE_SHARED to it)")
    return folder


def scratch_folder() -> str:
    """A new empty folder that the test may fill; pytest removes it later."""
    base = os.getenv("TARE_SCRATCH") or "."
    number = 0
    while True:
        folder = "%s/%d-%d" % (base, id(sys) & 0xFFFF, number)
        try:
            os.mkdir(folder)
        except OSError:
            number += 1
            if number > 100000:
                raise
        else:
            return folder
