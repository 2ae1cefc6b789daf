"""`tare readings list`."""

from __future__ import annotations

import json
from typing import Annotated, Any, Final

import typer

from cloud_agent import terminal
from cloud_agent.errors import UsageError
from cloud_agent.readings.zones import iso_text
from cloud_agent.terminal import DataOption, EmailOption, JsonOption, PasswordFileOption, out

app: Final = typer.Typer(
    no_args_is_help=True, help="See, enter and correct your readings. " + terminal.EXIT_CODES
)


@app.command("list")
def list_(
    *,
    email: EmailOption,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Only the latest so many.", show_default=False)
    ] = None,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV.")] = False,
    as_json: JsonOption = False,
    password_file: PasswordFileOption = None,
    data: DataOption = None,
) -> None:
    """List your readings, oldest first, with the time in your zone."""
    if as_csv and as_json:
        raise UsageError("choose --csv or --json")
    arguments: dict[str, Any] = {
        "email": email,
        "password": terminal.read_password(password_file),
        "form": "csv" if as_csv else "json",
    }
    if limit is not None:
        arguments["limit"] = limit
    with terminal.connect(data) as client:
        found = client.ask("readings.list", arguments)
    if as_csv:
        out.file.write(found["csv"])
    elif as_json:
        out.print_json(json.dumps(found["readings"]))
    else:
        print_table(found["readings"])
        _print_of_nobody(found["of_nobody"])
        for device in found["stranger_to"]:
            out.print(
                f"Device {device} does not know you yet: `tare readings add --weight KG` tells it "
                "what you weigh, and from then on it tells you from the others."
            )


def print_table(readings: list[dict[str, Any]], *, with_id: bool = False) -> None:
    """Readings as a table for people; with their ids where one of them is chosen next."""
    if not readings:
        out.print("No readings yet.")
        return
    names = ("taken", "what", "values", "remarks")
    if with_id:
        names = ("id", "taken", "what", "values")
    table = terminal.table(*names, whole=("taken",))
    for reading in readings:
        values = ", ".join(
            f"{name} {measured['value']:g} {measured['unit']}"
            for name, measured in reading["values"].items()
        )
        remarks = [*_BY_STATUS.get(reading["status"], ()), *reading["remarks"]]
        if reading["source"] == "manual":
            remarks.insert(0, "entered by hand")
        if reading["time_quality"] == "interval":
            minutes = -(-reading["uncertainty_s"] // 60)
            remarks.insert(0, f"time uncertain by {minutes} min either way")
        cells = (reading["taken"], reading["kind"], values)
        if with_id:
            table.add_row(reading["id"], *cells)
        else:
            table.add_row(*cells, "; ".join(remarks))
    out.print(table)


_BY_STATUS: Final = {"amended": ["corrected"], "entered-in-error": ["not yours"]}


def _print_of_nobody(waiting: dict[str, Any]) -> None:
    """Else a step on the scale that it could not place would seem to be lost."""
    count = waiting["count"]
    if not count:
        return
    what, goes = ("1 reading", "It is") if count == 1 else (f"{count} readings", "The oldest is")
    day = iso_text(waiting["until_s"], 0).partition("T")[0]
    out.print(
        f"{what} of your devices could not be put to a person (a weight more than 3 kg from your "
        f"last, for example). {goes} kept until {day}: `tare readings tray`."
    )
