"""The firmware's deciding cores, imported under CPython: they are written for both runtimes.

They come as Any: their types are checked against MicroPython's stubs (tools/mypy-firmware.ini).
"""

import importlib
import sys
from functools import lru_cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from protocol import p256

_FIRMWARE = str(Path(__file__).resolve().parents[2] / "firmware")
if _FIRMWARE not in sys.path:
    # Behind everything else: nothing of the firmware's may shadow what pytest imports.
    sys.path.append(_FIRMWARE)

sync: Any = importlib.import_module("tare.sync")
journal: Any = importlib.import_module("tare.journal")
commands: Any = importlib.import_module("tare.commands")
state: Any = importlib.import_module("tare.state")
clock: Any = importlib.import_module("tare.clock")
flash: Any = importlib.import_module("tare.flash")
errors: Any = importlib.import_module("tare.errors")
nor: Any = importlib.import_module("sim.nor")

# The search shows the same few commands to thousands of states: each signature is checked once.
sync.p256 = SimpleNamespace(verify=lru_cache(maxsize=None)(p256.verify))
