"""`tare account ...`: open, show, export and erase an account."""

from __future__ import annotations

import json
import os
import shutil
import textwrap
import time
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.table import Table

from cloud_agent import terminal
from cloud_agent.accounts import accounts, agreements, emails, zone_guess
from cloud_agent.accounts.agreements import Agreement
from cloud_agent.client import Client
from cloud_agent.config import DataFolder
from cloud_agent.errors import RefusedError, TareError, UsageError
from cloud_agent.readings.zones import iso_text
from cloud_agent.terminal import DataOption, EmailOption, JsonOption, PasswordFileOption, out

app: Final = typer.Typer(
    no_args_is_help=True, help="Open, show, export and erase accounts. " + terminal.EXIT_CODES
)

AlsoScanOption = Annotated[
    list[Path] | None,
    typer.Option(
        "--also-scan",
        metavar="FILE",
        help="A further file in which nothing may be left, such as a flash image. Repeatable.",
        show_default=False,
    ),
]
WaitOption = Annotated[
    int, typer.Option("--wait", metavar="SECONDS", min=0, help="Wait for devices to confirm.")
]

_POLL_S: Final = 0.5
# Lines that are easily read, whatever the terminal has room for.
_TEXT_WIDTH: Final = 78


@app.command()
def create(
    *,
    email: EmailOption,
    name: Annotated[str, typer.Option(help="Your name, as you want to be called.")] = "",
    zone: Annotated[
        str | None,
        typer.Option(help="IANA time zone, such as Europe/Paris. Default: this machine's."),
    ] = None,
    accept_terms: Annotated[
        str | None,
        typer.Option(metavar="VERSION", help="You have read and accept this version of the terms."),
    ] = None,
    of_age: Annotated[
        bool | None,
        typer.Option(
            "--of-age/--under-age",
            help=f"You are {accounts.AGE} years old or older (or not).",
            show_default=False,
        ),
    ] = None,
    consent_health: Annotated[
        bool | None,
        typer.Option(
            "--consent-health/--no-consent-health",
            help="You consent (or not) to the processing of your health data.",
            show_default=False,
        ),
    ] = None,
    password_file: PasswordFileOption = None,
    data: DataOption = None,
) -> None:
    """Open an account. Shows the terms and the consent, and asks for both separately."""
    _check_address(email)
    terms_version = accept_terms or _ask_terms()
    if of_age is None:
        of_age = _ask_age()
    health = _consent(given=consent_health)
    arguments = {
        "of_age": of_age,
        "email": email,
        "name": name,
        "zone": zone or zone_guess.local_zone(),
        "terms_version": terms_version,
        "health_consent": health,
        "password": terminal.read_password(password_file, twice=True),
    }
    folder = DataFolder.choose(data)
    new = not folder.holds_data()
    with terminal.connect(data, create=True) as client:
        client.ask("account.create", arguments)
    if new:
        out.print(f"A new cloud was made in {folder.root}.")
    out.print(f"The account is open. Terms version {terms_version} accepted.")
    if health is None:
        out.print("Without your consent no reading is stored.")
    else:
        out.print(f"Consent to process health data, version {health}, given.")


@app.command()
def texts() -> None:
    """Print the terms of use and the consent that `create` asks for."""
    for document in (agreements.TERMS, agreements.HEALTH):
        out.print(_reflowed(agreements.current(document).text))


@app.command()
def show(
    *,
    email: EmailOption,
    password_file: PasswordFileOption = None,
    as_json: JsonOption = False,
    data: DataOption = None,
) -> None:
    """Show an account: contact data, what was agreed to and when, devices."""
    with terminal.connect(data) as client:
        found = client.ask("account.show", login(email, password_file))
    if as_json:
        _print_json(found)
        return
    table = Table.grid(padding=(0, 2))
    for key in ("email", "name", "time_zone", "created_utc"):
        table.add_row(key.replace("_", " "), str(found[key]))
    for terms in found["terms"]:
        table.add_row("terms", f"version {terms['version']}, accepted {terms['accepted_utc']}")
    if not found["consents"]:
        table.add_row("consent to health data", "not given")
    for consent in found["consents"]:
        withdrawn = consent["withdrawn_utc"]
        end = f", withdrawn {withdrawn}" if withdrawn else ""
        table.add_row(
            f"consent to {consent['purpose']} data",
            f"version {consent['version']}, given {consent['given_utc']}{end}",
        )
    for device in found["devices"]:
        table.add_row("device", terminal.printable(f"{device['id']} ({device['model']})"))
    table.add_row("readings of nobody", str(found["readings_of_nobody"]))
    out.print(table)


