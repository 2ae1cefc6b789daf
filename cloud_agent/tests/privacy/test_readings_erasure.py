"""Only what was measured goes: the account, its devices and everybody else go on."""

from __future__ import annotations

import io
import json
import shutil
import zipfile
from pathlib import Path

import pytest
import sqlalchemy as sa

from cloud_agent.accounts import accounts
from cloud_agent.privacy import erasure, export, plan
from cloud_agent.privacy.proof import Report
from cloud_agent.storage import schema
from cloud_agent.tests.household import PASSWORD, Household
from cloud_agent.tests.privacy import witness
from cloud_agent.tests.privacy.home import Home
from protocol import command


def erase_readings(home: Home) -> Report:
    return erasure.erase(home.service, home.ann, only_readings=True)


def measured(home: Home) -> dict[str, bytes]:
    """What may not be left: pieces of everything that lies under Ann's health key."""
    patterns = witness.collect(home.root, [], [home.ann.subject])
    return {
        label: data
        for label, data in patterns.items()
        if label.startswith(("reading", "frame", "ingest"))
    }


def contents(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(path.read_bytes())) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_nothing_measured_is_left_and_the_account_is(home: Home) -> None:
    patterns = measured(home)
    assert set(witness.found(home.root, patterns)) == set(patterns)
    before = contents(export.make_export(home.service, home.bob))
    report = erase_readings(home)
    assert report.state == "awaiting-devices"
    assert (report.found_after, report.rows_after) == ({}, {})
    assert report.missing_before == []
    assert witness.found(home.root, patterns) == {}
    assert home.values(home.ann) == []
    ann = accounts.authenticate(home.service, "ann.canary@example.org", PASSWORD)
    assert accounts.contact(home.service, ann).name == "Ann Canary Archer"
    with home.service.database.reading() as connection:
        assert accounts.has_health_consent(connection, ann.subject)
    assert contents(export.make_export(home.service, home.bob)) == before
    own = contents(export.make_export(home.service, ann))
    assert json.loads(own["readings.json"]) == []


def test_the_person_gets_another_handle_and_goes_on(home: Home) -> None:
    late = home.household.weigh(home.scale, [72_500])
    erase_readings(home)
    orders = home.household.obtain_orders(home.scale)
    assert [order.verb for order in orders] == [command.VERB_ERASE, command.VERB_PEOPLE]
    assert orders[0].arguments == [1]
    assert orders[1].arguments == [[[2, 1, 0]]]
    home.household.confirm_orders(home.scale)
    handled = home.household.deliver(home.scale, late)
    assert handled.dropped is not None, "it came late"
    assert home.values(home.ann) == []
    home.household.deliver(home.scale, home.household.weigh(home.scale, [72_900], handle=2))
    assert home.values(home.ann) == [(72_900,)]


def test_it_is_proven_when_the_device_has_forgotten(home: Home) -> None:
    report = erase_readings(home)
    home.household.confirm_orders(home.scale)
    closed = erasure.status(home.service, bytes.fromhex(report.request))
    assert (closed.state, closed.rows_after) == ("proven", {})
    assert list(home.service.folder.erasures.iterdir()) == []


def test_readings_of_afterwards_do_not_make_it_fail(home: Home) -> None:
    report = erase_readings(home)
    home.household.confirm_orders(home.scale)
    home.household.deliver(home.scale, home.household.weigh(home.scale, [72_900], handle=2))
    closed = erasure.status(home.service, bytes.fromhex(report.request))
    assert closed.state == "proven"
    assert home.values(home.ann) == [(72_900,)]


def test_a_second_time_erases_what_came_since(home: Home) -> None:
    erase_readings(home)
    home.household.confirm_orders(home.scale)
    home.household.deliver(home.scale, home.household.weigh(home.scale, [72_900], handle=2))
    erase_readings(home)
    assert home.values(home.ann) == []


def test_a_claim_that_the_device_has_not_obeyed_is_kept_with_the_new_handle(
    household: Household,
) -> None:
    ann = household.open_account("ann@example.org")
    scale = household.add_scale()
    household.claim(ann, scale)
    erasure.erase(household.service, ann, only_readings=True)
    orders = household.obtain_orders(scale)
    assert [order.verb for order in orders] == [command.VERB_ERASE, command.VERB_CLAIM]
    assert orders[1].arguments == [scale.epoch, [[2, 1, 0]]]


@pytest.mark.parametrize("names", [("tare.db", "keys.db"), ("tare.db",)])
def test_a_restore_brings_no_reading_back(
    home: Home, tmp_path: Path, names: tuple[str, ...]
) -> None:
    copied = tmp_path / "backup"
    patterns = measured(home)
    shutil.copytree(home.root, copied)
    erase_readings(home)
    home.service.close()
    for name in names:
        for suffix in ("", "-wal", "-shm"):
            (home.root / f"{name}{suffix}").unlink(missing_ok=True)
            if (copied / f"{name}{suffix}").exists():
                shutil.copy(copied / f"{name}{suffix}", home.root / f"{name}{suffix}")
    assert witness.found(home.root, patterns), "the restore did bring them back"
    reopened = Household(home.root, home.household.clock)
    try:
        assert witness.found(home.root, patterns) == {}
        account = schema.account
        with reopened.service.database.reading() as connection:
            found = connection.execute(sa.select(account.c.id)).scalars().all()
        assert set(found) == {home.ann.id, home.bob.id}
        bob = export.make_export(reopened.service, home.bob)
        assert len(json.loads(contents(bob)["readings.json"])) == 12
    finally:
        reopened.close()


def test_the_control_a_key_that_stays_is_noticed(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    def keep(_owner: bytes, _purpose: object, _old: bytes) -> bool:
        return False

    monkeypatch.setattr(home.service.vault, "replace", keep)
    report = erase_readings(home)
    assert report.state == "failed"
    assert report.labels_after == {"wrapped health key of person": 1}


def test_the_plan_survives_being_sealed(home: Home) -> None:
    collected = plan.collect(home.service, home.ann, (), only_readings=True)
    plan.save(home.service, b"r" * 16, collected)
    assert plan.load(home.service, b"r" * 16) == collected
    assert collected.readings is not None
