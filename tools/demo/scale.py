"""The scale's side of the demo: a virtual device, and a session on its serial console.

The console is read by a thread, as a person would look at the display: events are kept in order,
and the acts wait for the one that they need.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import serial

from tools.demo.errors import DemoError
from tools.demo.screen import Screen
from tools.virtual_device import VirtualDevice

_REPLY_S = 20.0
_POLL_S = 0.02


@dataclass
class Event:
    """One `! name {...}` line of the console."""

    name: str
    data: dict[str, Any]


@dataclass
class _Heard:
    """What the reading thread has collected, under one lock."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    replies: dict[int, str] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)


class Scale:
    """One virtual scale with its flash file, its power switch and its console."""

    def __init__(self, name: str, flash: Path, screen: Screen) -> None:
        self.name = name
        self.flash = flash
        self._screen = screen
        self._device = VirtualDevice(flash)
        self._heard = _Heard()
        self._line: serial.Serial | None = None
        self._reader: threading.Thread | None = None
        self._next_number = 1
        #: Whether what the display shows goes to the screen.
        self.shown = True

    @property
    def port(self) -> str:
        """The path of its serial port."""
        return self._device.port

    def power_on(self) -> None:
        """Switches it on and waits until its console answers."""
        self._device.start()
        with self.console():
            self.ask("about")

    def power_cut(self) -> None:
        """SIGKILL, in the midst of whatever it does."""
        self._device.kill()

    def close(self) -> None:
        """Switches it off for good."""
        self._device.close()

    def recent_output(self) -> str:
        """What it said last, for failure messages."""
        return self._device.recent_output()

    @contextmanager
    def console(self) -> Iterator[None]:
        """Holds the console open; other programs cannot use the port meanwhile."""
        if self._line is not None:
            yield
            return
        self._line = serial.Serial(self.port, timeout=_POLL_S)
        ended = threading.Event()
        self._reader = threading.Thread(target=self._read, args=(self._line, ended), daemon=True)
        self._reader.start()
        try:
            yield
        finally:
            ended.set()
            self._reader.join()
            self._line.close()
            self._line = None

    def ask(self, request: str, timeout_s: float = _REPLY_S) -> Any:
        """Sends one request and waits for its reply; the reply's JSON, or None without one."""
        if self._line is None:
            raise DemoError("the console is not open")
        number = self._next_number
        deadline_s = time.monotonic() + timeout_s
        while True:
            # A request that was sent while the device booted is lost: it is sent again, with a
            # number of its own.
            self._line.write(f"{self._next_number} {request}\n".encode())
            self._next_number += 1
            again_s = min(deadline_s, time.monotonic() + (2 if request == "about" else timeout_s))
            reply = self._await_reply(number, again_s)
            if reply is not None:
                return _parse_reply(request, reply)
            if time.monotonic() >= deadline_s:
                raise DemoError(f"{self.name}: no reply to {request!r}:\n{self.recent_output()}")

    def mark(self) -> int:
        """A place in the row of events, for `events_since` and `wait_event`."""
        with self._heard.lock:
            return len(self._heard.events)

    def events_since(self, mark: int, name: str) -> list[Event]:
        """All events of that name since `mark`."""
        with self._heard.lock:
            return [event for event in self._heard.events[mark:] if event.name == name]

    def wait_event(
        self,
        mark: int,
        name: str,
        timeout_s: float,
        wanted: Callable[[dict[str, Any]], bool] = lambda _data: True,
    ) -> dict[str, Any]:
        """The first event of that name since `mark` that is wanted."""
        deadline_s = time.monotonic() + timeout_s
        while time.monotonic() < deadline_s:
            for event in self.events_since(mark, name):
                if wanted(event.data):
                    return event.data
            time.sleep(_POLL_S)
        raise DemoError(
            f"{self.name}: no event {name!r} within {timeout_s:g} s:\n{self.recent_output()}"
        )

    def display_since(self, mark: int) -> list[list[str]]:
        """What the display showed since `mark`."""
        return [list(event.data.get("lines", [])) for event in self.events_since(mark, "display")]

    def _await_reply(self, first: int, until_s: float) -> str | None:
        while time.monotonic() < until_s:
            with self._heard.lock:
                for number in range(first, self._next_number):
                    if number in self._heard.replies:
                        return self._heard.replies.pop(number)
            time.sleep(_POLL_S)
        return None

    def _read(self, line: serial.Serial, ended: threading.Event) -> None:
        kept = b""
        while not ended.is_set():
            kept += line.read(4096)
            *whole, kept = kept.split(b"\n")
            for raw in whole:
                self._hear(raw.decode(errors="replace").strip("\r"))

    def _hear(self, text: str) -> None:
        kind, _, rest = text.partition(" ")
        if kind == "=":
            number, _, reply = rest.partition(" ")
            if number.isdigit():
                with self._heard.lock:
                    self._heard.replies[int(number)] = reply
        elif kind == "!":
            self._hear_event(rest)

    def _hear_event(self, rest: str) -> None:
        name, _, body = rest.partition(" ")
        try:
            data = json.loads(body or "{}")
        except ValueError:
            return  # torn by a power cut
        with self._heard.lock:
            self._heard.events.append(Event(name, data))
        if name == "display" and self.shown:
            self._screen.display(data.get("lines", []))


def _parse_reply(request: str, reply: str) -> Any:
    outcome, _, rest = reply.partition(" ")
    if outcome != "ok":
        raise DemoError(f"the scale answered {request!r} with: {reply}")
    return json.loads(rest) if rest else None