@app.command()
def consent(
    *,
    email: EmailOption,
    give: Annotated[
        bool | None,
        typer.Option(
            "--give/--withdraw",
            help="Consent to the processing of your health data, or withdraw the consent.",
            show_default=False,
        ),
    ] = None,
    password_file: PasswordFileOption = None,
    data: DataOption = None,
) -> None:
    """Give your consent to the processing of health data, or withdraw it. Takes effect at once."""
    version = _consent(given=give)
    with terminal.connect(data) as client:
        client.ask("account.consent", login(email, password_file) | {"version": version})
    if version is None:
        out.print("Withdrawn: no further reading is stored. Those that are there are erased in a")
        out.print("month, or now: tare account erase --readings")
    else:
        out.print(f"Consent to process health data, version {version}, given.")


@app.command()
def export(
    *,
    email: EmailOption,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="The zip file to write.")
    ] = Path("tare-export.zip"),
    password_file: PasswordFileOption = None,
    data: DataOption = None,
) -> None:
    """Write everything that is kept about you into a zip file.

    Readings as JSON and CSV with units and UTC offsets, the frames as your device signed them
    with its public key, your account, and what you agreed to.
    """
    if output.exists():
        raise UsageError(f"{output} is there already")
    with terminal.connect(data) as client:
        made = client.ask("account.export", login(email, password_file))
        size = _copy_private(Path(made["path"]), output)
    out.print(f"{output}: {size:,} bytes. Whoever has this file can read it: keep it safe.")


@app.command()
def erase(
    *,
    email: EmailOption,
    readings: Annotated[
        bool, typer.Option("--readings", help="Only your readings; the account stays.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask whether you are sure.")] = False,
    also_scan: AlsoScanOption = None,
    wait: WaitOption = 0,
    password_file: PasswordFileOption = None,
    as_json: JsonOption = False,
    data: DataOption = None,
) -> None:
    """Erase an account for good: keys, readings, exports, and what the devices hold. With
    --readings only what was measured.

    Every file is scanned before and after; the receipt says what was found and what cannot be
    checked. Devices erase when they connect next; `tare account erasure` shows how far it is.
    """
    arguments = login(email, password_file) | {"also_scan": _absolute(also_scan)}
    arguments["only_readings"] = readings
    if not yes:
        terminal.require_terminal("add --yes when you are sure")
        what = f"the account {email} and all its readings"
        if readings:
            what = f"all readings of {email}"
        if not terminal.confirm(f"Erase {what} for good?"):
            raise RefusedError("nothing was erased")
    with terminal.connect(data) as client:
        report = client.ask("account.erase", arguments)
        report = _await_devices(client, report, wait)
    _show_receipt(report, as_json=as_json)


@app.command()
def erasure(
    *,
    request: Annotated[str, typer.Argument(help="The number on the receipt.")],
    also_scan: AlsoScanOption = None,
    wait: WaitOption = 0,
    as_json: JsonOption = False,
    data: DataOption = None,
) -> None:
    """Show how far an erasure is, and carry on what can be carried on."""
    arguments = {"request": request, "also_scan": _absolute(also_scan)}
    with terminal.connect(data) as client:
        report = client.ask("erasure.status", arguments)
        report = _await_devices(client, report, wait)
    _show_receipt(report, as_json=as_json)


def login(email: str, password_file: Path | None) -> dict[str, Any]:
    """The arguments that say who asks."""
    return {"email": email, "password": terminal.read_password(password_file)}


def _check_address(email: str) -> None:
    """Before anything is read and typed in vain. Only here is the address named: on the screen of
    the one who typed it.
    """
    try:
        emails.normalise(email)
    except UsageError as error:
        raise UsageError(f"'{email}' is not an e-mail address") from error


def _ask_terms() -> str:
    terms = agreements.current(agreements.TERMS)
    terminal.require_terminal(
        f"read `tare account texts`, then add --accept-terms {terms.version} and "
        "--consent-health or --no-consent-health"
    )
    _show(terms)
    if not terminal.confirm(f"Do you accept the terms of use, version {terms.version}?"):
        raise RefusedError("without the terms there is no account")
    return terms.version


