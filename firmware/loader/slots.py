"""The two application slots of the flash: which image is whole, and how one gets in (SPEC 12.9).

Rule order of a slot: 1. its header is whole, 2. it is for this board, 3. and this interpreter,
4. the image has the header's digest. Writing: 1. the header goes first, so that half an image is
none; 2. the image; 3. its digest, read back; 4. the header, last. Pure: the flash is an argument.
This code must judge images that are damaged, so it imports nothing of theirs.
"""

import binascii
import hashlib
import struct

from micropython import const

#: What `tools/firmware/flash.py` relies on in this file; raised with every change of that.
FORMAT = 1
SECTOR = const(4096)
#: First sectors of the slots A and B, and how many each has: one for the header, then the image.
FIRST = (136, 196)
COUNT = const(60)
CAPACITY = (COUNT - 1) * SECTOR
NAMES = ("A", "B")
_MAGIC = b"TARI"
# magic, format, erased, interpreter, generation, length, board, SHA-256; then the CRC-32 of these
_HEADER = "<4sBBHII16s32s"
_HEADER_SIZE = const(64)
_STORED_SIZE = const(80)  # whole program units of 16 bytes
_EMPTY = b"\xff"


class SlotError(Exception):
    """What cannot be written, or did not read back; the text says why."""


class Chip:
    """What a board's loader offers: addresses are bytes from the beginning of the data flash."""

    def read_into(self, address: int, buffer: "bytearray | memoryview") -> None:
        """Fill a buffer from an address."""
        raise NotImplementedError

    def program(self, address: int, data: bytes) -> None:
        """Clear the bits that are clear in `data`: NOR flash sets none."""
        raise NotImplementedError

    def erase(self, sector: int) -> None:
        """Set all bits of a sector."""
        raise NotImplementedError

    def view(self, address: int, length: int) -> memoryview:
        """Return a range for a ROM file system, in place where the flash can be addressed."""
        raise NotImplementedError


class Header:
    """The header of a slot: what is in it. `mpy` is `sys.implementation._mpy` of what runs it."""

    def __init__(self, generation: int, length: int, board: str, mpy: int, digest: bytes) -> None:
        self.generation = generation
        self.length = length
        self.board = board
        self.mpy = mpy
        self.digest = digest

    def encode(self) -> bytes:
        """Return the bytes in flash."""
        fields = (self.mpy, self.generation, self.length, self.board.encode(), self.digest)
        data = struct.pack(_HEADER, _MAGIC, FORMAT, 0xFF, *fields)
        data += struct.pack("<I", binascii.crc32(data) & 0xFFFFFFFF)
        return data + _EMPTY * (_STORED_SIZE - len(data))


def decode(data: bytes) -> "Header | None":
    """Return the header in these bytes, None when none is whole there."""
    fields = struct.unpack(_HEADER, data[:_HEADER_SIZE])
    magic, version, _, mpy, generation, length, board, digest = fields
    stored = struct.unpack("<I", data[_HEADER_SIZE : _HEADER_SIZE + 4])[0]
    if magic != _MAGIC or version != FORMAT or length > CAPACITY or generation == 0:
        return None
    if stored != binascii.crc32(data[:_HEADER_SIZE]) & 0xFFFFFFFF:
        return None
    return Header(generation, length, bytes(board).rstrip(b"\0").decode(), mpy, digest)


class Slots:
    """The slots in a chip, for a board and its interpreter."""

    def __init__(self, chip: Chip, board: str, mpy: int) -> None:
        self._chip = chip
        self._board = board
        self._mpy = mpy
        self._buffer = bytearray(SECTOR)

    def header(self, slot: int) -> "Header | None":
        """Return the header of slot 0 or 1, None when none is whole."""
        data = bytearray(_STORED_SIZE)
        self._chip.read_into(FIRST[slot] * SECTOR, data)
        return decode(bytes(data))

    def fault(self, slot: int) -> str:
        """Say why a slot cannot be started; empty when it can."""
        header = self.header(slot)
        if header is None:
            return "has no whole image"
        if header.board != self._board:
            return "is for the board " + header.board
        if header.mpy != self._mpy:
            return "is for another MicroPython"
        if self.digest(slot, header.length) != header.digest:
            return "is damaged"
        return ""

    def newest(self) -> "int | None":
        """Return the slot to start: of those without a fault the one written last."""
        found = [(header.generation, slot) for slot, header in self._headers()]
        for _, slot in sorted(found, reverse=True):
            if not self.fault(slot):
                return slot
        return None

    def digest(self, slot: int, length: int) -> bytes:
        """Return the SHA-256 of the first `length` bytes of a slot, as they are in flash."""
        found = hashlib.sha256()
        address = body(slot)
        view = memoryview(self._buffer)
        for at in range(0, length, SECTOR):
            part = view[: min(SECTOR, length - at)]
            self._chip.read_into(address + at, part)
            found.update(part)
        return found.digest()

    def begin(self) -> int:
        """Take the slot that is not the newest, make it empty, and return it."""
        slot = 1 if self.newest() == 0 else 0
        self._chip.erase(FIRST[slot])
        return slot

    def write(self, slot: int, index: int, data: bytes) -> None:
        """Write sector `index` (from 0) of the image; nothing but its digest says that it held."""
        if not 0 <= index < COUNT - 1 or len(data) > SECTOR:
            raise SlotError("the image does not fit")
        if self.header(slot) is not None:
            raise SlotError("the slot was not begun")
        self._chip.erase(FIRST[slot] + 1 + index)
        padded = data + _EMPTY * (-len(data) % 16)
        self._chip.program(body(slot) + index * SECTOR, padded)

    def finish(self, slot: int, length: int, digest: bytes) -> None:
        """Make the image the one that is started next; `SlotError` when it is not whole."""
        if self.digest(slot, length) != digest:
            raise SlotError("the flash did not keep what was written")
        generation = 1 + max([header.generation for _, header in self._headers()] or [0])
        header = Header(generation, length, self._board, self._mpy, digest)
        self._chip.program(FIRST[slot] * SECTOR, header.encode())
        if self.newest() != slot:
            raise SlotError("the flash did not keep the header")

    def _headers(self) -> "list[tuple[int, Header]]":
        found = [(slot, self.header(slot)) for slot in (0, 1)]
        return [(slot, header) for slot, header in found if header is not None]


def body(slot: int) -> int:
    """Return the address of a slot's image."""
    return (FIRST[slot] + 1) * SECTOR
