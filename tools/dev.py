#!/usr/bin/env python3
"""The one command of a fresh machine: set-up, demo, tests, a virtual device.

Needs Python 3.11 or newer and nothing else; the rest it gets itself. This file is written so that
an older Python can read it far enough to say what is wrong.
"""

import sys
from pathlib import Path

_OLDEST = (3, 11)


def _require_python() -> None:
    if sys.version_info >= _OLDEST:
        return
    sys.stderr.write(
        "Tare needs Python 3.11 or newer, and this is {}.{}.{}.\n"
        "Install a newer one (on Ubuntu 22.04: apt-get install -y python3.11 python3.11-venv)\n"
        "and start this with it: python3.11 {}\n".format(
            sys.version_info[0],
            sys.version_info[1],
            sys.version_info[2],
            " ".join(sys.argv),
        )
    )
    raise SystemExit(2)


if __name__ == "__main__":
    _require_python()
    # The script's own folder would make every module in it a top-level one.
    sys.path[0] = str(Path(__file__).resolve().parent.parent)
    from tools.commands import main

    raise SystemExit(main(sys.argv[1:]))
