"""Stations for the whole-way tests; what they said last is shown on failure, and their logs are
searched for secrets after every test.
"""

from __future__ import annotations

import os
import random
import secrets
import sys
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hil_tests.rig import leaks
from hil_tests.rig.making import MakeStation
from hil_tests.rig.station import Station

# What is open now, for the report of whatever fails meanwhile.
_open: list[Station] = []


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Adds to a failure what the scale, the agent and the broker said last."""
    report = yield
    if report.failed:
        report.sections += [("station", one.report()) for one in _open]
    return report


@contextmanager
def _stations(folder: Path) -> Iterator[MakeStation]:
    """Makes stations; closes them all, and then searches what they said for secrets."""
    made: list[Station] = []

    def make(kind: str, *, together: bool = False, deep_sleep: bool = False) -> Station:
        place = folder / f"station{len(made)}"
        station = Station(place, kind, together=together, deep_sleep=deep_sleep)
        made.append(station)
        _open.append(station)
        station.open()
        return station

    try:
        yield make
    finally:
        for station in made:
            station.close()
            _open.remove(station)
    for station in made:
        _assert_nothing_leaked(station)


@pytest.fixture
def make_station(tmp_path: Path) -> Iterator[MakeStation]:
    """Makes stations with a claimed scale, for one test."""
    with _stations(tmp_path) as make:
        yield make


@pytest.fixture(scope="module")
def make_shared_station(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MakeStation]:
    """The same, for tests that leave the station as it was."""
    with _stations(tmp_path_factory.mktemp("shared")) as make:
        yield make


@pytest.fixture
def station(make_station: MakeStation) -> Station:
    """A station with the embedded broker, which runs beside the agent."""
    return make_station("embedded")


@pytest.fixture
def moments(record_property: Callable[[str, object], None]) -> random.Random:
    """Random moments; the seed is shown with a failure."""
    seed = int(os.environ.get("TARE_KILL_SEED", secrets.randbits(32)))
    record_property("TARE_KILL_SEED", seed)
    sys.stdout.write(f"TARE_KILL_SEED={seed}\n")
    return random.Random(seed)


def _assert_nothing_leaked(station: Station) -> None:
    """No weight, nothing about the person and no key is in any log."""
    hidden = list(leaks.secrets_of(station))
    for name, text in leaks.logs_of(station).items():
        found = leaks.find(text, hidden)
        assert not found, f"{name} shows {sorted(set(found))}"
