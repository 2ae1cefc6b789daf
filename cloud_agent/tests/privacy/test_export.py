"""An export is complete, readable, and verifiable by its owner without us."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from cloud_agent.accounts.accounts import Account
from cloud_agent.errors import NotFoundError
from cloud_agent.privacy import erasure, export
from cloud_agent.tests.household import NOW_S, Household
from protocol import cbor


@pytest.fixture
def ann(household: Household) -> Account:
    account = household.open_account("ann@example.org", "Ann Archer", zone="Europe/Paris")
    scale = household.add_scale()
    household.claim(account, scale)
    household.deliver(scale, household.weigh(scale, [72_500, 72_604]))
    household.deliver(scale, household.weigh(scale, [71_999]))
    household.deliver(scale, household.weigh(scale, [15_000], handle=0))  # the dog
    return account


def members(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        return {name: archive.read(name) for name in archive.namelist()}


def made(household: Household, account: Account) -> dict[str, bytes]:
    return members(export.make_export(household.service, account))


def test_readings_have_units_and_offsets(household: Household, ann: Account) -> None:
    files = made(household, ann)
    readings = json.loads(files["readings.json"])
    assert {r["values"]["weight"]["unit"] for r in readings} == {"kg"}
    assert sorted(r["values"]["weight"]["value"] for r in readings) == [71.999, 72.5, 72.604]
    assert {r["utc_offset_s"] for r in readings} == {3600}  # Paris in November
    assert all(r["taken"].endswith("+01:00") for r in readings)
    rows = list(csv.DictReader(io.StringIO(files["readings.csv"].decode())))
    assert sorted(row["weight_kg"] for row in rows) == ["71.999", "72.500", "72.604"]
    assert {row["id"] for row in rows} == {r["id"] for r in readings}


def test_account_and_agreements_are_in_it(household: Household, ann: Account) -> None:
    account = json.loads(made(household, ann)["account.json"])
    assert (account["email"], account["name"]) == ("ann@example.org", "Ann Archer")
    assert account["time_zone"] == "Europe/Paris"
    text = account["texts"]["terms 1"]
    assert account["terms"][0]["sha256"] == hashlib.sha256(text.encode()).hexdigest()
    assert account["consents"][0]["purpose"] == "health"
    assert account["consents"][0]["withdrawn_utc"] is None


def test_the_manifest_names_every_file(household: Household, ann: Account) -> None:
    files = made(household, ann)
    manifest = json.loads(files.pop("manifest.json"))
    assert manifest["sha256"] == {
        name: hashlib.sha256(data).hexdigest() for name, data in files.items()
    }


def verify(device: dict[str, Any], frame: bytes) -> None:
    """As the README in the export says, with nothing of ours but the CBOR codec."""
    tag: Any = cbor.decode(frame, tags=(18,))
    protected, _, payload, signature = tag.value
    aad = cbor.encode(["tare/1/readings", bytes.fromhex(device["id"])])
    x, y = (int(device["public_key"][axis], 16) for axis in "xy")
    key = ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1()).public_key()
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
    signed = cbor.encode(["Signature1", protected, aad, payload])
    key.verify(encode_dss_signature(r, s), signed, ec.ECDSA(hashes.SHA256()))


def test_the_owner_can_verify_every_frame(household: Household, ann: Account) -> None:
    files = made(household, ann)
    [device] = json.loads(files["devices.json"])
    frames = {name: data for name, data in files.items() if name.startswith("frames/")}
    assert len(frames) == 2, "one for each person's frame; the tray's is not Ann's to see"
    for frame in frames.values():
        verify(device, frame)
    broken = bytearray(frames["frames/000001.cose"])
    broken[-67] ^= 1  # the end of the payload: a weight
    with pytest.raises(InvalidSignature):
        verify(device, bytes(broken))
    readings = json.loads(files["readings.json"])
    assert {r["frame"] for r in readings} == set(frames)


def test_each_value_is_in_the_frame_that_it_names(household: Household, ann: Account) -> None:
    files = made(household, ann)
    for reading in json.loads(files["readings.json"]):
        envelope: Any = cbor.decode(files[reading["frame"]], tags=(18,))
        payload: Any = cbor.decode(envelope.value[2])
        grams = [record[2][0] for record in payload[6]]
        assert round(reading["values"]["weight"]["value"] * 1000) in grams


def test_one_person_does_not_get_what_is_anothers(household: Household, ann: Account) -> None:
    bob = household.open_account("bob@example.org", "Bob")
    files = made(household, bob)
    assert json.loads(files["readings.json"]) == []
    assert json.loads(files["devices.json"]) == []
    assert b"ann@example.org" not in b"".join(files.values())


def test_it_is_private_and_goes_after_a_day(household: Household, ann: Account) -> None:
    first = export.make_export(household.service, ann)
    assert first.stat().st_mode & 0o777 == 0o600
    household.clock.now_s = NOW_S + export.KEPT_S - 1
    second = export.make_export(household.service, ann)
    assert first.exists()
    household.clock.now_s = NOW_S + export.KEPT_S
    export.remove_old(household.service)
    assert not first.exists()
    assert second.exists()


def test_a_file_that_nobody_registered_goes(household: Household, ann: Account) -> None:
    stray = household.service.folder.exports / "stray.zip"
    stray.write_bytes(b"left by a cut")
    export.make_export(household.service, ann)
    assert not stray.exists()


def test_nobody_erased_is_exported(household: Household, ann: Account) -> None:
    erasure.erase(household.service, ann)
    with pytest.raises(NotFoundError):
        export.make_export(household.service, ann)
    assert list(household.service.folder.exports.iterdir()) == []
