"""The boards that the firmware is built for, and what each image may take."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tools.environment import ROOT
from tools.firmware import rom
from tools.firmware.errors import BuildError


@dataclass(frozen=True)
class Target:
    """A board: the processor that mpy-cross compiles for, and the folders besides the common ones.

    `limit_bytes` is what its image may grow to; a change that needs more says so here.
    """

    architecture: str
    folders: tuple[str, ...]
    limit_bytes: int


#: The Cortex-M3 of the emulated rig board, as mpy-cross calls it.
RIG_ARCHITECTURE: Final = "armv7m"
#: The rig board and the virtual device weigh simulated people.
TARGETS: Final = {
    "esp32": Target("xtensawin", (), 165_000),
    "mps2": Target(RIG_ARCHITECTURE, ("sim",), 165_000),
    "unix": Target("x64", ("sim",), 195_000),
}


def target(board: str) -> Target:
    """The target of a board's name; BuildError names those that there are."""
    found = TARGETS.get(board)
    if found is None:
        raise BuildError(f"there is no board {board}: choose one of {', '.join(TARGETS)}")
    return found


def sources(board: str, root: Path = ROOT) -> dict[str, Path]:
    """What goes into a board's image: names there to files here.

    Raises BuildError where the sources of the firmware are not beside this program.
    """
    firmware = root / "firmware"
    if not (firmware / "tare").is_dir():
        raise BuildError("the firmware's sources are not here: run this in a checkout of Tare")
    tree = rom.files(firmware / "tare", "tare") | rom.files(root / "protocol", "protocol")
    for folder in target(board).folders:
        tree |= rom.files(firmware / folder, folder)
    own = firmware / "boards" / board
    if own.is_dir():
        tree["boards/__init__.py"] = firmware / "boards" / "__init__.py"
        tree |= rom.files(own, f"boards/{board}")
    return tree
