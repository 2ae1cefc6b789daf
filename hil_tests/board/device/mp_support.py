"""Stands in for `tools.mp_support` on the rig board, which has no environment to read."""

import os


class SkipTest(Exception):  # noqa: N818 -- a way out of a test, not an error
    """Raised by a test that cannot run here; its text says why and is shown by pytest."""


def shared_folder():
    """The folder of shared vectors in the ROM file system; SkipTest when the host had none."""
    try:
        os.stat("/rom/shared")
    except OSError:
        raise SkipTest("no shared folder (set TARE_SHARED to it)")
    return "/rom/shared"
