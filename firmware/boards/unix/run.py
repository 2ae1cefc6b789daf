"""Starts the virtual device: `micropython run.py --flash FILE [--fast] [--awake SECONDS] ...`

Console on standard input and output. --fast takes samples as quickly as they can be computed;
--trace FILE plays a recorded step-on after the start; --watchdog SECONDS is how long it may hang;
--bitten says that the watchdog ended the run before. --deep-sleep: when idle, end with code 76 to
be started again with --slept MILLISECONDS.
"""

import asyncio
import sys

_FIRMWARE = __file__.rsplit("/", 3)[0]
# The firmware, and the folder above it for `protocol`, wherever this was started.
for _folder in (_FIRMWARE.rsplit("/", 1)[0] if "/" in _FIRMWARE else ".", _FIRMWARE):
    if _folder not in sys.path:
        sys.path.append(_folder)

from boards.unix.board import UnixBoard  # noqa: E402 - by the path made above, as the next two
from tare import start  # noqa: E402 - by the path made above
from tare.board import WATCHDOG_MS  # noqa: E402 - by the path made above
from tare.link import AWAKE_MS  # noqa: E402 - by the path made above

_USAGE = (
    "usage: run.py --flash FILE [--fast] [--awake SECONDS] [--trace FILE]"
    " [--watchdog SECONDS] [--bitten] [--deep-sleep] [--slept MILLISECONDS]\n"
)
_NUMBERS = ("--awake", "--watchdog", "--slept")


def main(arguments: list[str]) -> int:
    """Run until the console's input ends; returns 2 for a wrong command line."""
    options = {
        "--flash": "",
        "--awake": str(AWAKE_MS // 1000),
        "--trace": "",
        "--watchdog": str(WATCHDOG_MS // 1000),
        "--slept": "",
    }
    flags = {"--fast": False, "--bitten": False, "--deep-sleep": False}
    while arguments:
        option = arguments.pop(0)
        if option in flags:
            flags[option] = True
        elif option in options and arguments:
            options[option] = arguments.pop(0)
        else:
            sys.stderr.write(_USAGE)
            return 2
    if not options["--flash"] or not all((options[each] or "0").isdigit() for each in _NUMBERS):
        sys.stderr.write(_USAGE)
        return 2
    board = UnixBoard(
        options["--flash"],
        int(options["--awake"]) * 1000,
        fast=flags["--fast"],
        watchdog_s=int(options["--watchdog"]),
        can_sleep=flags["--deep-sleep"],
        slept_ms=int(options["--slept"]) if options["--slept"] else None,
    )
    if flags["--bitten"]:
        board.bitten()
    if options["--trace"]:
        board.sensor.play(options["--trace"])
    asyncio.run(start.run(board))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
