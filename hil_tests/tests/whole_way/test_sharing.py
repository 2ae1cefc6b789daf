"""Two people on one scale: each gets what they weighed, by nothing but their weight."""

from __future__ import annotations

from typing import Any

from cloud_agent.accounts import agreements
from hil_tests.rig.making import MakeStation
from hil_tests.rig.station import Station
from hil_tests.rig.waiting import until

_BOB = {"email": "bob.weighs@example.org", "password": "eleven quiet lamps glow"}
_TOLD_S = 30


def _readings(station: Station, **who: Any) -> list[float]:
    listed = station.cloud.ask("readings.list", **who)["readings"]
    return [
        float(each["values"]["weight"]["value"]) for each in listed if each["source"] == "device"
    ]


def test_who_joins_is_known_by_the_weight_that_they_typed(make_station: MakeStation) -> None:
    station = make_station("embedded")
    cloud = station.cloud
    station.scale.weigh(72_000)
    station.settle()
    cloud.ask(
        "account.create",
        name="Bob",
        zone="Europe/Paris",
        terms_version=agreements.current(agreements.TERMS).version,
        health_consent=agreements.current(agreements.HEALTH).version,
        of_age=True,
        **_BOB,
    )
    code = cloud.ask_as_person("device.invite", device=station.device)["code"]
    cloud.ask("device.join", code=code, **_BOB)
    assert cloud.ask("readings.list", **_BOB)["stranger_to"] == [station.device]
    cloud.ask("readings.add", weight="90.0", **_BOB)
    station.scale.ask("wake")
    until(
        lambda: not _waiting_orders(station),
        "the scale has been told of its people",
        timeout_s=_TOLD_S,
        poll_s=0.3,
    )
    for grams in (90_300, 72_400, 55_000):
        station.scale.weigh(grams)
    station.settle()
    person = {"email": cloud.person.email, "password": cloud.person.password}
    assert [round(each) for each in _readings(station, **person)] == [72, 72]
    assert [round(each) for each in _readings(station, **_BOB)] == [90]
    assert cloud.ask("readings.tray", **_BOB) == {"fitting": [], "others": 1, "offered": []}


def _waiting_orders(station: Station) -> list[Any]:
    orders = station.cloud.ask_as_person("device.orders", device=station.device)["orders"]
    return [each for each in orders if each["state"] == "waiting"]
