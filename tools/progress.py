"""Progress of long steps, for a person at a terminal and for a log file alike.

Standard library only: this runs before the project's environment exists. On a terminal the line
of the running step is rewritten in place; anywhere else a step prints one line while it runs and
one when it ends, so that a log stays readable. A step that is over at once prints nothing.
"""

from __future__ import annotations

import sys
import threading
import time
from typing import TYPE_CHECKING, Protocol, Self, TextIO

if TYPE_CHECKING:
    from types import TracebackType

_REFRESH_S = 0.2
_QUIET_S = 0.4


class Report(Protocol):
    """Where a long step tells how far it is (a short phrase, without a line end)."""

    def __call__(self, detail: str) -> None:
        """Shows `detail` as the current state of the running step."""


def silent(detail: str) -> None:
    """A report that shows nothing."""
    del detail


class Step:
    """One long step: `with Step("Installing") as step: ... step("12 of 50")`."""

    def __init__(self, title: str, *, stream: TextIO | None = None) -> None:
        self._title = title
        self._stream = stream or sys.stderr
        self._live = self._stream.isatty()
        self._detail = ""
        self._shown = False
        self._started_s = time.monotonic()
        self._ended = threading.Event()
        self._ticker = threading.Thread(target=self._tick, daemon=True)

    def __call__(self, detail: str) -> None:
        """Shows `detail` beside the title (on a terminal only)."""
        self._detail = detail

    def __enter__(self) -> Self:
        self._started_s = time.monotonic()
        self._ticker.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended.set()
        self._ticker.join()
        if not self._shown:
            return
        took_s = time.monotonic() - self._started_s
        result = "done" if kind is None else "failed"
        start = "\r\x1b[K" if self._live else ""
        self._print(f"{start}- {self._title}: {result} ({took_s:.1f} s)\n")

    def _tick(self) -> None:
        if self._ended.wait(_QUIET_S):
            return
        self._shown = True
        if not self._live:
            self._print(f"- {self._title} ...\n")
            return
        while not self._ended.wait(_REFRESH_S):
            took_s = time.monotonic() - self._started_s
            detail = f", {self._detail}" if self._detail else ""
            self._print(f"\r\x1b[K- {self._title} ... {took_s:.0f} s{detail}")

    def _print(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()
