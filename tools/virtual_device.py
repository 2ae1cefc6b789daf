"""A virtual scale: the firmware in real MicroPython, on a flash file, behind a serial port.

The port is a pseudo terminal that stays the same over power cuts. Like a real serial line it
drops what nobody takes away, in both directions, so that neither side can stop the other. Run as
`python -m tools.virtual_device --flash FILE` it prints the port and works until interrupted.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import pty
import selectors
import signal
import subprocess
import sys
import termios
import threading
import time
import tty
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from types import FrameType, TracebackType
from typing import Self

from tools import flash_file, micropython
from tools.environment import ENVIRONMENT, ROOT
from tools.errors import ToolError

FIRMWARE = ROOT / "firmware"
_ENTRY = FIRMWARE / "boards" / "unix" / "run.py"
_LOADER = FIRMWARE / "loader" / "run_unix.py"
#: The exit codes by which the firmware asks for a reset, or a deep sleep: the host plays both.
RESET_CODE = 75
SLEEP_CODE = 76
# The firmware's watchdog is the host's alarm clock: it ends a program that does not put it off.
_WATCHDOG = signal.SIGALRM
_CHUNK = 4096
_RECENT_CHUNKS = 256
_END_TIMEOUT_S = 10
_BEGIN_TIMEOUT_S = 0.5
# While it sleeps: how often to look whether the power was cut or time was let pass.
_SLEEP_POLL_S = 0.05
# Where in the file of what is retained the firmware says how long to sleep: see its board.
_SLEEP_MS_AT = slice(16, 24)


class VirtualDevice:
    """One device: `start` is power on, `kill` is a power cut at whatever it was doing."""

    def __init__(
        self,
        flash: Path,
        *,
        options: Sequence[str] = (),
        capture: Path | None = None,
        from_flash: bool = False,
    ) -> None:
        """`capture`: a file that gets everything that the device says, also what nobody reads.
        `from_flash`: starts the image in its flash, in place of the sources here.
        """
        # Resolved for the firmware, as it was named for messages.
        self._flash, self._named = flash.resolve(), flash
        self._lock: int | None = None
        self._options = tuple(options)
        self._entry = _LOADER if from_flash else _ENTRY
        # The image may find nothing of the sources: what it lacks must be noticed.
        self._path = (".frozen",) if from_flash else (".frozen", str(ROOT), str(FIRMWARE))
        self._capture = capture
        self._master, self._slave = pty.openpty()
        # The host may never turn echo on: an echo would come back to the device as input.
        tty.setraw(self._slave)
        os.set_blocking(self._master, False)
        self._process: subprocess.Popen[bytes] | None = None
        self._relay: threading.Thread | None = None
        self._recent: deque[bytes] = deque(maxlen=_RECENT_CHUNKS)
        self._powered = False
        #: How often the firmware, or its watchdog, reset the device since power on.
        self.resets = 0
        #: How often it woke from deep sleep.
        self.wakes = 0
        #: How much too fast the clock runs that counts in deep sleep, in parts per million.
        self.clock_ppm = 0
        self._let_passed_s = 0.0
        self._asleep = False

    @property
    def port(self) -> str:
        """The path of the serial port; the same for the life of this object."""
        return os.ttyname(self._slave)

    @property
    def running(self) -> bool:
        """Whether the device is powered and its program alive."""
        process = self._process
        alive = process is not None and process.poll() is None
        return self._powered and (alive or self._asleep)

    @property
    def asleep(self) -> bool:
        """Whether it is in deep sleep: only its clock runs, and what wakes it."""
        return self._asleep

    def let_pass(self, seconds: float) -> None:
        """While it sleeps: these seconds pass as well, at most until it wakes by itself."""
        self._let_passed_s += seconds

    def recent_output(self) -> str:
        """What the device said last, for failure messages."""
        return b"".join(list(self._recent)).decode(errors="replace")

    def start(self) -> None:
        """Power on. What was sent to the port while it was off is lost.

        Raises FlashFileError when the file is no flash, or another scale runs on it.
        """
        if self._powered:
            raise ToolError("the virtual device is on already")
        self._release()
        self._lock = flash_file.hold(self._named)
        termios.tcflush(self._master, termios.TCIFLUSH)
        self._retained.unlink(missing_ok=True)  # of a host that was killed
        self._powered = True
        self.resets = self.wakes = 0
        self._process = self._spawn()
        self._relay = threading.Thread(target=self._run, daemon=True, name=f"relay {self.port}")
        self._relay.start()

    def kill(self) -> None:
        """Power cut: SIGKILL, nothing is finished."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """Ends the program in an orderly way."""
        self._end(signal.SIGTERM)

    def wait(self, timeout_s: float | None = None) -> int | None:
        """Waits until the program ended by itself; its exit code, or None when it goes on."""
        if self._relay is not None:
            self._relay.join(timeout_s)
        process = self._process
        return None if process is None or self.running else process.returncode

    def close(self) -> None:
        """Power off, and the port goes away."""
        self.kill()
        for descriptor in (self._master, self._slave):
            with contextlib.suppress(OSError):
                os.close(descriptor)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _spawn(self, *more: str) -> subprocess.Popen[bytes]:
        command = [*micropython.find_or_unpack(), str(self._entry)]
        command += ["--flash", str(self._flash), *self._options, *more]
        return subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, "MICROPYPATH": ":".join(self._path)},
            # An interrupt at the terminal is for the host program, which then ends the device.
            start_new_session=True,
            # When the host is killed, the flash stays locked until the firmware has ended too.
            pass_fds=() if self._lock is None else (self._lock,),
        )

    def _release(self) -> None:
        lock, self._lock = self._lock, None
        if lock is not None:
            os.close(lock)

    def _end(self, how: signal.Signals) -> None:
        process, relay = self._process, self._relay
        self._powered = False
        if process is None or relay is None:
            self._release()
            return
        process.send_signal(how)
        if _has_begun(relay):
            relay.join(_END_TIMEOUT_S)
        else:
            with process:  # closes its pipes and waits: nobody else does
                process.kill()
        while relay.is_alive():
            # It reset itself just then, or does not obey.
            if self._process is not None:
                self._process.kill()
            relay.join(0.1)
        self._process = self._relay = None
        # Without power nothing is retained, also when it slept.
        self._retained.unlink(missing_ok=True)
        self._release()

    @property
    def _retained(self) -> Path:
        return self._flash.with_name(self._flash.name + ".retained")

    def _run(self) -> None:
        """The relay thread: serves one program after the other while each ends in a reset."""
        said = b""
        while True:
            process = self._process
            if process is None:
                return
            self._serve(process, said)
            code, said = process.wait(), b""
            if code == SLEEP_CODE:
                slept_ms, said = self._sleep()
            if not self._powered or code not in {RESET_CODE, SLEEP_CODE, -_WATCHDOG}:
                return
            if code == SLEEP_CODE:
                self.wakes += 1
                self._process = self._spawn("--slept", str(slept_ms))
                self._asleep = False
            else:
                self.resets += 1
                bitten = code == -_WATCHDOG
                self._process = self._spawn("--bitten") if bitten else self._spawn()

    def _sleep(self) -> tuple[int, bytes]:
        """Deep sleep: only a clock runs. Ends by time, by a byte on the console, or by a power cut.

        Returns the milliseconds that the clock counted, and the bytes that woke it.
        """
        sleep_ms = int.from_bytes(self._retained.read_bytes()[_SLEEP_MS_AT], "big")
        self._let_passed_s = 0.0
        began_s = time.monotonic()
        self._asleep = True
        with selectors.DefaultSelector() as selector:
            selector.register(self._master, selectors.EVENT_READ)
            while True:
                woken = selector.select(_SLEEP_POLL_S)
                passed_s = time.monotonic() - began_s + self._let_passed_s
                slept_ms = int(passed_s * (1000 + self.clock_ppm / 1000))
                if not self._powered:
                    self._asleep = False
                    return slept_ms, b""
                if woken:
                    return slept_ms, os.read(self._master, _CHUNK)
                if slept_ms >= sleep_ms:
                    return sleep_ms, b""

    def _serve(self, process: subprocess.Popen[bytes], said: bytes) -> None:
        """Carries bytes both ways until the program ends; `said` is what woke it."""
        if process.stdin is None or process.stdout is None:
            return
        to_device, from_device = process.stdin.fileno(), process.stdout.fileno()
        os.set_blocking(to_device, False)
        with process.stdin, process.stdout, selectors.DefaultSelector() as selector:
            selector.register(from_device, selectors.EVENT_READ)
            selector.register(self._master, selectors.EVENT_READ)
            _write_or_drop(to_device, said)
            while True:
                for key, _ in selector.select():
                    if key.fd == from_device:
                        chunk = os.read(from_device, _CHUNK)
                        if not chunk:
                            return
                        self._keep(chunk)
                        _write_or_drop(self._master, chunk)
                    else:
                        _write_or_drop(to_device, os.read(self._master, _CHUNK))

    def _keep(self, chunk: bytes) -> None:
        self._recent.append(chunk)
        if self._capture is not None:
            with self._capture.open("ab") as file:
                file.write(chunk)


def _has_begun(thread: threading.Thread) -> bool:
    """An interrupt may have come while the thread was being started: it begins late, or never."""
    deadline_s = time.monotonic() + _BEGIN_TIMEOUT_S
    while thread.ident is None and time.monotonic() < deadline_s:
        time.sleep(0.01)
    return thread.ident is not None


def _write_or_drop(descriptor: int, chunk: bytes) -> None:
    """Nobody takes it away, or nobody is there: on a serial line it is lost."""
    with contextlib.suppress(BlockingIOError, BrokenPipeError):
        os.write(descriptor, chunk)


def _tare() -> str:
    """The command as it can be entered where we were started."""
    tare = ENVIRONMENT / "bin" / "tare"
    here = Path.cwd()
    return str(tare.relative_to(here) if tare.is_relative_to(here) else tare)


def _main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="python3 tools/dev.py device",
        description="Start a virtual scale on a serial port of its own; Ctrl-C ends it.",
    )
    parser.add_argument("--flash", type=Path, required=True, metavar="FILE")
    parser.add_argument("--from-flash", action="store_true")
    parser.add_argument("--prompt", action="store_true")
    options = parser.parse_args(arguments)
    if not options.flash.resolve().parent.is_dir():
        raise ToolError(f"there is no folder {options.flash.resolve().parent}")

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupt)
    with VirtualDevice(
        options.flash,
        options=["--prompt"] if options.prompt else [],
        from_flash=options.from_flash or options.prompt,
    ) as device:
        following = "firmware flash" if options.prompt else "device enroll"
        print(
            f"serial port: {device.port} (flash {options.flash}; Ctrl-C switches it off)\n"
            f"Next: {_tare()} {following} --port {device.port}",
            flush=True,
        )
        try:
            code = device.wait()
        except KeyboardInterrupt:
            device.stop()
            return 0
        sys.stderr.write(device.recent_output())
        raise ToolError(f"the firmware ended by itself with code {code}")


if __name__ == "__main__":
    try:
        sys.exit(_main(sys.argv[1:]))
    except ToolError as error:
        sys.stderr.write(f"device: {error}\n")
        sys.exit(error.exit_code)
