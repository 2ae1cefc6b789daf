"""Settings in real littlefs on flash with NOR rules, with a perfect memory of them: power_cuts.py.

A setting is written the only safe way: into a new file, closed, renamed over the old one. The
littlefs of MicroPython 1.25 does not sync between a file's data and the entry that names it, so
that a file written in place may come out as erased bytes where writes are reordered.
"""

import power_cut_sectors  # noqa: F401 - first, see there
import vfs

from tare.errors import FlashError
from tare.flash import SECTOR, UNIT

SECTORS = 24
_GEOMETRY = {"readsize": UNIT, "progsize": UNIT, "lookahead": UNIT}
#: What littlefs understands as a block that did not take a program (its LFS_ERR_CORRUPT).
_CORRUPT = -84
_SYNC = 3
_COUNT = 4
_SIZE = 5
_ERASE = 6


class Blocks:
    """The block device that littlefs sees; `synced` hears of every sync."""

    def __init__(self, flash, synced):
        self._flash = flash
        self._synced = synced

    def readblocks(self, block, buffer, offset=0):
        """Fill a buffer."""
        self._flash.read_into(block * SECTOR + offset, buffer)

    def writeblocks(self, block, data, offset=0):
        """Program; where a torn program left bits, say so: littlefs then takes another block.

        It looks only at the first unit before it goes on in a block, and a program may be torn
        so that this is erased and what follows is not.
        """
        try:
            self._flash.program(block * SECTOR + offset, bytes(data))
        except FlashError:
            return _CORRUPT
        return 0

    def ioctl(self, operation, argument):
        """Answer for size, erase and sync."""
        if operation == _COUNT:
            return SECTORS
        if operation == _SIZE:
            return SECTOR
        if operation == _ERASE:
            self._flash.erase(argument)
        elif operation == _SYNC:
            self._synced()
        return 0


class FilesLife:
    """Plays `steps`: ("set", name, size), ("drop", name), ("log", size) appends and syncs."""

    def __init__(self, steps):
        self.memory = None
        self.synced = _nobody
        self._steps = steps
        self._saved = {}
        self._trying = (None, None)
        self._number = 0

    def play(self, flash):
        """Live it."""
        blocks = Blocks(flash, self.synced)
        # Made before the first cut counts: an unformatted device holds nothing to lose.
        vfs.VfsLfs2.mkfs(Blocks(_Unwatched(self.memory), _nobody), **_GEOMETRY)
        files = _mounted(blocks)
        for step in self._steps:
            getattr(self, "_step_" + step[0])(files, *step[1:])

    def restart(self, flash, second):
        """Mount, compare every file with what was saved, and set one more value."""
        files = _mounted(Blocks(flash, _nobody))
        read = flash.bytes_read
        name_trying, value_trying = self._trying
        found = {entry[0] for entry in files.ilistdir("/")}
        for name in found | set(self._saved):
            if name.endswith(".new"):
                continue
            allowed = [self._saved.get(name)]
            if name == name_trying:
                allowed.append(value_trying)
            if second and name == "after":
                allowed.append(b"goes on")
            value = _value(files, name) if name in found else None
            assert value in allowed, ("neither old nor new", name)
        _set(files, "after", b"goes on")
        assert _value(files, "after") == b"goes on"
        return read

    def _step_set(self, files, name, size):
        self._number += 1
        value = (b"%d," % self._number) * size
        self._trying = (name, value)
        _set(files, name, value)
        self._done(name, value)

    def _step_drop(self, files, name):
        self._trying = (name, None)
        files.remove(name)
        self._done(name, None)

    def _step_removed_first(self, files, name, size):
        self._number += 1
        value = (b"%d," % self._number) * size
        self._trying = (name, value)
        files.remove(name)
        _set(files, name, value)
        self._done(name, value)

    def _done(self, name, value):
        self._saved[name] = value
        self._trying = (None, None)


class _Unwatched:
    """Flash operations that happen before the power can fail."""

    def __init__(self, memory):
        self._memory = memory

    def read_into(self, at, buffer):
        self._memory.read_into(at, buffer)

    def program(self, at, data):
        self._memory.write(at, data)

    def erase(self, sector):
        self._memory.write(sector * SECTOR, b"\xff" * SECTOR)


def _nobody():
    pass


def _mounted(blocks):
    # Without the time of writing, so that every run cuts the same bytes.
    return vfs.VfsLfs2(blocks, mtime=False, **_GEOMETRY)


def _set(files, name, value):
    with files.open(name + ".new", "wb") as file:
        file.write(value)
    files.rename(name + ".new", name)


def _value(files, name):
    with files.open(name, "rb") as file:
        return file.read()
