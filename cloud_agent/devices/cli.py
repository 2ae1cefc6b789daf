"""`tare device ...`: enrol a device on a serial port, claim or release it, list, talk to one."""

from __future__ import annotations

import json
import os
import queue
import threading
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from cloud_agent import terminal
from cloud_agent.devices.console_client import Console
from cloud_agent.devices.errors import ConsoleError, EnrolmentError
from cloud_agent.errors import RefusedError, UsageError
from cloud_agent.terminal import (
    DataOption,
    EmailOption,
    JsonOption,
    PasswordFileOption,
    confirm,
    connect,
    out,
    printable,
    read_password,
    require_terminal,
)
from cloud_agent.terminal import table as narrow_table
from protocol import settings as setting_table

app = typer.Typer(
    no_args_is_help=True, help="Enrol, claim and list scales and cuffs, and talk to one by cable."
)

PortOption = Annotated[
    str,
    typer.Option(
        "--port",
        metavar="PORT",
        help="Serial port of the device, such as /dev/ttyUSB0, or any pyserial URL.",
    ),
]
ConsoleRequest = Annotated[
    list[str] | None,
    typer.Argument(metavar="[VERB [ARGUMENT]...]", help="One request, such as: about"),
]
DeviceArgument = Annotated[
    str, typer.Argument(metavar="DEVICE", help="Its id: see `tare device list`.")
]

_SETTINGS = "; ".join(f"{each.name}: {each.expected()}" for each in setting_table.TABLE) + "."
_LISTEN_S = 0.1


@app.command()
def enroll(*, port: PortOption, data: DataOption = None, as_json: JsonOption = False) -> None:
    """Make a device yours to use: it makes its keys, and gets its certificate over the cable.

    A device that is enrolled already is refused.
    """
    with Console(port) as console, connect(data) as client:
        about = console.request("about")
        if isinstance(about, dict) and about.get("enrolled"):
            raise EnrolmentError(f"this device is enrolled already, as {about.get('id')}")
        who = terminal.operator()
        challenge = bytes.fromhex(client.ask("device.enrol-begin", who)["challenge"])
        request = console.enrol_begin(challenge)
        answer = client.ask("device.enrol-answer", {"request": request.hex()} | who)
        device = console.enrol_finish(bytes.fromhex(answer["reply"]))
        if device != answer["device"]:
            raise ConsoleError("the device has stored another id than it was given")
        client.ask("device.enrol-finish", {"device": device} | who)
    if as_json:
        out.print_json(data={"device": device})
    else:
        out.print(f"Device {device} is enrolled. Press its button, then: tare device claim CODE")


