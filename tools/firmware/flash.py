"""Brings an image onto a board: what `tare firmware flash` does.

Rule order: 1. the interpreter must run the image's bytecode, 2. the board must have a loader, of
our format, and be the one that the image is for; until here nothing is written. 3. The slot that
is not started is emptied and written, 4. the board digests what its flash holds, 5. and only then
gets the header that makes it start this image (SPEC 12.9). Whatever ends this early, the image
from before is started; no other sector of the flash is touched.
"""

from __future__ import annotations

import binascii
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from tools.firmware.build import Built
from tools.firmware.cable import Cable
from tools.firmware.errors import FlashingError, WrongBoardError
from tools.firmware.manifest import Bytecode

#: The `FORMAT` of firmware/loader/slots.py that is spoken here.
LOADER_FORMAT: Final = 1
_SECTOR = 4096
_LOADER = """
try:
    from loader import slots, start
    found = start.here()
    loader = [slots.FORMAT, slots.CAPACITY, start.board]
except ImportError:
    loader = None
"""


@dataclass(frozen=True)
class Flashed:
    """Where the image is: `slot` is A or B; `written` is False when it was there already."""

    slot: str
    written: bool


@dataclass(frozen=True)
class Place:
    """What the board on a cable says that it is."""

    board: str
    interpreter: Bytecode
    capacity_bytes: int


def identify(cable: Cable) -> Place:
    """Asks a board what it is; WrongBoardError when it has no loader that we understand."""
    cable.do("import sys")
    interpreter = Bytecode.of_interpreter(cable.ask("getattr(sys.implementation, '_mpy', 0)"))
    cable.do(_LOADER)
    loader = cable.ask("loader")
    if loader is None:
        raise WrongBoardError("this board has no loader of Tare: nothing was written")
    form, capacity_bytes, board = loader
    if form != LOADER_FORMAT:
        raise WrongBoardError(
            f"the board's loader is of format {form}, and this writes {LOADER_FORMAT}:"
            " nothing was written"
        )
    return Place(board, interpreter, capacity_bytes)


def flash(cable: Cable, built: Built, progress: Callable[[int, int], None]) -> Flashed:
    """Writes the image and makes it the one to start; `progress` gets bytes done and in all.

    Raises WrongBoardError before anything was written, and FlashingError where the flash does not
    hold what was written or the board goes away; the image from before then stays.
    """
    place = identify(cable)
    check(place, built)
    image, digest = built.image, built.manifest.image.sha256
    present = cable.ask(
        "(lambda slot: slot if slot is None else (slot, found.header(slot).digest))(found.newest())"
    )
    if present is not None and present[1].hex() == digest:
        return Flashed(_name(present[0]), written=False)
    cable.do("from binascii import a2b_base64 as data\nslot = found.begin()")
    for index, at in enumerate(range(0, len(image), _SECTOR)):
        progress(at, len(image))
        part = binascii.b2a_base64(image[at : at + _SECTOR], newline=False)
        cable.do(f"found.write(slot, {index}, data({part!r}))")
    kept: bytes = cable.ask(f"found.digest(slot, {len(image)})")
    if kept.hex() != digest:
        raise FlashingError(
            "the board's flash did not keep what was written (its SHA-256 is another):"
            " the image from before stays"
        )
    cable.do(f"found.finish(slot, {len(image)}, bytes.fromhex({digest!r}))")
    progress(len(image), len(image))
    return Flashed(_name(cable.ask("slot")), written=True)


def check(place: Place, built: Built) -> None:
    """Raises WrongBoardError where the image is not for this board or its interpreter."""
    if not place.interpreter.runs(built.manifest.bytecode):
        raise WrongBoardError(
            f"the image is {built.manifest.bytecode}, and the board runs {place.interpreter}:"
            " nothing was written"
        )
    if built.manifest.board != place.board:
        raise WrongBoardError(
            f"the image is for {built.manifest.board}, and this is {place.board}:"
            " nothing was written"
        )
    if len(built.image) > place.capacity_bytes:
        raise WrongBoardError(
            f"the image has {len(built.image):,} bytes, and the board takes"
            f" {place.capacity_bytes:,}: nothing was written"
        )


def _name(slot: int) -> str:
    return "AB"[slot]
