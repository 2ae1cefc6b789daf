"""NOR flash that keeps the rules of the real thing, in memory or in a file.

A program can only clear bits and only whole units; an erase sets a whole sector. Every step is
written to the file before the next begins, so a killed process leaves what a power cut leaves: a
part of the operation. For tests the power can also be cut inside any chosen operation.
"""
# ruff: noqa: D102 - the operations are described where the interface is, in tare/flash.py

import os

from tare.errors import FlashError
from tare.flash import SECTOR, UNIT, Flash

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

#: How much of the cut operation happens: nothing, its first half, its second half, the first half
#: and one unit only partly programmed ("bits"; an erase leaves noise everywhere), everything.
TEARS = ("nothing", "half", "tail", "bits", "all")
#: More ways, for enumerations: all but the last unit ("most"), other bits of every unit
#: ("sparse"), and pseudo-random bits of every unit ("garbage").
EVERY_TEAR = TEARS + ("most", "sparse", "garbage")  # noqa: RUF005 - MicroPython
_ERASE_STEP = 256
_NOISE_SEED = 0x2545F491


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

    # The interface of both stores.
    def write(self, at: int, data: bytes, step: int = SECTOR) -> None:  # noqa: ARG002
        """Overwrite a range; nobody sees memory between two steps."""
        self.data[at : at + len(data)] = data


class File:
    """Bytes in a file, made (erased) when missing; each write is one unbuffered system call."""

    def __init__(self, path: str, size: int) -> None:
        self.size = size
        try:
            self._file = open(path, "r+b", 0)  # noqa: SIM115 - it stays open
        except OSError:
            # Under another name first: a process killed here must not leave half a flash.
            with open(path + ".new", "wb") as new:
                for _ in range(size // SECTOR):
                    new.write(b"\xff" * SECTOR)
            os.rename(path + ".new", path)
            self._file = open(path, "r+b", 0)  # noqa: SIM115 - it stays open
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

    def write(self, at: int, data: bytes, step: int = SECTOR) -> None:
        """Overwrite a range, `step` bytes at once."""
        self._file.seek(at)
        for begin in range(0, len(data), step):
            self._file.write(data[begin : begin + step])

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class Operation:
    """One program or erase: where, what stood there, and what will."""

    __slots__ = ("address", "after", "before", "is_erase")

    # Made in one place.
    def __init__(self, address: int, before: bytes, after: bytes, is_erase: bool) -> None:  # noqa: FBT001
        self.address = address
        self.before = before
        self.after = after
        self.is_erase = is_erase

    def torn(self, tear: str) -> bytes:
        """Return what stands there when the power fails inside, in one of `EVERY_TEAR`."""
        before, after, size = self.before, self.after, len(self.after)
        half = size // 2 if self.is_erase else size // UNIT // 2 * UNIT
        done = {"nothing": 0, "half": half, "most": size - UNIT, "all": size}.get(tear)
        if done is not None:
            return after[:done] + before[done:]
        if tear == "tail":
            return before[:half] + after[half:]
        if tear == "bits" and not self.is_erase:
            # The unit in progress has cleared only some of its bits.
            end = half + UNIT
            unit = _changed(before[half:end], after[half:end], b"\xaa" * UNIT)
            return after[:half] + unit + before[end:]
        if tear == "garbage":
            return _changed(before, after, _noise(size, self.address))
        return _changed(before, after, (b"\x5a" if tear == "bits" else b"\x11") * size)


class Nor(Flash):
    """The rules over a store.

    `operations` counts programs and erases, `erases` and `bytes_read` say so. With `cut_at` = k
    the k-th operation (from 1) does only what `tear` says and raises `PowerCutError`, and so does
    everything after it. `watch` sees every operation before it happens.
    """

    def __init__(
        self,
        store: Memory | File,
        cut_at: int = 0,
        tear: str = "nothing",
        watch: "Callable[[Operation], None] | None" = None,
    ) -> None:
        self._store = store
        self.operations = 0
        self.erases = 0
        self.bytes_read = 0
        self._cut_at = cut_at
        self._tear = tear
        self._watch = watch

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
        wanted = int.from_bytes(data, "big")
        if wanted & int.from_bytes(old, "big") != wanted:
            raise FlashError("program would turn a zero to one: erase first")
        self._do(Operation(address, old, data, False), UNIT)

    def erase(self, sector: int) -> None:
        address = sector * SECTOR
        self._check(address, SECTOR)
        self.erases += 1
        old = self._store.read(address, SECTOR)
        self._do(Operation(address, old, b"\xff" * SECTOR, True), _ERASE_STEP)

    def _check_read(self, address: int, size: int) -> None:
        self._check(address, size)
        if self._cut_at and self.operations >= self._cut_at:
            raise PowerCutError
        self.bytes_read += size

    def _check(self, address: int, size: int) -> None:
        if address < 0 or size < 0 or address + size > self._store.size:
            raise FlashError("address outside the flash")

    def _do(self, operation: Operation, step: int) -> None:
        if self._cut_at and self.operations >= self._cut_at:
            raise PowerCutError
        if self._watch is not None:
            self._watch(operation)
        self.operations += 1
        if self.operations == self._cut_at:
            self._store.write(operation.address, operation.torn(self._tear))
            raise PowerCutError
        self._store.write(operation.address, operation.after, step)


def _changed(before: bytes, after: bytes, mask: bytes) -> bytes:
    """Take the bits of `mask` from after and the others from before."""
    old, new, chosen = (int.from_bytes(each, "big") for each in (before, after, mask))
    return (old ^ ((old ^ new) & chosen)).to_bytes(len(before), "big")


def _noise(size: int, seed: int) -> bytes:
    """Repeatable noise (xorshift): the same cut leaves the same bits in every run."""
    state = (seed * 2 + 1) * _NOISE_SEED & 0xFFFFFFFF
    noise = bytearray()
    for _ in range(0, size, 4):
        state ^= state << 13 & 0xFFFFFFFF
        state ^= state >> 17
        state ^= state << 5 & 0xFFFFFFFF
        noise += state.to_bytes(4, "big")
    return bytes(noise[:size])
