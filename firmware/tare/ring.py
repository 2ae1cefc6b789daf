"""Sectors and entries of the journal in flash (SPEC 12.2), without their meaning.

A ring of sectors, each with a header and entries behind it; the one with the highest generation
is being written. Touches only the flash object that it is given.
"""

import binascii
import struct

from tare import flash as flash_map
from tare.errors import FlashError, JournalFullError, StorageError

_MAGIC = b"TARJ"
_VERSION = 1
_HEADER = "<4sB3sIQ"
_HEADER_SIZE = 32
_MARK = 0xA5
_ENTRY = "<BBHI"
_ENTRY_HEAD = 8
# A place that does not take what is written is passed over; more than this is broken flash.
_ATTEMPTS = 3
_CHUNK = 256


class Sector:
    """One sector in use: its place in the ring, generation, and the sequence it began with."""

    __slots__ = ("base", "generation", "index")

    def __init__(self, index: int, generation: int, base: int) -> None:
        self.index = index
        self.generation = generation
        self.base = base


class Ring:
    """The sectors `first` .. `first + count - 1` of a flash.

    `sectors` lists those with a valid header, oldest first; the last is being written. Whoever
    uses the ring drops from its front what is no longer needed: only then it is written anew.
    """

    def __init__(self, flash: flash_map.Flash, first: int, count: int) -> None:
        self._flash = flash
        self._first = first
        self._count = count
        self._at = flash_map.SECTOR
        # One buffer for all reading: small heaps have no 4 KiB in one piece for long.
        self._buffer = bytearray(flash_map.SECTOR)
        found = []
        for index in range(count):
            sector = self._header(index)
            if sector is not None:
                found.append(sector)
        self.sectors: list[Sector] = sorted(found, key=lambda sector: sector.generation)
        if self.sectors:
            self._at = self._end_of_writing(self.sectors[-1])

    @property
    def free(self) -> int:
        """How many sectors may be opened."""
        return self._count - len(self.sectors)

    def open_next(self, base: int) -> None:
        """Begin a new sector; its entries carry sequences from `base` on.

        `JournalFullError` when every sector is in use.
        """
        newest = self.sectors[-1] if self.sectors else Sector(self._count - 1, 0, 0)
        index = (newest.index + 1) % self._count
        if self.sectors and index == self.sectors[0].index:
            raise JournalFullError("the journal has no sector left")
        sector = Sector(index, newest.generation + 1, base)
        header = struct.pack(_HEADER, _MAGIC, _VERSION, b"\xff\xff\xff", sector.generation, base)
        header += struct.pack("<I", binascii.crc32(header) & 0xFFFFFFFF)
        self._flash.erase(self._first + index)
        address = self._address(index)
        if not flash_map.program_and_check(self._flash, address, header):
            raise FlashError("a journal sector did not read back")
        self.sectors.append(sector)
        self._at = _HEADER_SIZE

    def fits(self, body_size: int) -> bool:
        """Tell whether an entry with a body of this size fits into the sector being written."""
        return self._at + _ENTRY_HEAD + body_size <= flash_map.SECTOR

    def append(self, kind: int, body: bytes) -> bool:
        """Write one entry and read it back; False when the sector has no good place left."""
        head = struct.pack("<BBH", _MARK, kind, len(body))
        generation = struct.pack("<I", self.sectors[-1].generation)
        checksum = binascii.crc32(head + generation + body) & 0xFFFFFFFF
        entry = flash_map.padded(head + struct.pack("<I", checksum) + body)
        for _ in range(_ATTEMPTS):
            if not self.fits(len(body)):
                return False
            address = self._address(self.sectors[-1].index) + self._at
            self._at += len(entry)
            if flash_map.program_and_check(self._flash, address, entry):
                return True
        raise FlashError("the journal did not read back")

    def entries(self, sector: Sector) -> list[tuple[int, bytes]]:
        """Return (kind, body) of the entries of one sector whose checksum holds, in order."""
        data = self._read(sector.index)
        generation = struct.pack("<I", sector.generation)
        found = []
        at = _HEADER_SIZE
        while at < flash_map.SECTOR:
            end = _end_of_entry(data, at, generation) if data[at] == _MARK else 0
            if end:
                found.append((data[at + 1], bytes(data[at + _ENTRY_HEAD : end])))
            # What is torn or erased is passed over unit by unit.
            at = (max(end, at + 1) + flash_map.UNIT - 1) // flash_map.UNIT * flash_map.UNIT
        return found

    def erase_before(self, generation: int) -> None:
        """Erase every sector that is not of this generation or a later one, whatever lies there."""
        self.sectors[:] = [each for each in self.sectors if each.generation >= generation]
        keep = {each.index for each in self.sectors}
        for index in range(self._count):
            if index not in keep and not self._is_erased(index):
                self._flash.erase(self._first + index)

    def erase_from(self, place: int) -> None:
        """Erase the sectors from `place` on, newest first: a cut leaves fewer, none in between."""
        while len(self.sectors) > place:
            self._flash.erase(self._first + self.sectors[-1].index)
            self.sectors.pop()
        self._at = self._end_of_writing(self.sectors[-1])

    def _address(self, index: int) -> int:
        return (self._first + index) * flash_map.SECTOR

    def _header(self, index: int) -> Sector | None:
        header = self._flash.read(self._address(index), _HEADER_SIZE)
        magic, version, _, generation, base = struct.unpack(_HEADER, header[:20])
        checksum = struct.unpack("<I", header[20:24])[0]
        if magic != _MAGIC or checksum != binascii.crc32(header[:20]) & 0xFFFFFFFF:
            return None
        if version != _VERSION:
            # Records of other firmware: opening a sector here could destroy them.
            raise StorageError(f"the journal has version {version}")
        return Sector(index, generation, base)

    def _end_of_writing(self, sector: Sector) -> int:
        data = self._read(sector.index)
        at = flash_map.SECTOR
        erased = b"\xff" * flash_map.UNIT
        while at > _HEADER_SIZE and data[at - flash_map.UNIT : at] == erased:
            at -= flash_map.UNIT
        return at

    def _is_erased(self, index: int) -> bool:
        data = self._read(index)
        erased = b"\xff" * _CHUNK
        return all(data[at : at + _CHUNK] == erased for at in range(0, len(data), _CHUNK))

    def _read(self, index: int) -> memoryview:
        """Return a sector; valid until the next call."""
        self._flash.read_into(self._address(index), self._buffer)
        return memoryview(self._buffer)


def _end_of_entry(data: memoryview, at: int, generation: bytes) -> int:
    """Return where the entry at `at` ends, 0 when its checksum does not hold."""
    _, _, length, checksum = struct.unpack_from(_ENTRY, data, at)
    start = at + _ENTRY_HEAD
    if start + length > flash_map.SECTOR:
        return 0
    found = binascii.crc32(generation, binascii.crc32(data[at : at + 4]))
    found = binascii.crc32(data[start : start + length], found) & 0xFFFFFFFF
    return start + length if checksum == found else 0
