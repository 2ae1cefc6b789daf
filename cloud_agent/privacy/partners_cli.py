"""`tare partner ...`: what people let others have of their data, and what those were told."""

from __future__ import annotations

import json
from typing import Annotated, Final

import typer

from cloud_agent import terminal
from cloud_agent.accounts import agreements
from cloud_agent.accounts.cli import login
from cloud_agent.errors import RefusedError, UsageError
from cloud_agent.privacy.partners import Category
from cloud_agent.terminal import DataOption, EmailOption, JsonOption, PasswordFileOption, out

app: Final = typer.Typer(
    no_args_is_help=True,
    help="Partners: what you let them have of your data, and what they were told. To add one and "
    "to answer for notices you are the operator TARE_OPERATOR. " + terminal.EXIT_CODES,
)

PartnerArgument = Annotated[str, typer.Argument(help="Name or id of the partner.")]
NoticeArgument = Annotated[str, typer.Argument(help="The number of the notice.")]
CategoryArgument = Annotated[Category, typer.Argument(help="Which of your readings.")]


@app.command()
def add(
    *,
    name: Annotated[str, typer.Argument(help="What people know the partner by.")],
    contact: Annotated[str, typer.Option(help="How it is reached: an address or a number.")],
    public_key: Annotated[
        str, typer.Option(metavar="HEX", help="Its Ed25519 public key: 64 digits.")
    ],
    data: DataOption = None,
) -> None:
    """Add a partner. Nothing goes to it before a person says so."""
    given = {"name": name, "contact": contact, "public_key": public_key}
    with terminal.connect(data) as client:
        added = client.ask("partner.add", given | terminal.operator())
    out.print(f"{terminal.printable(name)} is a partner: {added['id']}")


@app.command("list")
def list_(*, as_json: JsonOption = False, data: DataOption = None) -> None:
    """List the partners."""
    with terminal.connect(data) as client:
        found = client.ask("partner.list", {})["partners"]
    if as_json:
        out.print_json(json.dumps(found))
        return
    table = terminal.table("partner", "contact", "id", whole=("id",))
    for row in found:
        table.add_row(row["name"], row["contact"], row["id"])
    out.print(table if found else "There is no partner: nothing leaves this installation.")


@app.command()
def consent(
    *,
    partner: PartnerArgument,
    category: CategoryArgument,
    email: EmailOption,
    version: Annotated[
        str | None,
        typer.Option(
            "--consent",
            metavar="VERSION",
            help="You have read and agree to this version of the consent.",
            show_default=False,
        ),
    ] = None,
    password_file: PasswordFileOption = None,
    data: DataOption = None,
) -> None:
    """Let a partner have one category of your readings. Shows the consent and asks for it."""
    arguments = {"partner": partner, "category": category.value, "version": version or _ask()}
    with terminal.connect(data) as client:
        given = client.ask("partner.consent", arguments | login(email, password_file))
    out.print(
        f"{given['partner']} may be given: {category.value}. `tare partner withdraw` ends it."
    )


@app.command()
def withdraw(
    *,
    partner: PartnerArgument,
    category: Annotated[
        Category | None, typer.Argument(help="Only these readings.", show_default=False)
    ] = None,
    email: EmailOption,
    password_file: PasswordFileOption = None,
    data: DataOption = None,
) -> None:
    """Let a partner have nothing more, at once."""
    arguments = {"partner": partner, "category": None if category is None else category.value}
    with terminal.connect(data) as client:
        done = client.ask("partner.withdraw", arguments | login(email, password_file))
    ended = "Nothing more is given." if done["withdrawn"] else "There was no such consent."
    out.print(ended)


@app.command()
def disclosures(
    *,
    email: EmailOption,
    password_file: PasswordFileOption = None,
    as_json: JsonOption = False,
    data: DataOption = None,
) -> None:
    """List who was given what of you, and by which consent."""
    with terminal.connect(data) as client:
        found = client.ask("partner.disclosures", login(email, password_file))
    if as_json:
        out.print_json(json.dumps(found))
        return
    table = terminal.table("time (UTC)", "to", "what", "readings")
    for row in found["disclosures"]:
        at = row["at_utc"].replace("T", " ")[:16]
        table.add_row(at, row["recipient"], row["category"], str(row["readings"]))
    out.print(table if found["disclosures"] else "Nobody was given anything of you.")
    for row in found["consents"]:
        if row["withdrawn_utc"] is None:
            out.print(f"You let {row['partner']} have: {row['category']}.")


@app.command()
def notices(
    *,
    request: Annotated[
        str | None,
        typer.Option(help="Those of one request, for whoever has its number.", show_default=False),
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Closed ones too.")] = False,
    as_json: JsonOption = False,
    data: DataOption = None,
) -> None:
    """List which partners have to be told of a correction or an erasure, and what they answered."""
    with terminal.connect(data) as client:
        if request is not None:
            found = client.ask("partner.of-request", {"request": request})["notices"]
        else:
            who = terminal.operator()
            found = client.ask("partner.notices", who | {"all": every})["notices"]
    if as_json:
        out.print_json(json.dumps(found))
        return
    table = terminal.table("notice", "to", "what", "state", whole=("notice",))
    for row in found:
        said = row["outcome"] or row["reason"]
        state = row["state"] if said is None else f"{row['state']}: {terminal.printable(said)}"
        table.add_row(row["notice"], row["recipient"], row["kind"], state)
    out.print(table if found else "There is no notice.")


@app.command("hand-over")
def hand_over(
    *,
    notice: NoticeArgument,
    data: DataOption = None,
) -> None:
    """Print a notice as the partner gets it, in JSON, and note that it was sent."""
    with terminal.connect(data) as client:
        given = client.ask("partner.hand-over", {"notice": notice} | terminal.operator())
    out.print_json(json.dumps(given))


@app.command()
def answer(
    *,
    notice: NoticeArgument,
    outcome: Annotated[
        str | None,
        typer.Option(help="What the partner says: the last word of what it signed."),
    ] = None,
    signature: Annotated[
        str | None,
        typer.Option(metavar="HEX", help="Its Ed25519 signature of that answer."),
    ] = None,
    impossible: Annotated[
        str | None,
        typer.Option(metavar="REASON", help="Why it cannot be told, where it cannot."),
    ] = None,
    data: DataOption = None,
) -> None:
    """Note a partner's signed answer, or why there will be none."""
    if (impossible is None) == (outcome is None or signature is None):
        raise UsageError("give --outcome and --signature, or --impossible")
    arguments = {
        "notice": notice,
        "outcome": outcome,
        "signature": signature,
        "impossible": impossible,
    }
    with terminal.connect(data) as client:
        done = client.ask("partner.answer", arguments | terminal.operator())
    out.print(f"{done['recipient']}: {done['state']}")


def _ask() -> str:
    text = agreements.current(agreements.PARTNER)
    terminal.require_terminal(f"read it, then give --consent {text.version}")
    out.print(text.text)
    if not terminal.confirm("Do you agree?"):
        raise RefusedError("nothing was agreed to; your account is as before")
    return text.version
