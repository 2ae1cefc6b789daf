"""A folder of small files in real littlefs on a part of the flash (SPEC 12.5).

A file is replaced the only safe way: written under another name, closed, renamed over the old
one. The littlefs of MicroPython 1.25 does not sync between a file's data and the entry that names
it, so that a file written in place may come out as erased bytes where writes are reordered.
"""

import vfs

from tare.errors import FlashError, StorageError
from tare.flash import ERASED, SECTOR, UNIT, Flash

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_GEOMETRY = {"readsize": UNIT, "progsize": UNIT, "lookahead": UNIT}
# What littlefs understands as a block that did not take a program (its LFS_ERR_CORRUPT).
_CORRUPT = -84
_SYNC = 3
_COUNT = 4
_SIZE = 5
_ERASE = 6
# The file system begins with a pair of sectors; without these two there is none.
_SUPERBLOCK = (0, 1)
_NO_ENTRY = 2
_NEW = ".new"


class _Blocks:
    """The block device that littlefs sees: the stubs want a base class that does not exist."""

    def __init__(
        self, flash: Flash, first: int, count: int, synced: "Callable[[], None] | None"
    ) -> None:
        self._flash = flash
        self._first = first
        self._count = count
        self._synced = synced

    def readblocks(self, block: int, buffer: bytearray, offset: int = 0) -> None:
        self._flash.read_into((self._first + block) * SECTOR + offset, buffer)

    def writeblocks(self, block: int, data: bytes, offset: int = 0) -> int:
        """Program; where a torn program left bits, say so: littlefs then takes another block.

        It looks only at the first unit before it goes on in a block, and a program may be torn
        so that this is erased and what follows is not.
        """
        try:
            self._flash.program((self._first + block) * SECTOR + offset, bytes(data))
        except FlashError:
            return _CORRUPT
        return 0

    def ioctl(self, operation: int, argument: int) -> int:
        if operation == _COUNT:
            return self._count
        if operation == _SIZE:
            return SECTOR
        if operation == _ERASE:
            self._flash.erase(self._first + argument)
        elif operation == _SYNC and self._synced is not None:
            self._synced()
        return 0


class Folder:
    """The files in `count` sectors from `first` on. `synced` hears of every sync (tests)."""

    def __init__(
        self, flash: Flash, first: int, count: int, synced: "Callable[[], None] | None" = None
    ) -> None:
        self._flash = flash
        self._first = first
        self._blocks = _Blocks(flash, first, count, synced)

    def format(self) -> None:
        """Make an empty file system; what was there is gone. `StorageError` where none can be."""
        try:
            vfs.VfsLfs2.mkfs(self._blocks, **_GEOMETRY)  # type: ignore[arg-type]  # see _Blocks
        except (OSError, FlashError):
            raise StorageError("no file system can be made")

    def ensure(self) -> None:
        """Make an empty file system where none can be read; one that can is left alone."""
        try:
            self.mount()
        except StorageError:
            self.format()

    def mount(self) -> "vfs.VfsLfs2":
        """Return the file system; `StorageError` where there is none."""
        try:
            # Without the time of writing: the device may not know it. The argument: see _Blocks.
            return vfs.VfsLfs2(self._blocks, mtime=False, **_GEOMETRY)  # type: ignore[arg-type]
        except (OSError, FlashError):
            raise StorageError("no file system that can be read")

    def is_blank(self) -> bool:
        """Tell whether no file system was ever made here, or `clear` took it away."""
        empty = bytes((ERASED,)) * UNIT
        return all(
            self._flash.read((self._first + sector) * SECTOR, UNIT) == empty
            for sector in _SUPERBLOCK
        )

    def read(self, name: str, size: int) -> bytes | None:
        """Return up to `size` bytes of a file, None when there is no such file.

        `StorageError` when there is no file system that can be read.
        """
        files = self.mount()
        try:
            with files.open(name, "rb") as file:
                return file.read(size)
        except OSError as error:
            if error.errno == _NO_ENTRY:
                return None
            raise StorageError("a file that cannot be read")
        except FlashError:
            raise StorageError("a file that cannot be read")

    def replace(self, name: str, data: bytes) -> None:
        """Store a file; after a power cut either the old or the new one is there.

        `StorageError` when there is no file system, or no room.
        """
        files = self.mount()
        try:
            with files.open(name + _NEW, "wb") as file:
                file.write(data)
            files.rename(name + _NEW, name)
        except (OSError, FlashError):
            raise StorageError("a file that cannot be written")

    def clear(self) -> None:
        """Take the file system away; nothing is erased that is erased already."""
        if not self.is_blank():
            for sector in _SUPERBLOCK:
                self._flash.erase(self._first + sector)
