"""`tare firmware ...`: build the firmware's image, and bring it onto a board by cable.

The compiler and mpremote are an engineer's: they are imported only when a command runs, so that a
cloud starts without them.
"""
# ruff: noqa: PLC0415 - as said above

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import Progress

from cloud_agent.terminal import JsonOption, errors, out
from tools.errors import SetupError

app = typer.Typer(no_args_is_help=True, help="Build the firmware, and flash it onto a board.")


class Board(StrEnum):
    """The boards that `tools/firmware/targets.py` knows."""

    ESP32 = "esp32"
    MPS2 = "mps2"
    UNIX = "unix"


BoardOption = Annotated[
    Board, typer.Option("--board", help="esp32: the product. mps2: the rig. unix: virtual.")
]
FolderOption = Annotated[
    Path | None,
    typer.Option(
        "--out",
        metavar="DIR",
        help="Folder of the image and its manifest. Default: build/firmware.",
        show_default=False,
    ),
]


@contextmanager
def _engineers_tools() -> Iterator[None]:
    try:
        yield
    except ModuleNotFoundError as error:
        raise SetupError(
            f"{error.name} is missing: in a checkout of Tare, python3 tools/dev.py setup"
        ) from error


@app.command()
def build(*, board: BoardOption, out_: FolderOption = None, as_json: JsonOption = False) -> None:
    """Compile the firmware into one image, with a manifest: the same bytes on every machine."""
    with _engineers_tools():
        from tools.firmware import build as builder
    built = builder.build(board.value)
    image, manifest = built.write(out_ or builder.DEFAULT_FOLDER)
    if as_json:
        out.print_json(built.manifest.text())
        return
    made = built.manifest
    commit = f"commit {made.commit[:12]}" if made.commit else "no commit"
    out.print(builder.size_table(made))
    out.print(f"Firmware {made.version} ({commit}{', changed since' if made.dirty else ''}),")
    out.print(f"{made.bytecode}: {image}, {manifest.name}")
    if made.start is None:
        out.print(f"Nothing in it starts on this board yet: firmware/boards/{board} has no run.py.")


@app.command()
def flash(
    *,
    port: Annotated[
        str,
        typer.Option("--port", metavar="PORT", help="Serial port of the board, or a pyserial URL."),
    ],
    image: Annotated[
        Path | None,
        typer.Option(
            "--image",
            metavar="DIR",
            help="Folder of an image that was built. Default: one is built now.",
            show_default=False,
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Bring the firmware onto a board at its prompt, into the slot that is not in use.

    May be interrupted at any moment: what the board started before it starts again. Keys, readings
    and settings stay.
    """
    with _engineers_tools():
        from tools.firmware import build as builder
        from tools.firmware import cable, flash
    with cable.Cable(port) as open_cable:
        board = flash.identify(open_cable).board
        built = builder.read(image, board) if image else builder.build(board)
        with Progress(console=errors, transient=True, disable=not errors.is_terminal) as bar:
            task = bar.add_task(f"Flashing {board}", total=len(built.image))
            flashed = flash.flash(
                open_cable, built, lambda done, total: bar.update(task, completed=done, total=total)
            )
    made = built.manifest
    if as_json:
        found = {"board": board, "slot": flashed.slot, "written": flashed.written}
        out.print_json(data={**found, "version": made.version, "sha256": made.image.sha256})
    elif flashed.written:
        out.print(
            f"Firmware {made.version} is in slot {flashed.slot}, and its SHA-256 on the board is"
            " right. It starts with the next reset."
        )
    else:
        out.print(f"Firmware {made.version} is on the board already, in slot {flashed.slot}.")
