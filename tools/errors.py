"""The error tree of the tools: each one is a sentence that a newcomer can act on."""

from __future__ import annotations


class ToolError(Exception):
    """Something that the person at the keyboard can mend; `exit_code` goes to the shell."""

    exit_code = 1


class SetupError(ToolError):
    """The machine lacks something; the message names the one line that mends it."""

    exit_code = 2


class MicroPythonError(SetupError):
    """No MicroPython could be found or unpacked."""


class FlashFileError(ToolError):
    """The file that was named cannot be the flash of a virtual scale."""


class FlashInUseError(FlashFileError):
    """Another virtual scale runs on this flash: two would lose each other's readings."""

    exit_code = 4
