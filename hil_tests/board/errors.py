"""The errors of the rig board, under the tools' own tree: sentences that one can act on."""

from __future__ import annotations

from tools.errors import SetupError, ToolError


class BoardMissingError(SetupError):
    """This machine has not what the image needs: tests skip with this reason."""


class BoardError(ToolError):
    """The image did not build, or the board did not answer as a MicroPython does."""
