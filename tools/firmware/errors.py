"""The errors of building and flashing, under the tools' own tree: one line that one can act on."""

from __future__ import annotations

from tools.errors import ToolError


class BuildError(ToolError):
    """The firmware does not compile, or its image does not fit."""


class FlashingError(ToolError):
    """The board does not answer, or its flash did not keep what was written."""


class WrongBoardError(FlashingError):
    """This image cannot run on this board; nothing was written (exit code 3)."""

    exit_code = 3
