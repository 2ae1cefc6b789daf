"""NOR flash that keeps the rules of the real thing, in memory or in a file.

A program can only clear bits and only whole units; an erase sets a whole sector. Every step is
written to the file before the next begins, so a killed process leaves what a power cut leaves: a
part of the operation. For tests the power can also be cut inside any chosen operation.
"""
# ruff: noqa: D102 - the operations are described where the interface is, in tare/flash.py

import os

from tare.errors import FlashError
from tare.flash import SECTOR, UNIT, Flash

#: How much of the cut operation happens: nothing, its first half, its second half, the first half
#: and one unit only partly programmed ("bits"; an erase leaves noise everywhere), everything.
TEARS = ("nothing", "half", "tail", "bits", "all")
_ERASE_STEP = 256


class PowerCutError(Exception):
    """The simulated power went away; deliberately not a FirmwareError, nothing may catch it."""


class Memory:
    """Bytes in memory, erased at first."""

    def __init__(self, size: int, content: bytes | None = None) -> None:
        self.data = bytearray(content) if content is not None else bytearray(size)
        self.size = size
        if content is None:
            for at in range(0, size, SECTOR):
                self.write(at, b"\xff" * min(SECTOR, size - at))

    def read(self, at: int, size: int) -> bytes:
        """Return a copy of a range."""
        return bytes(self.data[at : at + size])

    def read_into(self, at: int, buffer: bytearray) -> None:
        """Fill a buffer."""
        buffer[:] = memoryview(self.data)[at : at + len(buffer)]

    def write(self, at: int, data: bytes) -> None:
        """Overwrite a range."""
        self.data[at : at + len(data)] = data


class File:
    """Bytes in a file, made (erased) when missing; each write is one unbuffered system call."""

    def __init__(self, path: str, size: int) -> None:
        self.size = size
        try:
            self._file = open(path, "r+b", 0)  # noqa: SIM115
        except OSError:
            # Under another name first: a process killed here must not leave half a flash.
            with open(path + ".new", "wb") as new:
                for _ in range(size // SECTOR):
                    new.write(b"\xff" * SECTOR)
            os.rename(path + ".new", path)
            self._file = open(path, "r+b", 0)  # noqa: SIM115
        if self._file.seek(0, 2) != size:
            self._file.close()
            raise FlashError("the flash file does not have the size of the flash")

    def read(self, at: int, size: int) -> bytes:
        """Return a range."""
        self._file.seek(at)
        return self._file.read(size)

    def read_into(self, at: int, buffer: bytearray) -> None:
        """Fill a buffer."""
        self._file.seek(at)
        self._file.readinto(buffer)

    def write(self, at: int, data: bytes) -> None:
        """Overwrite a range at once."""
        self._file.seek(at)
        self._file.write(data)

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class Nor(Flash):
    """The rules over a store.

    `operations` counts programs and erases. With `cut_at` = k the k-th of them (from 1) does
    only what `tear` says and raises `PowerCutError`, and so does everything after it.
    """

    def __init__(self, store: Memory | File, cut_at: int = 0, tear: str = "nothing") -> None:
        self._store = store
        self.operations = 0
        self.erases = 0
        self._cut_at = cut_at
        self._tear = tear

    def read(self, address: int, size: int) -> bytes:
        self._check_read(address, size)
        return self._store.read(address, size)

    def read_into(self, address: int, buffer: bytearray) -> None:
        self._check_read(address, len(buffer))
        self._store.read_into(address, buffer)

    def program(self, address: int, data: bytes) -> None:
        self._check(address, len(data))
        if address % UNIT or len(data) % UNIT:
            raise FlashError("program not aligned to its unit")
        old = self._store.read(address, len(data))
        for before, after in zip(old, data):  # noqa: B905 - MicroPython
            if after & ~before:
                raise FlashError("program would turn a zero to one: erase first")
        if self._counts_and_cuts():
            self._torn_program(address, old, data)
        for at in range(0, len(data), UNIT):
            self._store.write(address + at, data[at : at + UNIT])

    def erase(self, sector: int) -> None:
        self._check(sector * SECTOR, SECTOR)
        self.erases += 1
        if self._counts_and_cuts():
            self._torn_erase(sector * SECTOR)
        for at in range(0, SECTOR, _ERASE_STEP):
            self._store.write(sector * SECTOR + at, b"\xff" * _ERASE_STEP)

    def _check_read(self, address: int, size: int) -> None:
        self._check(address, size)
        if self._cut_at and self.operations >= self._cut_at:
            raise PowerCutError

    def _check(self, address: int, size: int) -> None:
        if address < 0 or size < 0 or address + size > self._store.size:
            raise FlashError("address outside the flash")

    def _counts_and_cuts(self) -> bool:
        if self._cut_at and self.operations >= self._cut_at:
            raise PowerCutError
        self.operations += 1
        return self.operations == self._cut_at

    def _torn_program(self, address: int, old: bytes, data: bytes) -> None:
        half = len(data) // UNIT // 2 * UNIT
        if self._tear == "half":
            self._store.write(address, data[:half])
        elif self._tear == "tail":
            self._store.write(address + half, data[half:])
        elif self._tear == "bits":
            # The unit in progress has cleared only some of its bits.
            unit = data[half : half + UNIT]
            torn = bytes((new | 0x55) & before for new, before in zip(unit, old[half:]))  # noqa: B905
            self._store.write(address, data[:half] + torn)
        elif self._tear == "all":
            self._store.write(address, data)
        raise PowerCutError

    def _torn_erase(self, address: int) -> None:
        old = self._store.read(address, SECTOR)
        if self._tear == "half":
            self._store.write(address, b"\xff" * (SECTOR // 2))
        elif self._tear == "tail":
            self._store.write(address + SECTOR // 2, b"\xff" * (SECTOR // 2))
        elif self._tear == "bits":
            self._store.write(address, bytes(byte | 0x5A for byte in old))
        elif self._tear == "all":
            self._store.write(address, b"\xff" * SECTOR)
        raise PowerCutError
