"""`tare register`: the register of processing, for whoever runs the installation."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from cloud_agent.config import DataFolder
from cloud_agent.errors import TareError, UsageError
from cloud_agent.privacy import register as registers
from cloud_agent.terminal import DataOption, JsonOption, out
from cloud_agent.web import pages


def register(
    *,
    html: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write it as a page.", show_default=False),
    ] = None,
    template: Annotated[
        bool, typer.Option("--template", help="Print a controller.toml to fill in.")
    ] = False,
    as_json: JsonOption = False,
    data: DataOption = None,
) -> None:
    """Print the register of processing (GDPR article 30), made from the databases' schema.

    Who runs this installation is said in controller.toml in the data folder.
    """
    if template:
        out.file.write(registers.TEMPLATE)
        return
    controller = registers.read_controller(DataFolder.choose(data).controller)
    if as_json:
        out.print_json(json.dumps(registers.as_json(controller)))
        return
    if html is None:
        for activity in registers.activities():
            bases = "; ".join(sorted(activity.bases))
            out.print(f"{activity.purpose}: {', '.join(activity.categories)} ({bases})")
    else:
        _write(html, pages.register(controller, with_style=True))
        out.print(f"{html} is written.")
    if controller.missing:
        missing = ", ".join(controller.missing).replace("_", " ")
        out.print(f"Not filled in yet in controller.toml: {missing} (tare register --template)")


def _write(path: Path, text: str) -> None:
    try:
        with path.open("x", encoding="utf-8") as stream:
            stream.write(text)
    except FileExistsError as error:
        raise UsageError(f"{path} is there already") from error
    except OSError as error:
        raise TareError(f"cannot write {path}: {error.strerror}") from error
