"""Speaks with a device over its serial console (SPEC 11): `Console`. Blocking; every wait ends.
Touches one serial port. Nothing that goes over the line is logged: it shows codes and weights.
"""

from __future__ import annotations

import errno
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import serial

from cloud_agent.devices.errors import ConsoleError, ConsoleTimeoutError, PortError

_BAUD = 115200
_MAX_LINE_TO_DEVICE = 1024
_MAX_LINE_FROM_DEVICE = 2048
_DATA_PER_LINE = 256
_DATA_BUFFER = 4096
_READ_S = 0.05
# Making three keys and signing takes a small board several seconds.
_SLOW_S = 60.0
_REASONS: dict[int | None, str] = {
    errno.ENOENT: ": there is no such port",
    errno.EACCES: ": permission denied (on Linux, be in the group dialout)",
    errno.EBUSY: ": another program has it",
}


@dataclass(frozen=True, slots=True)
class Event:
    """`! name JSON`: something happened on the device."""

    name: str
    data: Any


class Console:
    """An open console.

    with Console("/dev/ttyUSB0") as console:
        about = console.request("about")

    `on_line` gets every log line and event as text, in the order of arrival.
    """

    def __init__(
        self,
        port: str,
        *,
        timeout_s: float = 10.0,
        on_line: Callable[[str], None] | None = None,
    ) -> None:
        self._timeout_s = timeout_s
        self._on_line = on_line
        self._number = 0
        self._pending = bytearray()
        self._overlong = False
        self._events: list[Event] = []
        try:
            self._serial = serial.serial_for_url(port, _BAUD, timeout=_READ_S, write_timeout=5)
        except (OSError, ValueError) as error:
            reason = _REASONS.get(getattr(error, "errno", None), "")
            raise PortError(f"cannot open the serial port {port}{reason}") from error

    def request(self, verb: str, *arguments: str | int, timeout_s: float | None = None) -> Any:
        """Sends a request; returns the JSON of its reply, or None where it has none.

        Raises ConsoleError with the device's own words, ConsoleTimeoutError, PortError.
        """
        self._number += 1
        line = " ".join([str(self._number), verb, *map(str, arguments)]) + "\n"
        if not line.isascii() or len(line) > _MAX_LINE_TO_DEVICE or "\n" in line[:-1]:
            raise ConsoleError("a request is one line of ASCII, of at most 1,024 bytes")
        self._write(line.encode("ascii"))
        prefix = f"= {self._number} "
        deadline = time.monotonic() + (timeout_s or self._timeout_s)
        while True:
            reply = self._next_line(deadline, f"no answer to {verb}")
            if reply.startswith(prefix):
                return _result(reply.removeprefix(prefix))

    def event(self, name: str, *, timeout_s: float | None = None) -> Any:
        """Waits for an event, or takes the oldest that came already; returns its JSON."""
        deadline = time.monotonic() + (timeout_s or self._timeout_s)
        while True:
            for index, event in enumerate(self._events):
                if event.name == name:
                    del self._events[index]
                    return event.data
            self._next_line(deadline, f"no event {name}")

    def listen(self, seconds: float) -> None:
        """Takes what comes for so long; it goes to `on_line`, events are kept for `event`."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            line = self._read_line()
            if line is not None:
                self._take(line)

    def send_data(self, data: bytes) -> None:
        """Fills the device's buffer, 256 bytes a line."""
        if len(data) > _DATA_BUFFER:
            raise ConsoleError(f"the device takes at most {_DATA_BUFFER} bytes")
        for offset in range(0, len(data), _DATA_PER_LINE):
            self.request("data", offset, data[offset : offset + _DATA_PER_LINE].hex())

    def enrol_begin(self, challenge: bytes) -> bytes:
        """SPEC 10.1: returns the device's signed request."""
        reply = self.request("enrol-begin", challenge.hex(), timeout_s=_SLOW_S)
        try:
            return bytes.fromhex(reply["request"])
        except (TypeError, KeyError, ValueError) as error:
            raise ConsoleError("the device's enrolment request cannot be read") from error

    def enrol_finish(self, reply: bytes) -> str:
        """SPEC 10.3: hands over the cloud's reply; returns the id that the device now has."""
        self.send_data(reply)
        answer = self.request("enrol-finish", len(reply), timeout_s=_SLOW_S)
        try:
            return str(answer["id"])
        except (TypeError, KeyError) as error:
            raise ConsoleError("the device did not say that it is enrolled") from error

    def close(self) -> None:
        """Closes the port; a second call does nothing."""
        self._serial.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self.close()

    def _next_line(self, deadline: float, complaint: str) -> str:
        while time.monotonic() < deadline:
            line = self._read_line()
            if line is not None:
                self._take(line)
                return line
        raise ConsoleTimeoutError(f"{complaint}: is the device on, and is this its port?")

    def _take(self, line: str) -> None:
        if line.startswith("! "):
            name, _, data = line[2:].partition(" ")
            self._events.append(Event(name, _json(data)))
        if self._on_line is not None and not line.startswith("= "):
            self._on_line(line)

    def _read_line(self) -> str | None:
        """The next whole line; None when there is none yet. What is none is dropped."""
        while (end := self._pending.find(b"\n")) < 0:
            if len(self._pending) > _MAX_LINE_FROM_DEVICE:
                self._pending.clear()
                self._overlong = True
            if not self._fill():
                return None
        line = bytes(self._pending[:end])
        del self._pending[: end + 1]
        if self._overlong:
            self._overlong = False
            return None
        text = line.rstrip(b"\r").decode("ascii", errors="replace")
        # Packets of Improv come between the lines (SPEC 11.4), and names of networks in them.
        return text if text.isascii() and text.isprintable() else None

    def _fill(self) -> bool:
        try:
            data = self._serial.read(max(1, self._serial.in_waiting))
        except (OSError, TypeError) as error:
            raise PortError("the serial port went away") from error
        self._pending += data
        return bool(data)

    def _write(self, data: bytes) -> None:
        try:
            # No flush: it waits without end for a port that takes nothing.
            self._serial.write(data)
        except OSError as error:
            raise PortError("the serial port went away") from error


def _result(text: str) -> Any:
    kind, _, rest = text.partition(" ")
    if kind == "ok":
        return _json(rest)
    if kind == "error":
        code, _, words = rest.partition(" ")
        raise ConsoleError(f"the device says: {words or code}")
    raise ConsoleError("the device's reply cannot be read")


def _json(text: str) -> Any:
    if not text.strip():
        return None
    try:
        return json.loads(text)
    except ValueError as error:
        raise ConsoleError("the device's reply cannot be read") from error