@app.command()
def claim(
    code: Annotated[
        list[str],
        typer.Argument(
            metavar="CODE", help="The code on the device's display, in one word or two."
        ),
    ],
    *,
    email: EmailOption,
    password_file: PasswordFileOption = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take a device into your account: type the code that it shows after its button is pressed."""
    person = {"email": email, "password": read_password(password_file)}
    with connect(data) as client:
        claimed = client.ask("device.claim", {**person, "code": "".join(code)})
    if as_json:
        out.print_json(data=claimed)
    else:
        out.print(f"Device {claimed['device']} is yours (claim {claimed['epoch']}).")


@app.command()
def release(
    device: DeviceArgument,
    *,
    email: EmailOption,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask whether you are sure.")] = False,
    password_file: PasswordFileOption = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Let go of a device, to give it away: it forgets you, and anybody may claim it then.

    Your readings that arrived stay yours. What the device has not sent yet is lost.
    """
    person = {"email": email, "password": read_password(password_file)}
    if not yes:
        require_terminal("add --yes when you are sure")
        if not confirm(f"Let go of {device}? Readings that it has not sent yet are lost."):
            raise RefusedError("nothing was changed")
    with connect(data) as client:
        released = client.ask("device.release", {**person, "device": device})
    if as_json:
        out.print_json(data=released)
    else:
        out.print(
            f"Device {released['device']} is yours no more. It forgets you as soon as it is heard:"
            " `tare device list` shows its waiting orders."
        )


@app.command("set")
def set_(
    device: DeviceArgument,
    settings: Annotated[
        list[str],
        typer.Argument(metavar="NAME VALUE", help=_SETTINGS),
    ],
    *,
    email: EmailOption,
    password_file: PasswordFileOption = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Change settings of your device: its unit of weight, how long it shows a result.

    They hold as soon as the device is heard: step on it, or press its button.
    """
    names, values = settings[::2], settings[1::2]
    if len(names) != len(values) or len(set(names)) != len(names):
        raise UsageError("give each setting once, with its value, such as: unit lb shown_s 10")
    changes = dict(zip(names, values, strict=True))
    person = {"email": email, "password": read_password(password_file)}
    with connect(data) as client:
        ordered = client.ask("device.set", {**person, "device": device, "settings": changes})
    if as_json:
        out.print_json(data=ordered)
    else:
        out.print(
            f"Ordered. It holds once device {ordered['device']} is heard:"
            " `tare device orders` shows what became of it."
        )


@app.command()
def orders(
    device: DeviceArgument,
    *,
    email: EmailOption,
    password_file: PasswordFileOption = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """List what was ordered from your device since it is yours, and what became of it."""
    person = {"email": email, "password": read_password(password_file)}
    with connect(data) as client:
        found = client.ask("device.orders", {**person, "device": device})["orders"]
    if as_json:
        out.print_json(data=found)
        return
    table = narrow_table("order", "state", "placed (UTC)", "answered (UTC)")
    for order in found:
        table.add_row(*_order_cells(order))
    out.print(table)


@app.command()
def renew(
    device: DeviceArgument,
    *,
    mac_key: Annotated[
        bool, typer.Option("--mac-key", help="The key that our answers are sealed with.")
    ] = False,
    certificate: Annotated[
        bool, typer.Option("--certificate", help="Its certificate for the broker.")
    ] = False,
    address: Annotated[
        str | None,
        typer.Option(
            "--address", metavar="HOST:PORT", help="Where it finds the broker; tried three times."
        ),
    ] = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Give a device a new key, certificate or broker address, without a cable.

    Whoever runs the server may do so. It counts once the device was heard.
    """
    asked = {"mac-key": mac_key, "certificate": certificate, "address": address is not None}
    parts = [part for part, wanted in asked.items() if wanted]
    if not parts:
        raise UsageError("say what to renew: --mac-key, --certificate or --address HOST:PORT")
    with connect(data) as client:
        for part in parts:
            arguments = {"device": device, "part": part, "address": address or "-"}
            client.ask("device.renew", arguments)
    if as_json:
        out.print_json(data={"device": device, "parts": parts})
    else:
        out.print(f"Ordered: {', '.join(parts)}. It counts once device {device} is heard.")


@app.command("list")
def list_(*, data: DataOption = None, as_json: JsonOption = False) -> None:
    """List the devices that are enrolled here."""
    with connect(data) as client:
        devices = client.ask("device.list", terminal.operator())["devices"]
    if as_json:
        out.print_json(data=devices)
        return
    if not devices:
        out.print("No device is enrolled here yet: tare device enroll --port PORT")
        return
    names = ("device", "model", "state", "claim", "last hello (UTC)", "settled", "orders")
    table = narrow_table(*names, whole=("device", "state"))
    for device in devices:
        table.add_row(*_cells(device))
    out.print(table)


@app.command()
def console(
    port: PortOption,
    request: ConsoleRequest = None,
    timeout_s: Annotated[float, typer.Option("--timeout", help="Seconds to wait.")] = 10.0,
) -> None:
    """Talk to a device: one request from the command line, or lines from standard input.

    Every line typed is a request, such as `about`, `log`, `wake` or `button short`. The device's
    own lines (its log, its display) are shown as they come. End with Ctrl-D.
    """
    with Console(port, timeout_s=timeout_s, on_line=_print_line) as device:
        if request:
            _print_reply(device.request(request[0], *request[1:]))
        else:
            _converse(device)


def _converse(device: Console) -> None:
    """Shows what the device says while the next line is typed; ends with the input."""
    typed: queue.SimpleQueue[str | None] = queue.SimpleQueue()
    # A thread, because neither a terminal nor a pipe can be waited for together with any port.
    threading.Thread(target=_read_lines, args=(typed,), daemon=True).start()
    while True:
        device.listen(_LISTEN_S)
        try:
            line = typed.get_nowait()
        except queue.Empty:
            continue
        if line is None:
            return
        _one_request(device, line.split())


def _read_lines(typed: queue.SimpleQueue[str | None]) -> None:
    # Not through sys.stdin: Python cannot end while a thread waits inside that.
    with os.fdopen(os.dup(0), "rb", buffering=0) as stream:
        for line in stream:
            typed.put(line.decode(errors="replace"))
    typed.put(None)


def _one_request(device: Console, words: list[str]) -> None:
    """In a conversation the device's complaint is an answer, not the end."""
    if not words:
        return
    try:
        _print_reply(device.request(words[0], *words[1:]))
    except ConsoleError as error:
        out.print(printable(str(error)))


def _print_line(line: str) -> None:
    out.print(printable(line))


def _print_reply(reply: Any) -> None:
    out.print("ok" if reply is None else json.dumps(reply))


def _order_cells(order: dict[str, Any]) -> list[str]:
    words = [f"{name} {value}" for name, value in order["settings"].items()]
    state = f"{order['state']}: {order['why']}" if order["why"] else order["state"]
    placed, answered = _minute(order["placed_s"]), _minute(order["receipt_s"])
    return [" ".join([order["verb"], *words]), state, placed, answered]


def _minute(time_s: int | None) -> str:
    return datetime.fromtimestamp(time_s, UTC).strftime("%Y-%m-%d %H:%M") if time_s else "-"


def _cells(device: dict[str, Any]) -> list[str]:
    return [
        device["id"],
        printable(device["model"]),
        device["state"],
        str(device["claim_epoch"] or "-"),
        _minute(device["hello_s"]),
        str(device["settled"]),
        str(device["orders_waiting"] or "-"),
    ]
