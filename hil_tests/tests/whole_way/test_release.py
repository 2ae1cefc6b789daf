"""A scale that is given away forgets its owner, and the next one sees nothing of them."""

from __future__ import annotations

import pytest

from hil_tests.rig.cloud import Person
from hil_tests.rig.making import MakeStation, broker_kinds
from hil_tests.rig.waiting import until
from protocol import cbor

_NEXT = Person(email="otto.follows@example.org", name="Otto Follower")
_FORGETS_S = 30
_REFUSED = 3


@pytest.mark.parametrize("kind", broker_kinds())
def test_the_scale_forgets_its_owner_and_the_next_one_starts_with_nothing(
    make_station: MakeStation, kind: str
) -> None:
    station = make_station(kind)
    owner = station.cloud.person
    saved = [station.scale.weigh(72_000 + 150 * number) for number in range(3)]
    station.settle()
    traces = [cbor.encode([each.grams]) for each in saved]
    flash = station.scale.flash
    assert all(trace in flash.read_bytes() for trace in traces), "the control: they are in flash"

    station.cloud.person = _NEXT
    station.cloud.open_account()
    stranger = station.cloud.try_tare(
        "device", "release", station.device, "--yes", "--email", _NEXT.email
    )
    assert stranger.returncode == _REFUSED
    assert station.scale.ask("about")["claim_epoch"] > 0

    station.cloud.person = owner
    since = station.scale.mark()
    said = station.cloud.as_person("device", "release", station.device, "--yes")
    assert "yours no more" in said
    station.scale.ask("wake")
    until(
        lambda: station.scale.ask("about")["claim_epoch"] == 0,
        "the scale forgets its owner",
        timeout_s=_FORGETS_S,
    )
    station.scale.wait_event("display", since, wanted=lambda data: data["lines"][0] == "No owner")
    station.settle()
    content = flash.read_bytes()
    assert not any(trace in content for trace in traces), "a reading is left in the scale"

    station.cloud.person = _NEXT
    station.claim()
    mine = station.scale.weigh(85_000)
    station.settle()
    (listed,) = station.cloud.readings()
    assert listed["values"]["weight"]["value"] == mine.grams / 1000
    station.cloud.person = owner
    assert len(station.cloud.readings()) == len(saved), "what had arrived stays the owner's"
