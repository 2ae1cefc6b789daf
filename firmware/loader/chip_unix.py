"""The virtual device's flash as the loader sees it: the file that boards/unix has its flash in.

A program only clears bits, as in NOR flash; what follows from breaking that rule the digest finds.
"""
# ruff: noqa: D102 - the methods are described in slots.py

from loader import slots

BOARD = "unix"
_STEP = 256


class FileChip(slots.Chip):
    """An open flash file."""

    def __init__(self, path: str) -> None:
        self._file = open(path, "r+b", 0)  # noqa: SIM115 - it stays open

    def read_into(self, address: int, buffer: "bytearray | memoryview") -> None:
        self._file.seek(address)
        self._file.readinto(buffer)

    def program(self, address: int, data: bytes) -> None:
        old = bytearray(len(data))
        self.read_into(address, old)
        self._write(address, bytes([one & other for one, other in zip(old, data)]))  # noqa: B905

    def erase(self, sector: int) -> None:
        self._write(sector * slots.SECTOR, b"\xff" * slots.SECTOR)

    def view(self, address: int, length: int) -> memoryview:
        # A copy: a file cannot be mapped here.
        data = bytearray(length)
        self.read_into(address, data)
        return memoryview(data)

    def _write(self, address: int, data: bytes) -> None:
        """In steps: a process that is killed leaves what a power cut leaves, a part."""
        self._file.seek(address)
        for at in range(0, len(data), _STEP):
            self._file.write(data[at : at + _STEP])


def open_chip(path: str) -> FileChip:
    """Open a flash file."""
    return FileChip(path)
