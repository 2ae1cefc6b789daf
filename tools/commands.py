"""The sub-commands of tools/dev.py: what each does, its options and its help."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import NoReturn

from tools import checks, environment, micropython
from tools.errors import ToolError
from tools.progress import Step

_DESCRIPTION = """\
Tare on your machine. Begin with `demo`: it needs nothing but Python 3.11 and a Debian or Ubuntu
(or MicroPython 1.24 on PATH), gets the rest itself, and shows the whole way of a reading."""
_EPILOG = """\
Everything that this makes is in .venv/ inside this project and in ~/.cache/tare; remove either at
any time, it is made again when needed."""


def main(arguments: Sequence[str]) -> int:
    """Runs one sub-command; returns the exit code."""
    parser = _parser()
    options, unknown = parser.parse_known_args(arguments)
    if unknown:
        hint = "; pytest's arguments stand after --" if options.run is _test else ""
        parser.error(f"unrecognized arguments: {' '.join(unknown)}{hint}")
    try:
        code: int = options.run(options)
    except ToolError as error:
        sys.stderr.write(f"dev.py: {error}\n")
        return error.exit_code
    except KeyboardInterrupt:
        sys.stderr.write("\ninterrupted\n")
        return 130
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python3 tools/dev.py",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND", title="commands")
    demo = commands.add_parser(
        "demo",
        help="show the whole way of a reading, live, with real parts (80 seconds)",
        description="Seven acts, each of which checks what it shows: an account, a virtual scale,"
        " weigh-ins through a broker outage and power cuts, forgeries, export, erasure, proof."
        " Nothing leaves this machine.",
    )
    demo.add_argument("--keep", action="store_true", help="leave everything running for play")
    demo.add_argument("--data", metavar="DIR", help="keep the data in this new or empty folder")
    demo.set_defaults(run=_demo)
    test = commands.add_parser(
        "test",
        help="run every check: lint, types, documents, tests (some minutes)",
        description="Run every check, or with arguments after -- only pytest with these, as in:"
        " python3 tools/dev.py test -- protocol -q",
    )
    test.add_argument(
        "pytest", nargs="*", help="after --: run only pytest, with these arguments for it"
    )
    test.set_defaults(run=_test)
    device = commands.add_parser(
        "device",
        help="start a virtual scale on a serial port of its own",
        description="Switch on a virtual scale: the real firmware, on a flash in a file, behind a"
        " serial port whose name is printed. Ctrl-C switches it off. Exit code 4: the flash is in"
        " use by another virtual scale.",
    )
    device.add_argument(
        "--flash", required=True, metavar="FILE", help="its flash memory (made when missing)"
    )
    start = device.add_mutually_exclusive_group()
    start.add_argument(
        "--from-flash",
        action="store_true",
        help="start the image that was flashed, in place of the sources",
    )
    start.add_argument(
        "--prompt", action="store_true", help="start nothing: wait for `tare firmware flash`"
    )
    device.set_defaults(run=_device)
    setup = commands.add_parser(
        "setup",
        help="only make the Python environment and MicroPython",
        description="Make .venv with the locked Python packages and the tare command, and find or"
        " unpack MicroPython, without starting anything.",
    )
    setup.set_defaults(run=_setup)
    lock = commands.add_parser("lock", help="choose newer Python packages: writes the lock files")
    lock.set_defaults(run=_lock)
    return parser


def _demo(options: argparse.Namespace) -> NoReturn:
    arguments = ["--keep"] if options.keep else []
    if options.data:
        arguments += ["--data", options.data]
    _provide_micropython()
    environment.become(["-P", "-m", "tools.demo", *arguments])


def _test(options: argparse.Namespace) -> int:
    return checks.run(options.pytest)


def _device(options: argparse.Namespace) -> NoReturn:
    _provide_micropython()
    arguments = ["--flash", options.flash]
    if options.from_flash:
        arguments.append("--from-flash")
    if options.prompt:
        arguments.append("--prompt")
    environment.become(["-P", "-m", "tools.virtual_device", *arguments])


def _setup(options: argparse.Namespace) -> int:
    del options
    environment.ensure()
    _provide_micropython()
    print(f"Ready: {environment.ENVIRONMENT}/bin/tare --help")
    return 0


def _provide_micropython() -> None:
    with Step("Looking for MicroPython") as step:
        micropython.find_or_unpack(step)


def _lock(options: argparse.Namespace) -> int:
    del options
    environment.lock()
    return 0
