"""Runs the rig image in QEMU and speaks to its raw REPL over a pipe.

Time on the board is a count of instructions (`-icount shift=5`, 32 ns each), so what it measures
is the same on every host and in every run.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from hil_tests.board.errors import BoardError
from hil_tests.board.image import EMULATOR, Image

#: The board's 16 MiB of external memory, which stand in for its flash.
_FLASH_ADDRESS = 0x21000000
FLASH_SIZE = 16 << 20
_MACHINE = "mps2-an385,memory-backend=flash"
_START_TIMEOUT_S = 30.0
_END_TIMEOUT_S = 10.0
_ENTER_RAW = b"\r\x03\x01"
_RAW_PROMPT = b"raw REPL; CTRL-B to exit\r\n>"
_END = b"\x04"
_MARK = "\x1e"
_TAIL = 2000
_MOUNT = f"""
import sys, uctypes, vfs
vfs.mount(vfs.VfsRom(uctypes.bytearray_at({_FLASH_ADDRESS}, {FLASH_SIZE})), "/rom")
sys.path.append("/rom")
"""


@dataclass(frozen=True)
class Count:
    """What one counted call cost (see device/rig.py); garbage is -1 where it was not counted."""

    instructions: int
    garbage_bytes: int


@dataclass(frozen=True)
class Run:
    """What a program printed, and its counted calls by name."""

    output: str
    counts: dict[str, Count]


class Board:
    """One powered board with a ROM file system mounted at /rom and on the module search path."""

    def __init__(self, image: Image, rom: bytes) -> None:
        if len(rom) > FLASH_SIZE:
            raise BoardError(f"the ROM file system has {len(rom)} bytes, the flash {FLASH_SIZE}")
        self._image = image
        self._rom = rom
        self._closing = contextlib.ExitStack()
        self._received = bytearray()

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            self._start(stack)
            self._closing = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._closing.close()

    def run(self, program: str, *, timeout_s: float = 60.0) -> Run:
        """Runs `program` at the board's prompt; BoardError with the traceback if it raises.

        Names that it defines stay for the next one.
        """
        self._send(program.encode() + _END)
        deadline_s = time.monotonic() + timeout_s
        self._read_until(b"OK", deadline_s)
        printed = self._read_until(_END, deadline_s).decode(errors="replace")
        raised = self._read_until(_END, deadline_s).decode(errors="replace")
        self._read_until(b">", deadline_s)
        if raised:
            raise BoardError(f"the program failed on the board:\n{printed[-_TAIL:]}{raised}")
        return _split(printed)

    def _start(self, stack: contextlib.ExitStack) -> None:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tare-board-")))
        flash = folder / "flash"
        with flash.open("wb") as file:
            file.write(self._rom)
            file.truncate(FLASH_SIZE)
        self._process = subprocess.Popen(
            command(self._image.firmware, flash, serial="stdio"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        stack.callback(self._stop)
        self._selector = stack.enter_context(selectors.DefaultSelector())
        self._selector.register(self._output, selectors.EVENT_READ)
        self._received.clear()
        self._send(_ENTER_RAW)
        self._read_until(_RAW_PROMPT, time.monotonic() + _START_TIMEOUT_S)
        self.run(_MOUNT)

    @property
    def _output(self) -> int:
        assert self._process.stdout is not None
        return self._process.stdout.fileno()

    def _stop(self) -> None:
        self._process.kill()
        self._process.communicate(timeout=_END_TIMEOUT_S)

    def _send(self, data: bytes) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(data)
            self._process.stdin.flush()
        except OSError as error:
            raise BoardError(f"the board is gone: {self._tail()}") from error

    def _read_until(self, mark: bytes, deadline_s: float) -> bytes:
        """Takes what was received up to `mark`, which is taken away as well."""
        while (at := self._received.find(mark)) < 0:
            if not self._selector.select(max(0.0, deadline_s - time.monotonic())):
                raise BoardError(f"the board did not answer in time: {self._tail()}")
            data = os.read(self._output, 1 << 16)
            if not data:
                raise BoardError(f"the emulator ended: {self._tail()}")
            self._received += data
        taken = bytes(self._received[:at])
        del self._received[: at + len(mark)]
        return taken

    def _tail(self) -> str:
        return self._received[-_TAIL:].decode(errors="replace") or "it said nothing"


def command(firmware: Path, flash: Path, *, serial: str) -> list[str]:
    """What starts the emulator; `serial` is where QEMU connects the board's console."""
    memory = f"memory-backend-file,id=flash,size={FLASH_SIZE},mem-path={flash},share=on"
    return [
        *(EMULATOR, "-machine", _MACHINE, "-object", memory, "-kernel", str(firmware)),
        *("-icount", "shift=5", "-semihosting"),
        *("-display", "none", "-monitor", "none", "-serial", serial),
    ]


def _split(printed: str) -> Run:
    output: list[str] = []
    counts: dict[str, Count] = {}
    # Not splitlines, which takes the mark for the end of a line.
    for line in printed.replace("\r\n", "\n").split("\n"):
        if line.startswith(_MARK):
            name, instructions, garbage = line[1:].split()
            counts[name] = Count(int(instructions), int(garbage))
        else:
            output.append(line)
    return Run("\n".join(output), counts)
