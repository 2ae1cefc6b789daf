"""The bundle says of every reading what the list says, in codes that others know."""

from __future__ import annotations

import json
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud_agent.privacy import export
from cloud_agent.readings import changes, fhir
from cloud_agent.readings.listing import Reading
from cloud_agent.readings.values import Content
from cloud_agent.tests.household import NOW_S, Household
from protocol import reading as wire


def reading(content: Content, **more: object) -> Reading:
    values: dict[str, object] = {
        "id": bytes(range(16)),
        "device": "0123456789abcdef",
        "source": "device",
        "status": "final",
        "attribution": "sure",
        "revision": 1,
        "taken_s": NOW_S,
        "taken_quality": "wall",
        "taken_uncertainty_s": 0,
        "offset_s": 3_600,
        "stored_s": NOW_S,
        "frame": None,
        "content": content,
    }
    return Reading(**(values | more))  # type: ignore[arg-type]


@given(st.integers(1, 300_000))
def test_a_weight_has_its_code_its_unit_and_its_exact_value(grams: int) -> None:
    found = fhir.observation(reading(changes.entry(wire.KIND_WEIGHT, [grams])))
    assert found["code"]["coding"][0]["code"] == "29463-7"
    assert found["valueQuantity"]["code"] == "kg"
    assert round(found["valueQuantity"]["value"] * 1_000) == grams
    assert f"{found['valueQuantity']['value']:.3f}" == f"{grams // 1000}.{grams % 1000:03d}"


def test_a_blood_pressure_is_a_panel() -> None:
    content = changes.entry(wire.KIND_BLOOD_PRESSURE, [1_215, 790, 931, 640])
    found = fhir.observation(reading(content))
    assert found["code"]["coding"][0]["code"] == "85354-9"
    assert {
        part["code"]["coding"][0]["code"]: (
            part["valueQuantity"]["value"],
            part["valueQuantity"]["code"],
        )
        for part in found["component"]
    } == {
        "8480-6": (121.5, "mm[Hg]"),
        "8462-4": (79.0, "mm[Hg]"),
        "8478-0": (93.1, "mm[Hg]"),
        "8867-4": (64.0, "/min"),
    }
    assert "valueQuantity" not in found


@pytest.mark.parametrize("status", ["final", "amended", "entered-in-error"])
def test_status_time_and_doubt_are_kept(status: str) -> None:
    content = changes.entry(wire.KIND_WEIGHT, [72_500])
    more = {"status": status, "taken_quality": "interval", "taken_uncertainty_s": 1_800}
    found = fhir.observation(reading(content, **more))
    assert found["status"] == status
    assert found["effectiveDateTime"].endswith("+01:00")
    assert "1800 s" in found["note"][0]["text"]


def test_the_export_has_every_reading_in_it_once(household: Household) -> None:
    ann = household.open_account("ann@example.org")
    for grams in (72_000, 72_100):
        changes.add(household.service, ann, NOW_S, changes.entry(wire.KIND_WEIGHT, [grams]))
    with zipfile.ZipFile(export.make_export(household.service, ann)) as archive:
        listed = json.loads(archive.read("readings.json"))
        bundle = json.loads(archive.read("readings.fhir.json"))
    assert (bundle["resourceType"], bundle["type"]) == ("Bundle", "collection")
    found = [each["resource"]["id"] for each in bundle["entry"]]
    assert found == [each["id"] for each in listed]
