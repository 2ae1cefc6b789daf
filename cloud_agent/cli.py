"""The command `tare`: puts the groups of commands together, and turns every mistake into one
line and an exit code.
"""

from __future__ import annotations

import json
import resource
import sys
from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated, Final

import typer

from cloud_agent import serve as server
from cloud_agent import terminal
from cloud_agent.accounts import access_cli as _access_cli  # noqa: F401 - adds its commands
from cloud_agent.accounts.cli import app as account_app
from cloud_agent.backup.cli import app as backup_app
from cloud_agent.backup.cli import restore
from cloud_agent.broker.cli import app as broker_app
from cloud_agent.devices import household_cli as _household_cli  # noqa: F401 - adds its commands
from cloud_agent.devices.cli import app as device_app
from cloud_agent.errors import TareError, from_os
from cloud_agent.privacy.cli import register
from cloud_agent.privacy.oversight_cli import breach_app, operator_app
from cloud_agent.privacy.partners_cli import app as partner_app
from cloud_agent.privacy.requests.cli import app as request_app
from cloud_agent.readings import changes_cli as _changes_cli  # noqa: F401 - adds its commands
from cloud_agent.readings.cli import app as readings_app
from cloud_agent.terminal import DataOption, JsonOption, out
from tools.errors import ToolError
from tools.firmware.cli import app as firmware_app

_HELP: Final = f"""Tare: an open connected scale and blood-pressure cuff with a cloud of your own.

Start with `tare serve` and leave it running. In another terminal: `tare account create`, then
`tare device enroll` with the scale on USB, press its button, and `tare device claim` with the
code that it shows. Step on it, and `tare readings list` shows your weight.

Your password is asked for, or read from TARE_PASSWORD or --password-file.

{terminal.EXIT_CODES}
"""

app: Final = typer.Typer(
    name="tare",
    help=_HELP,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(account_app, name="account")
app.add_typer(device_app, name="device")
app.add_typer(readings_app, name="readings")
app.add_typer(request_app, name="request")
app.add_typer(operator_app, name="operator")
app.add_typer(breach_app, name="breach")
app.add_typer(partner_app, name="partner")
app.add_typer(backup_app, name="backup")
app.command()(register)
app.command()(restore)
app.add_typer(broker_app, name="broker")
app.add_typer(firmware_app, name="firmware")


class BrokerKind(StrEnum):
    """Which broker `serve` starts."""

    AUTO = "auto"
    EMBEDDED = "embedded"
    MOSQUITTO = "mosquitto"
    NONE = "none"


@app.command()
def serve(
    *,
    broker: Annotated[
        BrokerKind,
        typer.Option(help="auto: Mosquitto where it is installed, else the embedded one."),
    ] = BrokerKind.AUTO,
    port: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=65_535,
            help="TLS port of the broker. Default: that of the last time, else a free one.",
            show_default=False,
        ),
    ] = None,
    bind: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS", help="Address to listen on. Default: 127.0.0.1.", show_default=False
        ),
    ] = None,
    host: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="Address that devices are told at enrolment.", show_default=False
        ),
    ] = None,
    web_port: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=65_535,
            help="Port of the pages on this machine. Default: that of the last time, else a free "
            "one.",
            show_default=False,
        ),
    ] = None,
    data: DataOption = None,
) -> None:
    """Run the cloud: broker, agent and databases. Stop it with Ctrl-C."""
    server.run(
        server.Options(
            data=data,
            broker=broker.value,
            port=port or None,
            bind=bind,
            host=host,
            web_port=web_port,
        )
    )


@app.command()
def refused(
    *,
    limit: Annotated[int, typer.Option(min=1, max=1_000, help="The latest so many.")] = 20,
    as_json: JsonOption = False,
    data: DataOption = None,
) -> None:
    """List messages that were refused: why, by which key and topic, never what was in them."""
    with terminal.connect(data) as client:
        found = client.ask("frames.refused", {"limit": limit} | terminal.operator())["refused"]
    if as_json:
        out.print_json(json.dumps(found))
        return
    names = ("received (UTC)", "reason", "key", "topic", "bytes")
    table = terminal.table(*names, whole=("reason", "key"))
    for row in found:
        key = row["kid"] or "not read"
        table.add_row(
            row["received_utc"].replace("T", " ").removesuffix("+00:00"),
            row["reason"],
            key,
            terminal.printable(row["topic"]),
            str(row["length"]),
        )
    out.print(table if found else "No message was refused.")


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; returns its exit code."""
    _leave_no_core_file()
    try:
        app(args=None if arguments is None else list(arguments), prog_name="tare")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 1
    except (TareError, ToolError) as error:
        return terminal.report(error)
    except KeyboardInterrupt:
        return terminal.INTERRUPTED
    except BrokenPipeError:
        # The reader (`head`) has seen enough; nothing may be flushed at exit any more.
        sys.stdout = None
        return 0
    except OSError as error:
        return terminal.report(from_os(error))
    return 0


def _leave_no_core_file() -> None:
    """Passwords and keys are in this process's memory, and would be in the file of a crash. What
    the server starts inherits it.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, hard))


if __name__ == "__main__":
    sys.exit(main())
