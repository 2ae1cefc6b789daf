"""A virtual scale of one test: its power, its console, and everything that it ever said."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cloud_agent.devices.console_client import Console
from cloud_agent.devices.errors import ConsoleTimeoutError
from hil_tests.rig.waiting import until
from tools.virtual_device import VirtualDevice

_BOOT_S = 20
_WEIGH_S = 20
# Awake for three seconds, then five without anything; a result is shown for five.
_FALLS_ASLEEP_S = 30
_SHOWN_WEIGHT = re.compile(r"(?<![\d.])(\d{1,3})\.(\d{1,2}) ?(kg|lb)\b")
_POUND_G = 453.59237


@dataclass(frozen=True)
class Event:
    """`! name JSON`, and where in the capture it ended."""

    name: str
    data: Any
    end: int


@dataclass(frozen=True)
class Saved:
    """A reading that the person was told is saved: its sequence, and the weight last shown."""

    sequence: int
    grams: int


class Scale:
    """`capture` has the whole serial output, over all power cuts; events are read from it."""

    def __init__(self, folder: Path, *, options: Sequence[str] = ("--fast",)) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.flash = folder / "scale.flash"
        self.capture = folder / "serial.txt"
        self.capture.touch()
        self._device = VirtualDevice(self.flash, options=options, capture=self.capture)
        self._line = threading.Lock()

    @property
    def port(self) -> str:
        """Its serial port."""
        return self._device.port

    def power_on(self) -> None:
        """Switches it on and waits until its console answers."""
        self._device.start()
        until(self._answers, "the scale's console answers", timeout_s=_BOOT_S)

    def cut_power(self) -> None:
        """SIGKILL, whatever it does."""
        self._device.kill()

    @property
    def asleep(self) -> bool:
        """Whether it is in deep sleep."""
        return self._device.asleep

    def sleep_through(self, seconds: float, *, ppm: int = 0) -> None:
        """Let it fall asleep, then let time pass, which its clock counts wrong by `ppm`."""
        until(lambda: self.asleep, "the scale falls asleep", timeout_s=_FALLS_ASLEEP_S)
        self._device.clock_ppm = ppm
        self._device.let_pass(seconds)

    def close(self) -> None:
        """Off for good."""
        self._device.close()

    def ask(self, verb: str, *arguments: str | int) -> Any:
        """One request; the JSON of its reply."""
        # Opened anew each time: what a power cut tore would spoil the next reply. One at a time:
        # two readers of one port would take each other's bytes.
        with self._line, Console(self.port) as console:
            return console.request(verb, *arguments)

    @property
    def kept(self) -> int:
        """How many records are in its journal."""
        oldest, following = self.ask("about")["journal"]
        return int(following) - int(oldest)

    def mark(self) -> int:
        """A place in the capture."""
        return self.capture.stat().st_size

    def said(self, since: int = 0) -> str:
        """Its serial output since a mark."""
        return self.capture.read_bytes()[since:].decode(errors="replace")

    def events(self, since: int = 0) -> Iterator[Event]:
        """All whole events since a mark. A line that a power cut tore is none."""
        raw = self.capture.read_bytes()
        position = since
        while (end := raw.find(b"\n", position)) >= 0:
            line, position = raw[position:end], end + 1
            if line.startswith(b"! "):
                name, _, text = line[2:].decode(errors="replace").partition(" ")
                try:
                    data = json.loads(text)
                except ValueError:
                    continue
                yield Event(name, data, position)

    def wait_event(
        self,
        name: str,
        since: int,
        *,
        wanted: Callable[[Any], bool] = lambda _data: True,
        timeout_s: float = _WEIGH_S,
    ) -> Event:
        """The first such event since a mark."""

        def found() -> Event | None:
            events = self.events(since)
            return next((e for e in events if e.name == name and wanted(e.data)), None)

        return until(found, f"the scale's event {name}", timeout_s=timeout_s)

    def saved(self, since: int = 0) -> list[Saved]:
        """Every reading that was announced as saved, with the weight shown before that."""
        found, shown_g = [], None
        for event in self.events(since):
            if event.name == "display":
                shown_g = _weight_g(event.data["lines"]) or shown_g
            elif event.name == "saved":
                assert shown_g is not None, "a reading was saved and no weight had been shown"
                found.append(Saved(int(event.data["sequence"]), shown_g))
        return found

    def weigh(self, grams: int) -> Saved:
        """A person steps on; returns when the reading is announced as saved."""
        since = self.mark()
        self.ask("sim", "step-on", grams)
        self.wait_event("saved", since)
        return self.saved(since)[0]

    def _answers(self) -> bool:
        assert self._device.running, f"the firmware ended:\n{self._device.recent_output()}"
        try:
            with self._line, Console(self.port, timeout_s=1) as console:
                console.request("about")
        except ConsoleTimeoutError:
            return False
        return True


def _weight_g(lines: Sequence[str]) -> int | None:
    found = _SHOWN_WEIGHT.search(" | ".join(lines))
    if found is None:
        return None
    thousandths = int(found[1]) * 1000 + int(found[2].ljust(3, "0"))
    # What is shown in pounds has one decimal: it tells the weight to 23 g.
    return thousandths if found[3] == "kg" else round(thousandths * _POUND_G / 1000)
