"""What can go wrong in the demo: an act did not show what it promises."""

from __future__ import annotations

from tools.errors import ToolError


class DemoError(ToolError):
    """An act failed; the text says what was expected and what came."""
