"""Mounts the newest whole image at /rom, the only place that modules then come from.

Where there is none, the board is in safe mode: it says why, and waits at its prompt for
`tare firmware flash`, which writes to flash and nothing else.
"""

import sys

import vfs

from loader import slots

_ROM = "/rom"
#: The flash of this board, and its name; a board whose flash is always the same need not be told.
chip: "slots.Chip | None" = None
board = ""


def use(flash: "slots.Chip", name: str) -> None:
    """Say which flash this board has, and its name."""
    global chip, board
    chip, board = flash, name


def here() -> "slots.Slots":
    """Return the slots of this board, as its interpreter sees them."""
    if chip is None and sys.platform == "qemu":
        from loader import chip_mps2

        use(chip_mps2.open_chip(), chip_mps2.BOARD)
    if chip is None:
        raise slots.SlotError("the loader does not know this board's flash")
    return slots.Slots(chip, board, sys.implementation._mpy)  # noqa: SLF001 - its public name


def mount() -> bool:
    """Mount the image that is to be started; False, and a line for each slot, when none is whole.

    The lines are log lines of the console (SPEC 11.1).
    """
    found = here()
    slot = found.newest()
    header = None if slot is None else found.header(slot)
    if slot is None or header is None or chip is None:
        for each, name in enumerate(slots.NAMES):
            print("# slot %s %s" % (name, found.fault(each)))
        print("# safe mode: flash it with `tare firmware flash`")
        return False
    image = chip.view(slots.body(slot), header.length)
    vfs.mount(vfs.VfsRom(image), _ROM)  # type: ignore[attr-defined]  # the stubs lack it
    sys.path[:] = [".frozen", _ROM]
    return True
