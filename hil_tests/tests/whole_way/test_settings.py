"""A setting goes the whole way: ordered from an account, seen on the scale's display, answered."""

from __future__ import annotations

import json
from typing import Any

import pytest

from hil_tests.rig.making import MakeStation, broker_kinds
from hil_tests.rig.station import Station
from hil_tests.rig.waiting import until

_OBEYS_S = 30
_POUND_G = 453.59237


def _last_order(station: Station) -> dict[str, Any]:
    found = json.loads(station.cloud.as_person("device", "orders", station.device, "--json"))
    last: dict[str, Any] = found[-1]
    return last


@pytest.mark.parametrize("kind", broker_kinds())
def test_the_scale_shows_pounds_once_it_was_told_to(make_station: MakeStation, kind: str) -> None:
    station = make_station(kind)
    said = station.cloud.as_person("device", "set", station.device, "unit", "lb", "shown_s", "9")
    assert "Ordered" in said
    assert _last_order(station)["settings"] == {"unit": "lb", "shown_s": "9"}
    station.scale.ask("wake")
    until(
        lambda: station.scale.ask("settings")["unit"] == "lb",
        "the scale obeys",
        timeout_s=_OBEYS_S,
    )
    station.settle()
    assert _last_order(station)["state"] == "done"

    since = station.scale.mark()
    shown = station.scale.weigh(72_500)
    lines = [each.data["lines"] for each in station.scale.events(since) if each.name == "display"]
    assert lines[-1][0].endswith(" lb")
    station.settle()
    (listed,) = station.cloud.readings()
    stored_g = listed["values"]["weight"]["value"] * 1000
    assert abs(shown.grams - stored_g) <= _POUND_G / 20 + 1, "stored is what was shown"
    assert station.scale.ask("settings") == {"unit": "lb", "awake_s": 60, "shown_s": 9}


def test_a_setting_that_does_not_exist_is_refused_in_words(make_station: MakeStation) -> None:
    station = make_station("embedded")
    for wrong, words in (
        (("unit", "oz"), "unit is one of kg, lb, st"),
        (("unit",), "give each setting once"),
        (("colour", "red"), "there is no setting colour"),
    ):
        email = station.cloud.person.email
        done = station.cloud.try_tare("device", "set", station.device, *wrong, "--email", email)
        assert done.returncode == 2
        assert words in " ".join(done.stderr.split())
