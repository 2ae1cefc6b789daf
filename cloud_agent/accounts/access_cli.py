"""`tare account change | password | recover | sessions | sign-out`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from cloud_agent import terminal
from cloud_agent.accounts.cli import app, login
from cloud_agent.errors import UsageError
from cloud_agent.terminal import DataOption, EmailOption, PasswordFileOption, out

NewPasswordFileOption = Annotated[
    Path | None,
    typer.Option(
        "--new-password-file",
        metavar="FILE",
        help="File whose first line is the new password. Default: a prompt.",
        show_default=False,
    ),
]


@app.command()
def change(
    *,
    email: EmailOption,
    name: Annotated[str | None, typer.Option(help="Another name.", show_default=False)] = None,
    zone: Annotated[
        str | None, typer.Option(help="Another IANA time zone.", show_default=False)
    ] = None,
    new_email: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="Another e-mail address.", show_default=False),
    ] = None,
    confirm: Annotated[
        str | None,
        typer.Option(
            metavar="CODE",
            help="The end of the link in the letter to the new address.",
            show_default=False,
        ),
    ] = None,
    password_file: PasswordFileOption = None,
    data: DataOption = None,
) -> None:
    """Change name, time zone or e-mail address. A new address gets a letter to confirm."""
    with terminal.connect(data) as client:
        if confirm is not None:
            client.ask("account.confirm-address", {"token": _end_of(confirm)})
            out.print("The address is changed.")
            return
        arguments: dict[str, Any] = {"name": name, "zone": zone, "new_email": new_email}
        if not any(value is not None for value in arguments.values()):
            raise UsageError("say what to change: --name, --zone or --new-email")
        done = client.ask("account.change", arguments | login(email, password_file))
    if name is not None or zone is not None:
        out.print("Changed.")
    if done["confirm_at_new_address"]:
        out.print("A letter is on its way to the new address: open its link within a day.")


@app.command()
def password(
    *,
    email: EmailOption,
    new_password_file: NewPasswordFileOption = None,
    password_file: PasswordFileOption = None,
    data: DataOption = None,
) -> None:
    """Choose a new password. Everybody who is signed in is signed out."""
    arguments = login(email, password_file)
    arguments["new_password"] = terminal.read_new_password(new_password_file)
    with terminal.connect(data) as client:
        client.ask("account.password", arguments)
    out.print("The password is changed.")


@app.command()
def recover(
    *,
    email: Annotated[
        str | None, typer.Option(help="Address of the account.", show_default=False)
    ] = None,
    code: Annotated[
        str | None,
        typer.Option(help="The end of the link in the letter.", show_default=False),
    ] = None,
    new_password_file: NewPasswordFileOption = None,
    data: DataOption = None,
) -> None:
    """Ask for a letter with a link (--email), then choose a new password by it (--code)."""
    if (email is None) == (code is None):
        raise UsageError("give --email for a letter, or --code from the letter")
    with terminal.connect(data) as client:
        if email is not None:
            client.ask("account.ask-for-recovery", {"email": email})
            out.print("If this address has an account, a letter with a link is on its way.")
            return
        new = terminal.read_new_password(new_password_file)
        client.ask("account.recover", {"token": _end_of(code or ""), "new_password": new})
    out.print("The password is changed.")


@app.command()
def sessions(
    *, email: EmailOption, password_file: PasswordFileOption = None, data: DataOption = None
) -> None:
    """List where the account is signed in."""
    with terminal.connect(data) as client:
        found = client.ask("account.sessions", login(email, password_file))["sessions"]
    table = terminal.table("session", "since (UTC)", "until (UTC)", whole=("session",))
    for row in found:
        times = (row[key].replace("T", " ")[:16] for key in ("since_utc", "until_utc"))
        table.add_row(row["id"], *times)
    out.print(table if found else "Nobody is signed in.")


@app.command("sign-out")
def sign_out(
    *, email: EmailOption, password_file: PasswordFileOption = None, data: DataOption = None
) -> None:
    """Sign out everywhere. Links in letters that were not used end as well."""
    with terminal.connect(data) as client:
        client.ask("account.sign-out", login(email, password_file) | {"everywhere": True})
    out.print("Signed out everywhere.")


def _end_of(link: str) -> str:
    """A whole link does as well."""
    return link.strip().rstrip("/").rpartition("/")[2]
