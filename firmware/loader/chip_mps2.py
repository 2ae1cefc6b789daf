"""The rig board's flash as the loader sees it: the first MiB of its external memory."""
# ruff: noqa: D102 - the methods are described in slots.py

import uctypes

from loader import slots

BOARD = "mps2"
_ADDRESS = 0x21000000
_SIZE = 1 << 20
_ERASED = b"\xff" * slots.SECTOR


class MemoryChip(slots.Chip):
    """Memory that keeps to NOR's rule: a program only clears bits."""

    def __init__(self) -> None:
        self._memory = memoryview(uctypes.bytearray_at(_ADDRESS, _SIZE))

    def read_into(self, address: int, buffer: "bytearray | memoryview") -> None:
        buffer[:] = self._memory[address : address + len(buffer)]

    def program(self, address: int, data: bytes) -> None:
        memory = self._memory
        for at in range(len(data)):
            memory[address + at] &= data[at]

    def erase(self, sector: int) -> None:
        self._memory[sector * slots.SECTOR : (sector + 1) * slots.SECTOR] = _ERASED

    def view(self, address: int, length: int) -> memoryview:
        return self._memory[address : address + length]


def open_chip() -> MemoryChip:
    """Open the board's flash."""
    return MemoryChip()
