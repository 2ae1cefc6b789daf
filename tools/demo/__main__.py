"""Runs the demo: `python -m tools.demo [--keep] [--data DIR]`; `tools/dev.py demo` starts it."""

from __future__ import annotations

import argparse
import io
import shlex
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import FrameType

from cloud_agent.errors import TareError
from tools.demo import act_erasure, act_forgery, act_opening, act_weighing, people
from tools.demo.cloud import TARE, Cloud
from tools.demo.errors import DemoError
from tools.demo.play import Play
from tools.demo.scale import Scale
from tools.demo.screen import Screen
from tools.environment import ROOT
from tools.errors import ToolError

_ACTS: tuple[Callable[[Play], None], ...] = (
    act_opening.start_cloud,
    act_opening.open_account,
    act_opening.enrol_and_claim,
    act_weighing.weigh_in,
    act_weighing.break_things,
    act_forgery.forge,
    act_erasure.erase,
)
_WEIGH_INS = 6
_CLOUD = "cloud"
_FLASH = "scale.flash"


def main(arguments: Sequence[str]) -> int:
    """Plays all acts; 0 when each has shown what it promises."""
    parser = argparse.ArgumentParser(prog="python3 tools/dev.py demo")
    parser.add_argument("--keep", action="store_true")
    parser.add_argument("--data", type=Path, metavar="DIR")
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, _interrupt)
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A terminal without Unicode gets question marks in place of ticks, not a crash.
        sys.stdout.reconfigure(errors="replace")
    screen = Screen()
    with _folder(options.data) as folder, _stage(folder, screen) as play:
        started_s = time.monotonic()
        try:
            _play(play)
        except (ToolError, TareError) as error:
            screen.failure(str(error))
            screen.note(play.cloud.recent_log())
            return 1
        screen.closing()
        screen.say(f"{time.monotonic() - started_s:.0f} s. {_whereabouts(options, folder)}")
        if options.keep:
            _keep(play)
    if options.keep and options.data is not None:
        _how_to_go_on(folder, screen)
    return 0


def _whereabouts(options: argparse.Namespace, folder: Path) -> str:
    if options.data is not None:
        return f"Data: {folder}"
    if options.keep:
        return f"Data: {folder}, deleted in the end; --data DIR keeps it."
    return "Its data is deleted; --data DIR keeps it."


def _play(play: Play) -> None:
    play.screen.opening(
        "From a foot on the scale to a stored reading, and its erasure: the whole way with real"
        " parts. The firmware runs in MicroPython, the cloud as a user would start it; between"
        " them a broker with TLS. Nothing leaves this machine."
    )
    for number, act in enumerate(_ACTS, 1):
        play.screen.act(number)
        act(play)


@contextmanager
def _folder(chosen: Path | None) -> Iterator[Path]:
    if chosen is None:
        with tempfile.TemporaryDirectory(prefix="tare-demo-") as temporary:
            yield Path(temporary)
        return
    folder = chosen.expanduser().absolute()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        in_use = any(folder.iterdir())
    except (FileExistsError, NotADirectoryError):
        raise DemoError(f"{folder} is not a folder: choose another name") from None
    except OSError as error:
        raise DemoError(f"{folder} cannot be used: {error.strerror}") from None
    if in_use:
        raise DemoError(f"{folder} is not empty: the demo needs a folder of its own")
    yield folder


@contextmanager
def _stage(folder: Path, screen: Screen) -> Iterator[Play]:
    with ExitStack() as stack:
        # Traces are named on the console, where a space would end the name.
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tare-demo-")))
        cloud = Cloud(folder / _CLOUD, folder / "cloud.log", screen)
        stack.callback(cloud.stop)
        scale = Scale(folder / _FLASH, screen)
        stack.callback(scale.close)
        second = Scale(folder / "second-scale.flash", screen)
        stack.callback(second.close)
        crowd = people.weigh_ins(_WEIGH_INS, scratch)
        yield Play(folder, scratch, screen, cloud, scale, second, crowd)


def _keep(play: Play) -> None:
    play.scale.power_on()
    play.scale.let_go()
    screen = play.screen
    screen.say(
        "\nStill running, until Ctrl-C. The scale is nobody's now; to play, in another terminal:"
    )
    port, me = play.scale.port, "--email you@example.org"
    tare = shlex.quote(str(TARE))
    for line in (
        f"export TARE_DATA={shlex.quote(str(play.cloud.data))}",
        f"{tare} account create {me}",
        "# type there: button short; the display shows a code, for the line after it",
        f"{tare} device console --port {port}",
        f"{tare} device claim CODE {me}",
        "# type there: sim step-on 72500",
        f"{tare} device console --port {port}",
        f"{tare} readings list {me}",
        f"{tare} account export --output my-data.zip {me}",
        f"{tare} account erase {me}",
    ):
        screen.verbatim(line)
    with suppress(KeyboardInterrupt):
        while True:
            time.sleep(3600)


def _how_to_go_on(folder: Path, screen: Screen) -> None:
    """What starts again what the demo leaves behind."""
    screen.say("\nStopped. To go on, in two terminals:")
    data = shlex.quote(str(folder / _CLOUD))
    screen.verbatim(f"{shlex.quote(str(TARE))} serve --broker embedded --data {data}")
    dev = shlex.quote(str(ROOT / "tools" / "dev.py"))
    flash = shlex.quote(str(folder / _FLASH))
    screen.verbatim(f"python3 {dev} device --flash {flash}")


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except (ToolError, TareError) as error:
        sys.stderr.write(f"demo: {error}\n")
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
