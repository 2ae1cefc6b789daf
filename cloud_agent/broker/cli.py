"""`tare broker ...`: the broker beside the server."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from cloud_agent.broker import mosquitto
from cloud_agent.broker.errors import PortUnknownError
from cloud_agent.broker.settings import settle_endpoint
from cloud_agent.config import DataFolder
from cloud_agent.devices.pki import Authority
from cloud_agent.errors import NotFoundError
from cloud_agent.terminal import DataOption, JsonOption, connect, operator, out

app = typer.Typer(no_args_is_help=True, help="The MQTT broker: its state, and Mosquitto's rules.")


@app.command("mosquitto-config")
def mosquitto_config(
    folder: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", help="Where to write. Default: in the data folder."),
    ] = None,
    port: Annotated[int | None, typer.Option("--port", min=1, max=65535, help="TLS port.")] = None,
    bind: Annotated[
        str | None, typer.Option("--bind", help="Address to listen on. Default: 127.0.0.1.")
    ] = None,
    data: DataOption = None,
) -> None:
    """Write a configuration and topic rules for a Mosquitto that you start yourself.

    Then start it with `mosquitto -c FILE`, and the server with `tare serve --broker none`.
    """
    chosen = DataFolder.choose(data)
    chosen.create()
    files = Authority.open(chosen.ca).server_files
    try:
        # It may be running with the last configuration: then its port is not free, and right.
        endpoint = settle_endpoint(chosen.broker, bind=bind, port=port, ours=False)
    except PortUnknownError:
        endpoint = settle_endpoint(chosen.broker, bind=bind)
    path = mosquitto.write_config(folder or chosen.broker, endpoint, files)
    out.print(str(path))


@app.command()
def status(*, data: DataOption = None, as_json: JsonOption = False) -> None:
    """Show which broker runs, where, and whether the server is connected to it."""
    _show(_ask(data, "server.status"), as_json=as_json)


@app.command()
def stop(*, data: DataOption = None, as_json: JsonOption = False) -> None:
    """Stop the broker that the server started. Devices keep their readings meanwhile."""
    _show(_ask(data, "broker.stop"), as_json=as_json)


@app.command()
def start(*, data: DataOption = None, as_json: JsonOption = False) -> None:
    """Start the broker again."""
    _show(_ask(data, "broker.start"), as_json=as_json)


def _ask(data: Path | None, operation: str) -> dict[str, Any]:
    if not DataFolder.choose(data).control_socket.exists():
        raise NotFoundError("no server runs on this data folder: start it with tare serve")
    with connect(data) as client:
        return client.ask(operation, {} if operation == "server.status" else operator())


def _show(state: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        out.print_json(data=state)
        return
    running = f"running (process {state['broker_pid']})" if state["broker_pid"] else "stopped"
    if state["broker"] == "none":
        running = "started by someone else"
    connected = "connected" if state["connected"] else "not connected"
    out.print(f"{state['broker']} broker, port {state['port']}: {running}; server {connected}")
