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
#: The exit code by which the firmware asks for a reset: the unix build cannot reset itself.
RESET_CODE = 75
# The firmware's watchdog is the host's alarm clock: it ends a program that does not put it off.
_WATCHDOG = signal.SIGALRM
_CHUNK = 4096
_RECENT_CHUNKS = 256
_END_TIMEOUT_S = 10
_BEGIN_TIMEOUT_S = 0.5


class VirtualDevice:
    """One device: `start` is power on, `kill` is a power cut at whatever it was doing."""

    def __init__(
        self, flash: Path, *, options: Sequence[str] = (), capture: Path | None = None
    ) -> None:
        """`capture`: a file that gets everything that the device says, also what nobody reads."""
        # Resolved for the firmware, as it was named for messages.
        self._flash, self._named = flash.resolve(), flash
        self._lock: int | None = None
        self._options = tuple(options)
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

    @property
    def port(self) -> str:
        """The path of the serial port; the same for the life of this object."""
        return os.ttyname(self._slave)

    @property
    def running(self) -> bool:
        """Whether the device is powered and its program alive."""
        process = self._process
        return self._powered and process is not None and process.poll() is None

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
        self._powered = True
        self.resets = 0
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
        command = [*micropython.find_or_unpack(), str(_ENTRY)]
        command += ["--flash", str(self._flash), *self._options, *more]
        path = [".frozen", str(ROOT), str(FIRMWARE)]
        return subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, "MICROPYPATH": ":".join(path)},
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
        self._release()

    def _run(self) -> None:
        """The relay thread: serves one program after the other while each ends in a reset."""
        while True:
            process = self._process
            if process is None:
                return
            self._serve(process)
            code = process.wait()
            bitten = code == -_WATCHDOG
            if not self._powered or not (bitten or code == RESET_CODE):
                return
            self.resets += 1
            self._process = self._spawn("--bitten") if bitten else self._spawn()

    def _serve(self, process: subprocess.Popen[bytes]) -> None:
        if process.stdin is None or process.stdout is None:
            return
        to_device, from_device = process.stdin.fileno(), process.stdout.fileno()
        os.set_blocking(to_device, False)
        with process.stdin, process.stdout, selectors.DefaultSelector() as selector:
            selector.register(from_device, selectors.EVENT_READ)
            selector.register(self._master, selectors.EVENT_READ)
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
    options = parser.parse_args(arguments)
    if not options.flash.resolve().parent.is_dir():
        raise ToolError(f"there is no folder {options.flash.resolve().parent}")

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupt)
    with VirtualDevice(options.flash) as device:
        print(
            f"serial port: {device.port} (flash {options.flash}; Ctrl-C switches it off)\n"
            f"Next: {_tare()} device enroll --port {device.port}",
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
