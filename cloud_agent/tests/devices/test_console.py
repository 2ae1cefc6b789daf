"""The console client against a scripted device on a pseudo terminal; `tare device` against one."""

from __future__ import annotations

import contextlib
import os
import pty
import threading
import tty
from collections.abc import Callable, Iterator

import pytest

from cloud_agent.devices.console_client import Console
from cloud_agent.devices.errors import ConsoleError, ConsoleTimeoutError, PortError

Answer = Callable[[str], bytes]


class Line:
    """The device's end of a serial line: each request goes to `answer`, which gives the bytes."""

    def __init__(self) -> None:
        self._master, self._slave = pty.openpty()
        tty.setraw(self._slave)
        self.port = os.ttyname(self._slave)
        self.answer: Answer = lambda line: b"= %b ok\n" % line.split()[0].encode()
        self.requests: list[str] = []
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def say(self, data: bytes) -> None:
        os.write(self._master, data)

    def close(self) -> None:
        """Waits until the device's end is closed, which follows when nobody is at the other."""
        os.close(self._slave)
        self._thread.join(5)

    def _run(self) -> None:
        pending = b""
        with contextlib.suppress(OSError), os.fdopen(self._master, "rb", buffering=0):
            while data := os.read(self._master, 4096):
                pending += data
                while b"\n" in pending:
                    line, _, pending = pending.partition(b"\n")
                    self.requests.append(line.decode())
                    os.write(self._master, self.answer(line.decode()))


@pytest.fixture
def line() -> Iterator[Line]:
    made = Line()
    yield made
    made.close()


@pytest.fixture
def console(line: Line) -> Iterator[Console]:
    with Console(line.port, timeout_s=2) as made:
        yield made


def _reply(text: str) -> Answer:
    return lambda line: f"= {line.split()[0]} {text}\n".encode()


def test_reply_with_json_and_without(line: Line, console: Console) -> None:
    line.answer = _reply('ok {"id": "0123", "journal": [1, 1]}')
    assert console.request("about") == {"id": "0123", "journal": [1, 1]}
    line.answer = _reply("ok")
    assert console.request("button", "short") is None
    assert line.requests == ["1 about", "2 button short"]


def test_device_says_no_in_its_own_words(line: Line, console: Console) -> None:
    line.answer = _reply("error enrolled this device is enrolled already")
    with pytest.raises(ConsoleError, match="this device is enrolled already"):
        console.request("enrol-begin", "00" * 16)


def test_logs_and_events_between_are_no_replies(line: Line) -> None:
    seen: list[str] = []
    line.answer = lambda text: (
        b'# boot\n! display {"lines": ["70.5 kg"]}\n= 99 ok\r\n= %b ok 7\n'
        % text.split()[0].encode()
    )
    with Console(line.port, timeout_s=2, on_line=seen.append) as console:
        assert console.request("about") == 7
        assert console.event("display") == {"lines": ["70.5 kg"]}
        with pytest.raises(ConsoleTimeoutError):
            console.event("display", timeout_s=0.2)  # each event is taken once
    assert seen == ["# boot", '! display {"lines": ["70.5 kg"]}']


def test_events_of_other_names_are_kept(line: Line, console: Console) -> None:
    line.say(b'! display {"lines": []}\n! saved {"sequence": 4}\n')
    assert console.event("saved") == {"sequence": 4}
    assert console.event("display") == {"lines": []}


def test_silence_has_an_end(line: Line, console: Console) -> None:
    line.answer = lambda _: b""
    with pytest.raises(ConsoleTimeoutError, match="no answer to about"):
        console.request("about", timeout_s=0.3)


def test_late_reply_is_not_taken_for_the_next(line: Line, console: Console) -> None:
    line.answer = lambda _: b""
    with pytest.raises(ConsoleTimeoutError):
        console.request("about", timeout_s=0.2)
    line.answer = lambda _: b'= 1 ok "late"\n= 2 ok "right"\n'
    assert console.request("about") == "right"


@pytest.mark.parametrize("text", ["yes", "ok {", "", "ok {}}"])
def test_reply_that_cannot_be_read(line: Line, console: Console, text: str) -> None:
    line.answer = _reply(text)
    with pytest.raises(ConsoleError):
        console.request("about")


def test_noise_and_endless_lines_are_passed_over(line: Line, console: Console) -> None:
    line.say(b"\xff\x00\xfe" * 2000)
    line.say(b"x" * 3000 + b"\n")
    line.answer = _reply("ok 1")
    assert console.request("about") == 1


def test_data_goes_in_lines_that_the_device_can_take(line: Line, console: Console) -> None:
    data = bytes(range(256)) * 4 + b"rest"
    console.send_data(data)
    buffer = bytearray(len(data))
    for request in line.requests:
        assert len(request) < 1024
        _, verb, offset, text = request.split()
        assert verb == "data"
        chunk = bytes.fromhex(text)
        buffer[int(offset) : int(offset) + len(chunk)] = chunk
    assert bytes(buffer) == data
    with pytest.raises(ConsoleError, match="4096"):
        console.send_data(bytes(4097))


def test_request_is_one_line(console: Console) -> None:
    with pytest.raises(ConsoleError):
        console.request("about\n2 reboot")
    with pytest.raises(ConsoleError):
        console.request("x" * 1024)


def test_enrolment_replies_are_checked(line: Line, console: Console) -> None:
    line.answer = _reply('ok {"request": "0a0b"}')
    assert console.enrol_begin(bytes(16)) == b"\x0a\x0b"
    for text in ("ok", "ok {}", 'ok {"request": "xy"}', 'ok {"request": 5}'):
        line.answer = _reply(text)
        with pytest.raises(ConsoleError):
            console.enrol_begin(bytes(16))


def test_port_that_is_not_there() -> None:
    with pytest.raises(PortError, match="cannot open the serial port"):
        Console("/dev/no-such-port")


def test_port_that_goes_away() -> None:
    line = Line()

    def unplugged(_request: str) -> bytes:
        raise OSError

    line.answer = unplugged
    with Console(line.port, timeout_s=5) as console, pytest.raises(PortError, match="went away"):
        console.request("about")
    line.close()
