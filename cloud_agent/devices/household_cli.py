"""`tare device invite | join | people | leave | remove-person`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from cloud_agent import terminal
from cloud_agent.accounts.cli import login
from cloud_agent.devices.cli import DeviceArgument, app
from cloud_agent.errors import RefusedError
from cloud_agent.terminal import DataOption, EmailOption, JsonOption, PasswordFileOption, out


@app.command()
def invite(
    device: DeviceArgument,
    *,
    email: EmailOption,
    password_file: PasswordFileOption = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Invite an adult with an account of their own to share your device.

    Give them the code. They see their readings, you see yours, and nobody sees the other's.
    """
    with terminal.connect(data) as client:
        made = client.ask("device.invite", login(email, password_file) | {"device": device})
    if as_json:
        out.print_json(data=made)
    else:
        out.print(f"The code, good for seven days and one person: {made['code']}")


@app.command()
def join(
    code: Annotated[str, typer.Argument(help="The code that you were given.")],
    *,
    email: EmailOption,
    password_file: PasswordFileOption = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Share a device, by the code of an invitation."""
    with terminal.connect(data) as client:
        joined = client.ask("device.join", login(email, password_file) | {"code": code})
    if as_json:
        out.print_json(data=joined)
    else:
        out.print(f"You share device {joined['device']} as soon as it is heard.")


@app.command()
def people(
    device: DeviceArgument,
    *,
    email: EmailOption,
    password_file: PasswordFileOption = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the numbers of the people on a device; you see all of them if you hold it."""
    with terminal.connect(data) as client:
        arguments = login(email, password_file) | {"device": device}
        found = client.ask("device.people", arguments)["people"]
    if as_json:
        out.print_json(data=found)
        return
    table = terminal.table("number on the display", "who")
    for member in found:
        table.add_row(str(member["slot"]), _who(member))
    out.print(table)


@app.command()
def leave(
    device: DeviceArgument,
    *,
    email: EmailOption,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask whether you are sure.")] = False,
    password_file: PasswordFileOption = None,
    data: DataOption = None,
) -> None:
    """Share a device no more. Your readings stay yours, also those that it has not sent yet."""
    arguments = login(email, password_file) | {"device": device}
    if not yes:
        terminal.require_terminal("add --yes when you are sure")
        if not terminal.confirm(f"Share {device} no more?"):
            raise RefusedError("nothing was changed")
    with terminal.connect(data) as client:
        client.ask("device.leave", arguments)
    out.print(f"You share device {device} no more. It forgets you as soon as it is heard.")


@app.command("remove-person")
def remove_person(
    device: DeviceArgument,
    slot: Annotated[int, typer.Argument(min=1, max=8, help="The number on the display.")],
    *,
    email: EmailOption,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask whether you are sure.")] = False,
    password_file: PasswordFileOption = None,
    data: DataOption = None,
) -> None:
    """End the place of another on your device. Their readings stay theirs."""
    arguments = login(email, password_file) | {"device": device, "slot": slot}
    if not yes:
        terminal.require_terminal("add --yes when you are sure")
        if not terminal.confirm(f"End the place of number {slot} on {device}?"):
            raise RefusedError("nothing was changed")
    with terminal.connect(data) as client:
        client.ask("device.remove-person", arguments)
    out.print(f"Number {slot} is free as soon as device {device} is heard.")


def _who(member: dict[str, Any]) -> str:
    words = ["you"] if member["yours"] else ["another"]
    return ", ".join([*words, "holds the device"] if member["holds"] else words)