def _ask_age() -> bool:
    terminal.require_terminal("say your age by --of-age or --under-age")
    return terminal.confirm(f"Are you {accounts.AGE} years old or older?")


def _consent(*, given: bool | None) -> str | None:
    health = agreements.current(agreements.HEALTH)
    if given is None:
        terminal.require_terminal(
            "decide by --consent-health or --no-consent-health (`create`), --give or --withdraw"
        )
        _show(health)
        given = terminal.confirm("Do you consent to the processing of your health data?")
    return health.version if given else None


def _show(agreement: Agreement) -> None:
    out.print()
    out.print(_reflowed(agreement.text))


def _absolute(paths: list[Path] | None) -> list[str]:
    # The server has another working folder.
    return [str(path.absolute()) for path in paths or ()]


def _copy_private(source: Path, target: Path) -> int:
    try:
        descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise TareError(f"cannot write {target}: {error.strerror}") from error
    try:
        with os.fdopen(descriptor, "wb") as sink, source.open("rb") as stream:
            shutil.copyfileobj(stream, sink)
    except OSError as error:
        target.unlink(missing_ok=True)  # half of it is of no use, and in the way of the next try
        raise TareError(f"cannot write {target}: {error.strerror}") from error
    return target.stat().st_size


def _await_devices(client: Client, report: dict[str, Any], wait_s: int) -> dict[str, Any]:
    deadline = time.monotonic() + wait_s
    while report["state"] == "awaiting-devices" and time.monotonic() < deadline:
        time.sleep(_POLL_S)
        report |= client.ask("erasure.status", {"request": report["request"]})
    return report


def _show_receipt(report: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        _print_json(report)
    else:
        _print_receipt(report)
    if report["state"] == "failed" or report["unreadable_s"] is None:
        raise TareError("the erasure is not complete: see the receipt, then run `erasure` again")


def _reflowed(text: str) -> str:
    """The text with its paragraphs broken for this terminal; the words, and the hash, stay."""
    width = min(_TEXT_WIDTH, out.width)
    paragraphs = (" ".join(paragraph.split()) for paragraph in text.strip().split("\n\n"))
    return "\n\n".join(textwrap.fill(paragraph, width) for paragraph in paragraphs)


def _print_receipt(report: dict[str, Any]) -> None:
    table = Table.grid(padding=(0, 2))
    table.add_row("erasure", report["request"])
    table.add_row("state", report["state"])
    for key, text in (
        ("requested_s", "requested"),
        ("unreadable_s", "unreadable since"),
        ("compacted_s", "gone from every file since"),
        ("closed_s", "closed"),
    ):
        if report[key] is not None:
            table.add_row(text, iso_text(report[key], 0))
    table.add_row("looked for", f"{report['patterns']} byte patterns")
    table.add_row("found before", _places(report["found_before"]))
    if report["missing_before"]:
        table.add_row("not found before", ", ".join(report["missing_before"]))
    table.add_row("found after", _places(report["found_after"]))
    if report["state"] == "running" and report["unreadable_s"] is not None:
        table.add_row("to come", "the bytes leave the files in the night; then it is proven")
    for name in report["scanned_last"]:
        table.add_row("scanned too", name)
    for device, state in report["devices"].items():
        table.add_row("device", f"{device}: {_DEVICE_STATES.get(state, state)}")
    for text in report["not_verified"]:
        table.add_row("not verified", text)
    out.print(table)
    if report.get("receipt_code"):
        number, code = report["request"], report["receipt_code"]
        out.print("Your signed receipt, when it is proven (keep this line):")
        out.print(f"tare request receipt {number} --code {code} -o receipt.json", soft_wrap=True)


_DEVICE_STATES: Final = {
    "waiting": "will erase when it connects next",
    "done": "has erased and signed for it",
    "failed": "could not erase",
}


def _places(found: dict[str, int]) -> str:
    if not found:
        return "0 places"
    return ", ".join(f"{count} places in {name}" for name, count in sorted(found.items()))


def _print_json(value: dict[str, Any]) -> None:
    out.print_json(json.dumps(value))
