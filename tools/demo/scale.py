"""The scale's side of the demo: a virtual device with its power switch, and its serial console.

The console is the cloud's own client of it; what the display shows goes to the screen as it comes.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cloud_agent.devices.console_client import Console
from cloud_agent.devices.errors import ConsoleError, ConsoleTimeoutError
from tools.demo.errors import DemoError
from tools.demo.people import Person
from tools.demo.screen import Screen
from tools.virtual_device import VirtualDevice

_BOOT_S = 20.0
_WEIGH_S = 30.0
_POLL_S = 0.1
_DISPLAY = "! display "
_STEPPED_ON = "Weighing ..."
_CODE = re.compile(r"[0-9A-Z]{4}-[0-9A-Z]{4}")
_WEIGHT = re.compile(r"(\d+\.\d\d) kg")


@dataclass(frozen=True)
class Saved:
    """A reading that the scale announced as saved: its sequence, what the display showed, and how
    long after stepping on.
    """

    sequence: int
    shown_kg: str
    took_s: float


class Scale:
    """One virtual scale with its flash file."""

    def __init__(self, flash: Path, screen: Screen) -> None:
        self.flash = flash
        self._screen = screen
        self._device = VirtualDevice(flash)
        self._console: Console | None = None
        self._last_display: list[str] = []
        self._stepped_on_s = 0.0

    @property
    def port(self) -> str:
        """The path of its serial port."""
        return self._device.port

    @property
    def console(self) -> Console:
        """The open console. Another program can have the port only after `let_go`."""
        if self._console is None:
            self._console = Console(self.port, on_line=self._hear)
        return self._console

    def let_go(self) -> None:
        """Closes the console, so that another program can have the port."""
        if self._console is not None:
            self._console.close()
            self._console = None

    def power_on(self) -> dict[str, Any]:
        """Switches it on and waits until its console answers; what it says about itself."""
        self._device.start()
        deadline_s = time.monotonic() + _BOOT_S
        while True:
            try:
                return self.about(timeout_s=1.0)
            except ConsoleTimeoutError:
                # What was sent before the program listened is lost, as on a real line.
                if time.monotonic() > deadline_s:
                    raise self.complaint("it does not answer after power on") from None

    def power_cut(self) -> None:
        """SIGKILL, in the midst of whatever it does."""
        self._device.kill()
        # What was said before the cut is history: a torn line must not precede the next boot.
        self.let_go()

    def close(self) -> None:
        """Switches it off for good."""
        self.let_go()
        self._device.close()

    def about(self, *, timeout_s: float = 10.0) -> dict[str, Any]:
        """What the device says about itself."""
        about: dict[str, Any] = self.console.request("about", timeout_s=timeout_s)
        return about

    def waiting(self) -> int:
        """How many records the journal keeps."""
        oldest, following = self.about()["journal"]
        return int(following) - int(oldest)

    def weigh(self, person: Person) -> Saved:
        """Lets a person step on; waits until the reading is in flash."""
        self._last_display = []
        self.console.request(*person.request.split())
        try:
            saved = self.console.event("saved", timeout_s=_WEIGH_S)
        except ConsoleError as error:
            raise self.complaint(f"no reading was saved ({error})") from error
        weights = [match[1] for line in self._last_display if (match := _WEIGHT.search(line))]
        if not weights:
            raise self.complaint(f"saved without a weight on the display: {self._last_display}")
        took_s = time.monotonic() - self._stepped_on_s
        return Saved(int(saved["sequence"]), weights[0], took_s)

    def claim_code(self, timeout_s: float) -> str:
        """Presses the button; the code that the display then shows."""
        self._last_display = []
        self.console.request("button", "short")
        self.until(lambda: len(self._code_lines()) == 2, timeout_s, "no code on the display")
        return "-".join(self._code_lines())

    def until_settled(self, timeout_s: float) -> float:
        """Waits until the journal is empty; how long that took."""
        started_s = time.monotonic()
        self.until(lambda: self.waiting() == 0, timeout_s, "the journal was not settled")
        return time.monotonic() - started_s

    def until(self, holds: Callable[[], bool], timeout_s: float, complaint: str) -> None:
        """Listens until something holds; raises DemoError with `complaint` when it never does."""
        deadline_s = time.monotonic() + timeout_s
        while not holds():
            if time.monotonic() > deadline_s:
                raise self.complaint(f"{complaint} within {timeout_s:g} s")
            self.console.listen(_POLL_S)

    def complaint(self, text: str) -> DemoError:
        """An error with what the device said last."""
        return DemoError(f"the scale: {text}\n{self._device.recent_output()[-3000:]}")

    def _code_lines(self) -> list[str]:
        return [line for line in self._last_display if _CODE.fullmatch(line)]

    def _hear(self, line: str) -> None:
        if not line.startswith(_DISPLAY):
            return
        try:
            lines = [str(text) for text in json.loads(line.removeprefix(_DISPLAY))["lines"]]
        except (ValueError, KeyError, TypeError):
            return  # torn by a power cut
        self._last_display = lines
        if lines[:1] == [_STEPPED_ON]:
            self._stepped_on_s = time.monotonic()
        self._screen.display(lines)
