"""A scale that sleeps deeply dates what it weighed before it knew the time (SPEC 9)."""

from __future__ import annotations

import time
from datetime import datetime
from typing import Any

import pytest

from hil_tests.rig.making import MakeStation
from hil_tests.rig.station import Station

_PASSED_S = 800
# Half a round trip, a second that is cut off at each end, and what the test itself takes.
_INEXACT_S = 4


@pytest.fixture
def station(make_station: MakeStation) -> Station:
    """A scale without the time, and no broker that could tell it."""
    station = make_station("embedded", deep_sleep=True)
    station.cloud.broker.stop()
    station.scale.cut_power()
    station.scale.power_on()
    return station


def _taken_s(listed: dict[str, Any]) -> float:
    return datetime.fromisoformat(listed["taken_utc"]).timestamp()


@pytest.mark.parametrize("ppm", [0, 20_000])
def test_a_reading_is_dated_through_the_sleep_as_well_as_its_clock_is(
    station: Station, ppm: int
) -> None:
    saved = station.scale.weigh(72_000)
    weighed_s = time.time()
    station.scale.sleep_through(_PASSED_S, ppm=ppm)
    station.cloud.start_broker()
    station.settle()
    station.verify_exactly_once([saved])
    (listed,) = station.cloud.readings()
    assert listed["time_quality"] == "dated"
    # Real time did not pass: seen from the scale it is later by as much as its clock counted.
    expected_s = weighed_s - _PASSED_S * (1 + ppm / 1_000_000)
    assert abs(_taken_s(listed) - expected_s) <= _INEXACT_S


def test_a_power_cut_in_its_sleep_leaves_an_interval_that_is_true(station: Station) -> None:
    saved = station.scale.weigh(72_000)
    weighed_s = time.time()
    station.scale.sleep_through(0)
    station.scale.cut_power()
    station.scale.power_on()
    station.cloud.start_broker()
    station.settle()
    station.verify_exactly_once([saved])
    (listed,) = station.cloud.readings()
    assert listed["time_quality"] == "interval"
    off_s = abs(_taken_s(listed) - weighed_s)
    assert off_s <= listed["uncertainty_s"] + _INEXACT_S


def test_what_waits_is_sent_by_itself_a_quarter_of_an_hour_later(station: Station) -> None:
    saved = station.scale.weigh(72_000)
    station.scale.sleep_through(0)
    station.cloud.start_broker()
    since = station.scale.mark()
    station.scale.sleep_through(900)
    station.scale.wait_event("display", since)
    deadline_s = time.monotonic() + 10
    while not station.cloud.readings() and time.monotonic() < deadline_s:
        time.sleep(0.1)
    station.settle()
    station.verify_exactly_once([saved])
