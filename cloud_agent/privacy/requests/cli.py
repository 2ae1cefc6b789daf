"""`tare request ...`: privacy requests, of people and of the clerk who answers letters."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from cloud_agent import terminal
from cloud_agent.accounts.cli import login
from cloud_agent.errors import RefusedError, TareError, UsageError
from cloud_agent.privacy.requests import letters
from cloud_agent.privacy.requests.states import Kind
from cloud_agent.terminal import DataOption, EmailOption, JsonOption, PasswordFileOption, out

app: Final = typer.Typer(
    no_args_is_help=True,
    help="Privacy requests: your own, and those that come by letter. " + terminal.EXIT_CODES,
)

RequestArgument = Annotated[str, typer.Argument(help="The number of the request.")]
AddressOption = Annotated[
    str, typer.Option("--email", metavar="ADDRESS", help="The address on file of the person.")
]
KindOption = Annotated[Kind, typer.Option(help="What is asked for.")]


@app.command("open")
def open_(
    *,
    kind: Annotated[Kind, typer.Argument(help="What you ask for.")],
    email: EmailOption,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask whether you are sure.")] = False,
    password_file: PasswordFileOption = None,
    as_json: JsonOption = False,
    data: DataOption = None,
) -> None:
    """Make a request of your own. It is carried out at once, and recorded with its receipt."""
    arguments = login(email, password_file) | {"kind": kind.value}
    if not yes:
        terminal.require_terminal("add --yes when you are sure")
        if not terminal.confirm(f"You ask for {letters.NAMES[kind]}. Are you sure?"):
            raise RefusedError("nothing was asked for")
    _ask(data, "request.open", arguments, as_json=as_json)


@app.command()
def mine(
    *,
    email: EmailOption,
    password_file: PasswordFileOption = None,
    as_json: JsonOption = False,
    data: DataOption = None,
) -> None:
    """List your own requests."""
    _list(data, "request.mine", login(email, password_file), as_json=as_json)


@app.command()
def revoke(
    *,
    request: RequestArgument,
    email: EmailOption,
    password_file: PasswordFileOption = None,
    as_json: JsonOption = False,
    data: DataOption = None,
) -> None:
    """Take a request back, as long as nothing was done for it."""
    arguments = login(email, password_file) | {"request": request}
    _ask(data, "request.revoke", arguments, as_json=as_json)


@app.command("use-again")
def use_again(
    *, email: EmailOption, password_file: PasswordFileOption = None, data: DataOption = None
) -> None:
    """End a restriction: your readings are shown and used again."""
    with terminal.connect(data) as client:
        client.ask("account.lift-restriction", login(email, password_file))
    out.print("Your readings are used again.")


@app.command()
def confirm(
    *,
    code: Annotated[str, typer.Argument(help="The code, or the whole link, of the letter.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask whether you are sure.")] = False,
    as_json: JsonOption = False,
    data: DataOption = None,
) -> None:
    """Confirm a request by the code of a letter, and have it carried out."""
    arguments = {"code": code.strip().rstrip("/").rpartition("/")[2]}
    with terminal.connect(data) as client:
        shown = client.ask("request.show", arguments)
        if not yes:
            terminal.require_terminal("add --yes when you are sure")
            if not terminal.confirm(f"You ask for {shown['what']}. Is that so?"):
                raise RefusedError("nothing was confirmed")
        _show(client.ask("request.confirm", arguments), as_json=as_json)


@app.command()
def receipt(
    *,
    request: RequestArgument,
    code: Annotated[
        str | None,
        typer.Option(help="The code that makes the receipt yours.", show_default=False),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Write it there.", show_default=False),
    ] = None,
    data: DataOption = None,
) -> None:
    """Get the signed receipt of a request. tools/verify_receipt.py checks it."""
    arguments = {"request": request, "nonce": code}
    with terminal.connect(data) as client:
        document = client.ask("request.receipt", arguments)["document"]
    if output is None:
        out.file.write(document)
        return
    try:
        with output.open("x", encoding="utf-8") as stream:
            stream.write(document)
    except FileExistsError as error:
        raise UsageError(f"{output} is there already") from error
    except OSError as error:
        raise TareError(f"cannot write {output}: {error.strerror}") from error


@app.command("list")
def list_(
    *,
    every: Annotated[bool, typer.Option("--all", help="Closed ones too.")] = False,
    as_json: JsonOption = False,
    data: DataOption = None,
) -> None:
    """List the requests that are open, with the last day for each answer."""
    _list(data, "request.list", {"all": every} | terminal.operator(), as_json=as_json)


@app.command()
def enter(
    *,
    kind: KindOption,
    email: AddressOption,
    received: Annotated[
        str, typer.Option(metavar="YYYY-MM-DD", help="The day on which the letter came.")
    ],
    scan: Annotated[
        str | None,
        typer.Option(metavar="REFERENCE", help="Where the scan lies.", show_default=False),
    ] = None,
    as_json: JsonOption = False,
    data: DataOption = None,
) -> None:
    """Enter a letter on paper. Prints the letter to send back, with a one-time code.

    The time for the answer runs from the day on which it came.
    """
    arguments = {"kind": kind.value, "email": email, "received": received, "scan": scan}
    with terminal.connect(data) as client:
        entered = client.ask("request.enter", arguments | terminal.operator())
    if as_json:
        out.print_json(json.dumps(entered))
        return
    _show(entered, as_json=False)
    if not entered["new"]:
        out.print("This letter was entered before.")
    elif not entered["known"]:
        out.print("No account has this address: answer by post, and refuse it as no-match.")


@app.command()
def find(
    *,
    email: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="The address on file.", show_default=False),
    ] = None,
    device: Annotated[
        str | None, typer.Option(help="A device that they hold.", show_default=False)
    ] = None,
    reason: Annotated[str, typer.Option(help="Why: the person will see it.")],
    as_json: JsonOption = False,
    data: DataOption = None,
) -> None:
    """Find a person's account and requests by their address or device. The search is written
    down.
    """
    if (email is None) == (device is None):
        raise UsageError("give --email or --device")
    arguments = {"email": email, "device": device, "reason": reason} | terminal.operator()
    with terminal.connect(data) as client:
        found = client.ask("request.find", arguments)
    if as_json:
        out.print_json(json.dumps(found))
        return
    out.print(f"account {found['account']}, {terminal.printable(found['address'] or 'erased')}")
    _print_requests(found["requests"])


@app.command()
def read(*, request: RequestArgument, as_json: JsonOption = False, data: DataOption = None) -> None:
    """Read what was written to us, as long as the request is open."""
    _ask_as_clerk(data, "request.read", {"request": request}, as_json=as_json)


@app.command()
def assign(
    *,
    request: RequestArgument,
    kind: KindOption,
    email: AddressOption,
    as_json: JsonOption = False,
    data: DataOption = None,
) -> None:
    """Say what a letter asks for and whose account it is about; the person still confirms it."""
    arguments = {"request": request, "kind": kind.value, "email": email}
    _ask_as_clerk(data, "request.assign", arguments, as_json=as_json)


@app.command()
def verify(
    *, request: RequestArgument, as_json: JsonOption = False, data: DataOption = None
) -> None:
    """Note that the identity was checked when a registered letter was delivered."""
    _ask_as_clerk(data, "request.verify", {"request": request}, as_json=as_json)


@app.command()
def rectify(
    *,
    request: RequestArgument,
    name: Annotated[str | None, typer.Option(help="The right name.", show_default=False)] = None,
    zone: Annotated[
        str | None, typer.Option(help="The right time zone.", show_default=False)
    ] = None,
    as_json: JsonOption = False,
    data: DataOption = None,
) -> None:
    """Correct what a verified request asks to be corrected."""
    arguments = {"request": request, "name": name, "zone": zone}
    _ask_as_clerk(data, "request.rectify", arguments, as_json=as_json)


@app.command()
def pause(
    *,
    request: RequestArgument,
    reason: Annotated[str, typer.Option(help="identity or clarification.")],
    as_json: JsonOption = False,
    data: DataOption = None,
) -> None:
    """More was asked for: the time stands still."""
    _ask_as_clerk(data, "request.pause", {"request": request, "reason": reason}, as_json=as_json)


@app.command()
def resume(
    *, request: RequestArgument, as_json: JsonOption = False, data: DataOption = None
) -> None:
    """What was asked for has come: the time runs again."""
    _ask_as_clerk(data, "request.resume", {"request": request}, as_json=as_json)


@app.command()
def extend(
    *,
    request: RequestArgument,
    reason: Annotated[str, typer.Option(help=f"One of {', '.join(letters.EXTENSIONS)}.")],
    as_json: JsonOption = False,
    data: DataOption = None,
) -> None:
    """Take two more months, once; the person is told why."""
    _ask_as_clerk(data, "request.extend", {"request": request, "reason": reason}, as_json=as_json)


@app.command()
def refuse(
    *,
    request: RequestArgument,
    reason: Annotated[str, typer.Option(help=f"One of {', '.join(letters.REASONS)}.")],
    as_json: JsonOption = False,
    data: DataOption = None,
) -> None:
    """Refuse a request; the person is told why, and where to complain."""
    _ask_as_clerk(data, "request.refuse", {"request": request, "reason": reason}, as_json=as_json)


@app.command()
def receipts(*, as_json: JsonOption = False, data: DataOption = None) -> None:
    """Print how far the log of receipts goes: keep it elsewhere, and nobody can shorten it."""
    with terminal.connect(data) as client:
        head = client.ask("receipts.head", {})
    if as_json:
        out.print_json(json.dumps(head))
        return
    out.print(f"{head['count']} receipts, the last has the hash {head['last']}")
    out.print(f"public key {head['public_key']}")


def _ask_as_clerk(
    data: Path | None, name: str, arguments: dict[str, Any], *, as_json: bool
) -> None:
    _ask(data, name, arguments | terminal.operator(), as_json=as_json)


def _ask(data: Path | None, name: str, arguments: dict[str, Any], *, as_json: bool) -> None:
    with terminal.connect(data) as client:
        answer = client.ask(name, arguments)
    _show(answer, as_json=as_json)


def _show(found: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        out.print_json(json.dumps(found))
        return
    out.print(f"request   {found['request']}")
    out.print(f"what      {found['kind']}, by {found['channel']}")
    out.print(f"state     {found['state']}")
    if found["due"]:
        out.print(f"answer by {found['due']}")
    for step in found["steps"]:
        cause = f" ({step['cause']})" if step["cause"] else ""
        out.print(f"step      {step['action']}: {step['state']}{cause}")
    if found.get("written"):
        out.print(terminal.printable_lines(found["written"]))
    if found.get("letter"):
        out.print()
        out.print(found["letter"])
    if found.get("receipt_code"):
        out.print(f"receipt   its code is {found['receipt_code']}: keep it")


def _list(data: Path | None, name: str, arguments: dict[str, Any], *, as_json: bool) -> None:
    with terminal.connect(data) as client:
        found = client.ask(name, arguments)["requests"]
    if as_json:
        out.print_json(json.dumps(found))
        return
    _print_requests(found)


def _print_requests(found: list[dict[str, Any]]) -> None:
    names = ("request", "what", "by", "received", "answer by", "state")
    table = terminal.table(*names, whole=("request", "received", "answer by"))
    for row in found:
        day = row["received_utc"].partition("T")[0]
        table.add_row(
            row["request"], row["kind"], row["channel"], day, row["due"] or "", row["state"]
        )
    out.print(table if found else "There is no request.")
