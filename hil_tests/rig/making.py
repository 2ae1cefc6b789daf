"""How tests get stations: the fixture's type, and the brokers that a test is run with."""

from __future__ import annotations

from typing import Any, Protocol

import pytest

from cloud_agent.broker import mosquitto
from hil_tests.rig.station import Station


class MakeStation(Protocol):
    """Makes and opens a station; see `Station` for the rest."""

    def __call__(self, kind: str, *, together: bool = False, deep_sleep: bool = False) -> Station:
        """By the kind of broker."""


def broker_kinds() -> list[Any]:
    """Both brokers, for `parametrize`; Mosquitto is skipped where it is not installed."""
    reason = "Mosquitto is not installed (tools/dev.py test installs it as root)"
    absent = pytest.mark.skipif(mosquitto.find() is None, reason=reason)
    return ["embedded", pytest.param("mosquitto", marks=absent)]
