"""`tare readings add | correct | history | not-mine | remove | tray | take | offer | decline`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from cloud_agent import terminal
from cloud_agent.accounts.cli import login
from cloud_agent.errors import RefusedError
from cloud_agent.readings.cli import app, print_table
from cloud_agent.terminal import DataOption, EmailOption, JsonOption, PasswordFileOption, out

ReadingArgument = Annotated[
    str, typer.Argument(metavar="ID", help="The id of the reading (`tare readings list --json`).")
]
WeightOption = Annotated[
    str | None, typer.Option("--weight", metavar="KG", help="In kilograms.", show_default=False)
]
PressureOption = Annotated[
    str | None,
    typer.Option("--pressure", metavar="SYSTOLIC/DIASTOLIC", help="In mmHg.", show_default=False),
]
PulseOption = Annotated[
    str | None, typer.Option("--pulse", metavar="PER-MINUTE", help="Beats.", show_default=False)
]
TakenOption = Annotated[
    str | None,
    typer.Option(
        "--taken",
        metavar="TIME",
        help="When, such as 2026-03-01T07:12, in your zone.",
        show_default=False,
    ),
]
YesOption = Annotated[bool, typer.Option("--yes", help="Do not ask whether you are sure.")]


@app.command()
def add(
    *,
    email: EmailOption,
    weight: WeightOption = None,
    pressure: PressureOption = None,
    pulse: PulseOption = None,
    taken: TakenOption = None,
    password_file: PasswordFileOption = None,
    data: DataOption = None,
) -> None:
    """Enter a reading by hand. Without --taken it is of now."""
    arguments = _values(weight, pressure, pulse, taken)
    made = _ask(data, "readings.add", login(email, password_file) | arguments)
    out.print(f"Entered: {made['id']}")


@app.command()
def correct(
    reading: ReadingArgument,
    *,
    email: EmailOption,
    weight: WeightOption = None,
    pressure: PressureOption = None,
    pulse: PulseOption = None,
    taken: TakenOption = None,
    password_file: PasswordFileOption = None,
    data: DataOption = None,
) -> None:
    """Correct the values or the time of a reading. What it was before is kept."""
    arguments = _values(weight, pressure, pulse, taken) | {"id": reading}
    _ask(data, "readings.correct", login(email, password_file) | arguments)
    out.print("Corrected.")


@app.command()
def history(
    reading: ReadingArgument,
    *,
    email: EmailOption,
    as_json: JsonOption = False,
    password_file: PasswordFileOption = None,
    data: DataOption = None,
) -> None:
    """List what a reading was before it was corrected."""
    found = _ask(data, "readings.history", login(email, password_file) | {"id": reading})
    if as_json:
        out.print_json(json.dumps(found["revisions"]))
        return
    table = terminal.table("revision", "until (UTC)", "taken (UTC)", "values", "state")
    for each in found["revisions"]:
        values = ", ".join(f"{name} {value}" for name, value in each["values"].items())
        times = (each[key].replace("T", " ")[:16] for key in ("changed_utc", "taken_utc"))
        table.add_row(str(each["revision"]), *times, values, each["status"])
    out.print(table if found["revisions"] else "It was never corrected.")


@app.command("not-mine")
def not_mine(
    reading: ReadingArgument,
    *,
    email: EmailOption,
    undo: Annotated[bool, typer.Option("--undo", help="It is mine after all.")] = False,
    password_file: PasswordFileOption = None,
    data: DataOption = None,
) -> None:
    """Mark a reading as none of yours. It stays, marked; `remove` deletes it."""
    arguments = login(email, password_file) | {"id": reading, "is_error": not undo}
    _ask(data, "readings.error", arguments)
    out.print("The mark is taken back." if undo else "Marked.")


@app.command()
def remove(
    reading: ReadingArgument,
    *,
    email: EmailOption,
    yes: YesOption = False,
    password_file: PasswordFileOption = None,
    data: DataOption = None,
) -> None:
    """Delete a reading for good, with what it was before."""
    arguments = login(email, password_file) | {"id": reading}
    if not yes:
        terminal.require_terminal("add --yes when you are sure")
        if not terminal.confirm("Delete this reading for good?"):
            raise RefusedError("nothing was deleted")
    _ask(data, "readings.remove", arguments)
    out.print("Deleted.")


@app.command()
def tray(
    *,
    email: EmailOption,
    as_json: JsonOption = False,
    password_file: PasswordFileOption = None,
    data: DataOption = None,
) -> None:
    """List readings that nobody is known for and that fit you, and what others offer you."""
    found = _ask(data, "readings.tray", login(email, password_file))
    if as_json:
        out.print_json(json.dumps(found))
        return
    if found["fitting"]:
        print_table(found["fitting"], with_id=True)
    for each in found["offered"]:
        out.print(f"Offered to you: one of {each['taken']}, {each['id']}")
    if found["others"]:
        out.print(f"{found['others']} more wait that do not fit you.")
    if not any(found.values()):
        out.print("Nothing waits.")


@app.command()
def take(
    reading: ReadingArgument,
    *,
    email: EmailOption,
    password_file: PasswordFileOption = None,
    data: DataOption = None,
) -> None:
    """Take a reading of the tray, or one that is offered to you, into your history."""
    taken = _ask(data, "readings.take", login(email, password_file) | {"id": reading})
    out.print(f"It is yours: {taken['id']}")


@app.command()
def decline(
    reading: ReadingArgument,
    *,
    email: EmailOption,
    password_file: PasswordFileOption = None,
    data: DataOption = None,
) -> None:
    """Leave with another what they offer to you."""
    _ask(data, "readings.decline", login(email, password_file) | {"id": reading})
    out.print("It stays where it is.")


@app.command()
def offer(
    reading: ReadingArgument,
    *,
    email: EmailOption,
    device: Annotated[str, typer.Option(help="The device that you share.")],
    to: Annotated[int, typer.Option(min=1, max=8, help="Their number on the display.")],
    password_file: PasswordFileOption = None,
    data: DataOption = None,
) -> None:
    """Offer a reading to another of the device, whose it is. You keep it until they take it."""
    arguments = {"id": reading, "device": device, "slot": to}
    _ask(data, "readings.offer", login(email, password_file) | arguments)
    out.print("Offered.")


def _values(
    weight: str | None, pressure: str | None, pulse: str | None, taken: str | None
) -> dict[str, Any]:
    given = {"weight": weight, "pressure": pressure, "pulse": pulse, "taken": taken}
    return {name: value for name, value in given.items() if value is not None}


def _ask(data: Path | None, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
    with terminal.connect(data) as client:
        return client.ask(name, arguments)
