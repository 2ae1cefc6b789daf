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
