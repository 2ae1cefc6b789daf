"""Starts the virtual device from the image in its flash: `run_unix.py --flash FILE [...]`

The other arguments are those of boards/unix/run.py. With --prompt, or when no image is whole, it
waits at a prompt, where mpremote can flash it.
"""

import sys

_LOADER = __file__.rsplit("/", 1)[0] if "/" in __file__ else "."
sys.path.append(_LOADER.rsplit("/", 1)[0] if "/" in _LOADER else _LOADER + "/..")

from loader import chip_unix, prompt, start  # noqa: E402 - by the path made above


def main(arguments: list[str]) -> int:
    """Run until the console's input ends; returns 2 for a wrong command line."""
    at_prompt = "--prompt" in arguments
    if at_prompt:
        arguments.remove("--prompt")
    if arguments[:1] != ["--flash"] or len(arguments) < 2:
        sys.stderr.write("usage: run_unix.py --flash FILE [--prompt] [...]\n")
        return 2
    start.use(chip_unix.open_chip(arguments[1]), chip_unix.BOARD)
    if at_prompt or not start.mount():
        prompt.serve({})
        return 0
    from boards.unix import run

    return run.main(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
