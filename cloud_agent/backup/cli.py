"""`tare backup ...` and `tare restore`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from cloud_agent import terminal
from cloud_agent.backup import make, sheet
from cloud_agent.backup.restore import Sets
from cloud_agent.backup.restore import restore as put_back
from cloud_agent.config import DataFolder
from cloud_agent.errors import UsageError
from cloud_agent.privacy import kek, rotation
from cloud_agent.readings.zones import iso_text
from cloud_agent.service import unix_time_s
from cloud_agent.terminal import DataOption, JsonOption, out

app: Final = typer.Typer(
    no_args_is_help=True, help="Back up data and keys, apart. " + terminal.EXIT_CODES
)

FolderOption = Annotated[
    Path, typer.Option("--to", metavar="FOLDER", help="Where the backup is written.")
]
PassphraseOption = Annotated[
    Path,
    typer.Option(
        "--passphrase-file",
        metavar="FILE",
        help="File whose first line is the passphrase, 16 characters or more.",
    ),
]


@app.command()
def data(*, to: FolderOption, passphrase_file: PassphraseOption, data: DataOption = None) -> None:
    """Back up everything that is no key. It may be kept: without the keys nobody reads it."""
    _make(make.DATA, to, passphrase_file, data)


@app.command()
def keys(*, to: FolderOption, passphrase_file: PassphraseOption, data: DataOption = None) -> None:
    """Back up the keys. It ends after seven days: make one each day, and keep it elsewhere."""
    _make(make.KEYS, to, passphrase_file, data)


@app.command("list")
def list_(*, as_json: JsonOption = False, data: DataOption = None) -> None:
    """List the backups that were made, and when they end."""
    with terminal.connect(data) as client:
        found = client.ask("backup.list", terminal.operator())["backups"]
    if as_json:
        out.print_json(json.dumps(found))
        return
    table = terminal.table("of", "made (UTC)", "good until (UTC)", "name", whole=("name",))
    for row in found:
        table.add_row(row["kind"], _minute(row["made_s"]), _minute(row["until_s"]), row["name"])
    out.print(table if found else "No backup was made yet.")


@app.command("sheet")
def print_sheet(*, data: DataOption = None) -> None:
    """Print the key-encryption key. Write it down or print it, and keep it in a safe.

    With it and both backups everything can be had again; without it nothing can.
    """
    folder = DataFolder.choose(data)
    if not folder.kek.exists():
        raise UsageError(f"there is no installation in {folder.root}")
    out.print(sheet.to_text(kek.load_or_create(folder.kek, may_create=False)))


@app.command("new-key")
def new_key(*, data: DataOption = None) -> None:
    """Take a new key-encryption key, while no server runs, and print its sheet.

    For when somebody may have seen the old one. Keep the old sheet for a week more: backups of
    keys that were made before need it.
    """
    folder = DataFolder.choose(data)
    rotation.rotate(folder)
    out.print(sheet.to_text(kek.read(folder.kek)))


def restore(
    *,
    data_set: Annotated[Path, typer.Option(metavar="FILE", help="The backup of data.")],
    keys_set: Annotated[Path, typer.Option(metavar="FILE", help="The backup of keys.")],
    passphrase_file: PassphraseOption,
    ledger: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="The newest ledger, from where you copy it to.",
            show_default=False,
        ),
    ] = None,
    sheet_file: Annotated[
        Path | None,
        typer.Option(
            "--sheet",
            metavar="FILE",
            help="The recovery sheet, typed; needed where the folder has no key.",
            show_default=False,
        ),
    ] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Put it over the installation that is there.")
    ] = False,
    data: DataOption = None,
) -> None:
    """Put both backups back, while no server runs. Nobody who was erased comes with them, and no
    consent that was withdrawn. Sessions, links in letters and operators end.
    """
    key = None if sheet_file is None else sheet.from_text(_read(sheet_file))
    passphrase = _first_line(passphrase_file)
    folder = DataFolder.choose(data)
    sets = Sets(data=data_set, keys=keys_set, passphrase=passphrase, ledger=ledger, key=key)
    restored = put_back(folder.root, sets, unix_time_s(), replace=replace)
    # Opened once: what the ledger knows is erased again, now and not when somebody comes.
    with terminal.connect(data) as client:
        client.ask("receipts.head", {})
    out.print(f"Restored into {folder.root}. Start `tare serve`.", soft_wrap=True)
    out.print("Everybody is signed out, and links for a password or an address are void.")
    if restored.operators:
        names = ", ".join(restored.operators)
        out.print(
            f"Operators of the backup were {names}: some may have left since, so none is one any "
            "more. Add those who work here with `tare operator add`.",
            soft_wrap=True,
        )


def _make(kind: str, to: Path, passphrase_file: Path, data: Path | None) -> None:
    arguments: dict[str, Any] = {"kind": kind, "folder": str(to.absolute())}
    arguments["passphrase"] = _first_line(passphrase_file)
    with terminal.connect(data) as client:
        path = client.ask("backup.make", arguments | terminal.operator())["path"]
    out.print(f"{path} is written.", soft_wrap=True)


def _first_line(path: Path) -> str:
    lines = _read(path).splitlines()
    return lines[0] if lines else ""


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read {path}") from error


def _minute(at_s: int | None) -> str:
    return "for good" if at_s is None else iso_text(at_s, 0)[:16].replace("T", " ")
