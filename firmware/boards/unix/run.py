"""Starts the virtual device: `micropython run.py --flash FILE [--fast] [--awake SECONDS] ...`

Console on standard input and output. --fast takes samples as quickly as they can be computed;
--trace FILE plays a recorded step-on after the start.
"""

import asyncio
import sys

_FIRMWARE = __file__.rsplit("/", 3)[0]
# The firmware, and the folder above it for `protocol`, wherever this was started.
for _folder in (_FIRMWARE.rsplit("/", 1)[0] if "/" in _FIRMWARE else ".", _FIRMWARE):
    if _folder not in sys.path:
        sys.path.append(_folder)

from boards.unix.board import UnixBoard  # noqa: E402 - by the path made above, as the next two
from tare.app import App  # noqa: E402
from tare.link import AWAKE_MS  # noqa: E402

_USAGE = "usage: run.py --flash FILE [--fast] [--awake SECONDS] [--trace FILE]\n"


def main(arguments: list[str]) -> int:
    """Run until the console's input ends; returns 2 for a wrong command line."""
    options = {"--flash": "", "--awake": str(AWAKE_MS // 1000), "--trace": ""}
    fast = False
    while arguments:
        option = arguments.pop(0)
        if option == "--fast":
            fast = True
        elif option in options and arguments:
            options[option] = arguments.pop(0)
        else:
            sys.stderr.write(_USAGE)
            return 2
    if not options["--flash"] or not options["--awake"].isdigit():
        sys.stderr.write(_USAGE)
        return 2
    board = UnixBoard(options["--flash"], int(options["--awake"]) * 1000, fast=fast)
    if options["--trace"]:
        board.sensor.play(options["--trace"])
    asyncio.run(App(board).run())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
