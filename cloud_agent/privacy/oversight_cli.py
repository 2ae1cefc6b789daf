"""`tare operator ...`, `tare breach ...`, `tare account accesses`."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from cloud_agent import terminal
from cloud_agent.accounts.cli import app as account_app
from cloud_agent.accounts.cli import login
from cloud_agent.accounts.operators import Role
from cloud_agent.errors import UsageError
from cloud_agent.readings.zones import iso_text
from cloud_agent.terminal import DataOption, EmailOption, JsonOption, PasswordFileOption, out

operator_app: Final = typer.Typer(
    no_args_is_help=True,
    help="Who runs the service, with the least rights. You are the operator TARE_OPERATOR, with "
    "TARE_OPERATOR_PASSWORD. " + terminal.EXIT_CODES,
)
breach_app: Final = typer.Typer(
    no_args_is_help=True, help="Breaches: whose data, and who was told. " + terminal.EXIT_CODES
)

NewPasswordOption = Annotated[
    Path | None,
    typer.Option(
        "--new-password-file",
        metavar="FILE",
        help="File whose first line is their password. Default: a prompt.",
        show_default=False,
    ),
]
BreachArgument = Annotated[int, typer.Argument(metavar="NUMBER", help="The number of the breach.")]
TimeText = "A time in UTC, such as 2026-03-01T07:12."


@account_app.command()
def accesses(
    *,
    email: EmailOption,
    as_json: JsonOption = False,
    password_file: PasswordFileOption = None,
    data: DataOption = None,
) -> None:
    """List who read your data in the last year: you, or an operator, and why."""
    with terminal.connect(data) as client:
        found = client.ask("account.accesses", login(email, password_file))["accesses"]
    if as_json:
        out.print_json(json.dumps(found))
        return
    table = terminal.table("when (UTC)", "who", "what", "why")
    for row in found:
        when = row["at_utc"].replace("T", " ")[:16]
        table.add_row(when, row["who"], row["what"], terminal.printable(row["reason"] or ""))
    out.print(table if found else "Nobody has read your data.")


@operator_app.command()
def add(
    name: Annotated[str, typer.Argument(help="A word.")],
    role: Annotated[Role, typer.Argument(help="What they work on.")],
    *,
    new_password_file: NewPasswordOption = None,
    data: DataOption = None,
) -> None:
    """Add an operator. From the first one on, clerks' and breach commands ask who you are."""
    arguments = {"name": name, "role": role.value}
    arguments["new_password"] = terminal.read_new_password(new_password_file)
    _ask(data, "operator.add", arguments)
    out.print(f"{name} is {role.value}.")


@operator_app.command()
def remove(
    name: Annotated[str, typer.Argument(help="Who leaves.")], *, data: DataOption = None
) -> None:
    """Remove an operator."""
    _ask(data, "operator.remove", {"name": name})
    out.print(f"{name} is removed.")


@operator_app.command("list")
def list_operators(*, as_json: JsonOption = False, data: DataOption = None) -> None:
    """List the operators and what they work on."""
    found = _ask(data, "operator.list", {})["operators"]
    if as_json:
        out.print_json(json.dumps(found))
        return
    table = terminal.table("name", "role")
    for row in found:
        table.add_row(row["name"], row["role"])
    out.print(table if found else "There is no operator: whoever has this folder is all of them.")


@breach_app.command("open")
def open_breach(
    what: Annotated[str, typer.Argument(help="What happened, without naming anybody.")],
    *,
    noticed: Annotated[
        str | None, typer.Option(metavar="TIME", help=TimeText, show_default=False)
    ] = None,
    data: DataOption = None,
) -> None:
    """Note a breach. From when it was noticed the authority has to be told within 72 hours."""
    arguments: dict[str, Any] = {"what": what}
    if noticed is not None:
        arguments["noticed_s"] = _time_s(noticed)
    number = _ask(data, "breach.open", arguments)["breach"]
    out.print(f"Breach {number} is noted. `tare breach list` shows until when it has to be told.")


@breach_app.command()
def affected(
    number: BreachArgument,
    *,
    since: Annotated[str, typer.Option(metavar="TIME", help=TimeText)],
    until: Annotated[str, typer.Option(metavar="TIME", help=TimeText)],
    by: Annotated[
        str | None,
        typer.Option(
            metavar="WHO", help="Only what this account id or operator read.", show_default=False
        ),
    ] = None,
    tell: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write this text to all of them.", show_default=False),
    ] = None,
    as_json: JsonOption = False,
    data: DataOption = None,
) -> None:
    """List whose data were read in that time, and write to them."""
    arguments: dict[str, Any] = {"breach": number}
    arguments |= {"from_s": _time_s(since), "until_s": _time_s(until)}
    arguments |= {"actor": by, "tell": None if tell is None else _text(tell)}
    found = _ask(data, "breach.affected", arguments)
    if as_json:
        out.print_json(json.dumps(found))
        return
    for account in found["accounts"]:
        out.print(account)
    out.print(
        f"{len(found['accounts'])} accounts; {found['erased_since']} more were erased since, and "
        "nobody can read their data any more."
    )
    if found["told"] is not None:
        out.print(f"{found['told']} letters are on their way.")


@breach_app.command()
def told(number: BreachArgument, *, data: DataOption = None) -> None:
    """Note that the authority was told."""
    _ask(data, "breach.told", {"breach": number})
    out.print("Noted.")


@breach_app.command()
def close(
    number: BreachArgument,
    *,
    reason: Annotated[
        str | None,
        typer.Option(help="Why the authority was not told, if so.", show_default=False),
    ] = None,
    data: DataOption = None,
) -> None:
    """End the record of a breach."""
    _ask(data, "breach.close", {"breach": number, "reason": reason})
    out.print("Closed.")


@breach_app.command("list")
def list_breaches(*, as_json: JsonOption = False, data: DataOption = None) -> None:
    """List the breaches, and until when the authority has to be told."""
    found = _ask(data, "breach.list", {})["breaches"]
    if as_json:
        out.print_json(json.dumps(found))
        return
    table = terminal.table("no.", "what", "tell until (UTC)", "told (UTC)", "people", "state")
    for row in found:
        table.add_row(
            str(row["id"]),
            terminal.printable(row["what"]),
            row["due_utc"].replace("T", " ")[:16],
            _minute(row["authority_told_s"]),
            str(row["affected"] if row["affected"] is not None else "-"),
            "closed" if row["closed_s"] else "open",
        )
    out.print(table if found else "There is no breach.")


def _ask(data: Path | None, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
    with terminal.connect(data) as client:
        return client.ask(name, arguments | terminal.operator())


def _time_s(given: str) -> int:
    try:
        moment = datetime.fromisoformat(given)
    except ValueError as error:
        raise UsageError(f"{given} is no time: it is written YYYY-MM-DDTHH:MM") from error
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read {path}") from error


def _minute(at_s: int | None) -> str:
    return "-" if at_s is None else iso_text(at_s, 0)[:16].replace("T", " ")
