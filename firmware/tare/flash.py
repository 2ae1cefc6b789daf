"""The flash as the firmware sees it: its map (SPEC 12) and the operations a chip offers.

`Flash` is the interface that a board implements; sim/nor.py is one with NOR rules. Addresses
are bytes from the beginning of the data flash. Imports nothing.
"""

SECTOR = 4096
UNIT = 16
ERASED = 0xFF

IDENTITY = 0
STATE = 2
BOOT = 4
CALIBRATION = 6
JOURNAL_FIRST = 8
JOURNAL_COUNT = 64
SETTINGS_FIRST = 72
SETTINGS_COUNT = 62
WIFI = 134


class Flash:
    """NOR flash: `program` turns ones to zeros, only `erase` turns them back."""

    def read(self, address: int, size: int) -> bytes:
        """Return `size` bytes from `address`."""
        raise NotImplementedError

    def read_into(self, address: int, buffer: bytearray) -> None:
        """Fill `buffer` from `address`: for whole sectors, which are too large to allocate anew."""
        raise NotImplementedError

    def program(self, address: int, data: bytes) -> None:
        """Write whole program units (16 bytes) at an aligned address; `FlashError` if refused."""
        raise NotImplementedError

    def erase(self, sector: int) -> None:
        """Set all bytes of one sector, counted from 0, to ff."""
        raise NotImplementedError


def padded(data: bytes) -> bytes:
    """Fill `data` up to whole program units with what erased flash holds already."""
    return data + b"\xff" * (-len(data) % UNIT)


def program_and_check(flash: Flash, address: int, data: bytes) -> bool:
    """Program, read back and compare: only what this calls True counts as saved."""
    data = padded(data)
    flash.program(address, data)
    return flash.read(address, len(data)) == data
