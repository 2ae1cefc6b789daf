"""From a foot on the scale to a stored reading, with real parts and nothing in between cut."""

from __future__ import annotations

import json

import pytest

from hil_tests.rig.making import MakeStation, broker_kinds


@pytest.mark.parametrize("kind", broker_kinds())
@pytest.mark.parametrize("together", [True, False], ids=["one-command", "broker-apart"])
def test_a_weigh_in_becomes_one_listed_reading(
    make_station: MakeStation, kind: str, *, together: bool
) -> None:
    station = make_station(kind, together=together)
    saved = station.scale.weigh(72_430)
    assert abs(saved.grams - 72_430) <= 100
    station.settle()

    (listed,) = station.cloud.readings()
    assert listed["values"]["weight"] == {"value": saved.grams / 1000, "unit": "kg"}
    assert listed["device"] == station.device
    assert (listed["source"], listed["status"], listed["attribution"]) == (
        "device",
        "final",
        "sure",
    )
    assert listed["time_quality"] == "wall"
    assert listed["taken"][:19] <= listed["stored_utc"][:19] or listed["utc_offset_s"] != 0
    assert json.loads(station.cloud.as_person("readings", "list", "--json")) == [listed]
    station.verify_exactly_once([saved])
    assert station.cloud.refused() == []


def test_what_was_settled_is_out_of_the_journal_and_stays_settled_over_a_power_cut(
    make_station: MakeStation,
) -> None:
    station = make_station("embedded")
    saved = [station.scale.weigh(71_800 + 100 * number) for number in range(5)]
    station.settle()
    assert station.scale.kept == 0
    last = station.scale.ask("about")["journal"][1]
    station.scale.cut_power()
    station.scale.power_on()
    assert station.scale.ask("about")["journal"] == [last, last]
    saved.append(station.scale.weigh(72_700))
    assert saved[-1].sequence == last
    station.settle()
    station.verify_exactly_once(saved)


def test_a_reading_before_any_connection_is_dated_afterwards(make_station: MakeStation) -> None:
    """The scale knows no time after a power cut: it counts, and the next welcome dates it."""
    station = make_station("embedded")
    station.cloud.broker.stop()
    station.scale.cut_power()
    station.scale.power_on()
    saved = station.scale.weigh(73_000)
    station.cloud.start_broker()
    station.settle()
    (listed,) = station.cloud.readings()
    assert listed["time_quality"] == "dated"
    station.verify_exactly_once([saved])
