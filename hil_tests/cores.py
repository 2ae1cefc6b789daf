"""The firmware's cores, imported under CPython: they are written for both runtimes.

They come as Any: their types are checked against MicroPython's stubs (tools/mypy-firmware.ini).
"""

import importlib
import sys
from pathlib import Path
from typing import Any

_FIRMWARE = str(Path(__file__).resolve().parents[1] / "firmware")
if _FIRMWARE not in sys.path:
    # Behind everything else: nothing of the firmware's may shadow what pytest imports.
    sys.path.append(_FIRMWARE)

sync: Any = importlib.import_module("tare.sync")
link: Any = importlib.import_module("tare.link")
journal: Any = importlib.import_module("tare.journal")
commands: Any = importlib.import_module("tare.commands")
state: Any = importlib.import_module("tare.state")
retained: Any = importlib.import_module("tare.retained")
clock: Any = importlib.import_module("tare.clock")
people: Any = importlib.import_module("tare.people")
identity: Any = importlib.import_module("tare.identity")
flash: Any = importlib.import_module("tare.flash")
errors: Any = importlib.import_module("tare.errors")
version: Any = importlib.import_module("tare.version")
settings: Any = importlib.import_module("tare.settings")
memory_folder: Any = importlib.import_module("sim.memory_folder")
nor: Any = importlib.import_module("sim.nor")
