"""The sub-commands of tools/dev.py: what each does, its options and its help."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from tools import environment
from tools.errors import ToolError


def main(arguments: Sequence[str]) -> int:
    """Runs one sub-command; returns the exit code."""
    options = _parser().parse_args(arguments)
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
    parser = argparse.ArgumentParser(prog="python3 tools/dev.py", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    setup = commands.add_parser("setup", help="make the Python environment in .venv")
    setup.set_defaults(run=_setup)
    lock = commands.add_parser("lock", help="write the lock files anew from pyproject.toml")
    lock.set_defaults(run=_lock)
    return parser


def _setup(options: argparse.Namespace) -> int:
    del options
    environment.ensure()
    return 0


def _lock(options: argparse.Namespace) -> int:
    del options
    environment.lock()
    return 0
