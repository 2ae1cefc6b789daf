"""Small state in two raw sectors, of which one is always whole (SPEC 12.1).

A write goes to the copy that does not count, so that a power cut at any point leaves the old
value or the new one, never neither. Touches only the flash object that it is given.
"""

import binascii
import struct

from protocol import cbor
from protocol.errors import CborError
from tare import flash as flash_map
from tare.errors import FlashError, StorageError

_MAGIC = b"TARE"
_VERSION = 1
_HEADER = "<4sBBHI"
_HEADER_SIZE = 16
_MAX_BODY = flash_map.SECTOR - _HEADER_SIZE


class TwoCopies:
    """One item of CBOR, kept in the sectors `first` and `first + 1`.

    `kind` tells apart what lies in the wrong place; use the number of the first sector.
    """

    def __init__(self, flash: flash_map.Flash, first: int) -> None:
        self._flash = flash
        self._first = first
        self._kind = first
        self._generation = 0
        self._newest = 1  # so that the first write goes to copy 0
        self._body = b""
        self._load()

    def item(self) -> object:
        """Return what is stored, or None when there is nothing."""
        return cbor.decode(self._body) if self._body else None

    def store(self, item: object) -> None:
        """Replace the stored item; after a power cut either the old or the new one is there."""
        self._write(cbor.encode(item))

    def store_without_trace(self, item: object) -> None:
        """Replace the stored item and leave no byte of an older one in either copy."""
        body = cbor.encode(item)
        self._write(body)
        self._write(body)

    def _load(self) -> None:
        for copy in (0, 1):
            found = self._read(copy)
            if found is not None and found[0] > self._generation:
                self._generation, self._body = found
                self._newest = copy

    def _read(self, copy: int) -> tuple[int, bytes] | None:
        address = (self._first + copy) * flash_map.SECTOR
        header = self._flash.read(address, _HEADER_SIZE)
        magic, kind, version, length, generation = struct.unpack(_HEADER, header[:12])
        if magic != _MAGIC or kind != self._kind or length > _MAX_BODY or generation == 0:
            return None
        body = self._flash.read(address + _HEADER_SIZE, length)
        if struct.unpack("<I", header[12:])[0] != _checksum(header[:12], body):
            return None
        if version != _VERSION:
            # A valid copy by other firmware: overwriting it could lose keys.
            raise StorageError(f"sector {self._first} has version {version}")
        try:
            cbor.decode(body)
        except CborError:
            return None
        return generation, body

    def _write(self, body: bytes) -> None:
        if len(body) > _MAX_BODY:
            raise StorageError("state too large for its sector")
        generation = self._generation + 1
        copy = 1 - self._newest
        sector = self._first + copy
        header = struct.pack(_HEADER, _MAGIC, self._kind, _VERSION, len(body), generation)
        header += struct.pack("<I", _checksum(header, body))
        self._flash.erase(sector)
        address = sector * flash_map.SECTOR
        if not flash_map.program_and_check(self._flash, address, header + body):
            raise FlashError(f"sector {sector} did not read back")
        self._generation, self._newest, self._body = generation, copy, body


def _checksum(header: bytes, body: bytes) -> int:
    return binascii.crc32(body, binascii.crc32(header)) & 0xFFFFFFFF
