"""What rests on a consent ends with it; what was deleted leaves the files in the night."""

from __future__ import annotations

import zipfile
from datetime import UTC, datetime

import pytest

from cloud_agent import housekeeping
from cloud_agent.accounts import accounts
from cloud_agent.privacy import erasure, export, retention
from cloud_agent.readings import changes, listing
from cloud_agent.readings.trays import KEPT_S
from cloud_agent.tests.household import Household
from cloud_agent.tests.privacy import witness
from cloud_agent.tests.privacy.home import Home, assert_gone


def test_readings_without_consent_go_after_a_month(home: Home) -> None:
    accounts.withdraw_health_consent(home.service, home.ann)
    home.household.clock.now_s += retention.GRACE_S - 1
    housekeeping.keep_house(home.service)
    assert len(home.values(home.ann)) == 12, "time to take them along"
    with zipfile.ZipFile(export.make_export(home.service, home.ann)) as archive:
        assert archive.namelist()
    home.household.clock.now_s += 1
    housekeeping.keep_house(home.service)
    assert home.values(home.ann) == []
    assert len(home.values(home.bob)) == 12
    assert accounts.by_id(home.service.database, home.ann.id) == home.ann


def test_who_consents_again_keeps_them(home: Home) -> None:
    accounts.withdraw_health_consent(home.service, home.ann)
    home.household.clock.now_s += retention.GRACE_S - 1
    accounts.give_health_consent(home.service, home.ann, "1")
    home.household.clock.now_s += retention.GRACE_S
    housekeeping.keep_house(home.service)
    assert len(home.values(home.ann)) == 12


def test_an_old_withdrawal_before_the_consent_of_today_is_none(home: Home) -> None:
    accounts.withdraw_health_consent(home.service, home.ann)
    accounts.give_health_consent(home.service, home.ann, "1")
    home.household.clock.now_s += 10 * retention.GRACE_S
    assert retention.erase_without_consent(home.service) == 0


def test_what_was_deleted_leaves_the_files_once_a_night(home: Home) -> None:
    pieces = {
        label: data
        for label, data in witness.collect(home.root, [], [home.ann.subject]).items()
        if label.startswith("reading")
    }
    service = home.service
    for reading in listing.list_readings(service.database, service.vault, home.ann.subject):
        changes.remove(service, home.ann, reading.id)
    noon = int(datetime(2026, 12, 1, 12, tzinfo=UTC).timestamp())
    night = int(datetime(2026, 12, 2, 2, 30, tzinfo=UTC).timestamp())  # half past three in Paris
    home.household.clock.now_s = noon
    assert not retention.compact_at_night(home.service)
    assert witness.found(home.root, pieces), "the control: they are still legible"
    home.household.clock.now_s = night
    assert retention.compact_at_night(home.service)
    assert witness.found(home.root, pieces) == {}
    assert not retention.compact_at_night(home.service), "once"
    home.household.clock.now_s += 86_400
    assert retention.compact_at_night(home.service)


def test_a_year_of_housekeeping_ends_everything_that_has_an_end(home: Home) -> None:
    """Exports, trays, letters, sessions: nothing of them is there after their time."""
    export.make_export(home.service, home.ann)
    for _ in range(60):
        home.household.clock.now_s += KEPT_S // 2
        housekeeping.keep_house(home.service)
    folder = home.service.folder
    assert [*folder.exports.iterdir(), *folder.mail.iterdir(), *folder.staging.iterdir()] == []
    assert len(home.values(home.ann)) == 12, "what has no end but the person's will is there"


def test_a_large_database_is_unreadable_at_once_and_proven_in_the_night(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is stored while a file is rewritten, so a large one has to wait."""
    monkeypatch.setattr(erasure, "COMPACTED_AT_ONCE", 0)
    report = home.erase()
    assert (report.state, report.compacted_s) == ("running", None)
    assert report.unreadable_s == home.household.clock()
    assert home.service.vault.store.keys_of(home.ann.subject) == []
    assert witness.found(home.root, home.patterns), "bytes are left, which nobody can read"
    orders = len(home.household.obtain_orders(home.scale))
    for _ in range(3):
        again = erasure.status(home.service, bytes.fromhex(report.request))
        assert again.state == "running"
    assert len(home.household.obtain_orders(home.scale)) == orders, "nothing is ordered twice"
    home.household.deliver(home.bobs, home.household.weigh(home.bobs, [81_999]))
    home.household.clock.now_s = int(datetime(2026, 12, 2, 2, 30, tzinfo=UTC).timestamp())
    housekeeping.keep_house(home.service)
    assert_gone(home.root, home.patterns)
    found = erasure.status(home.service, bytes.fromhex(report.request))
    assert (found.state, found.rows_erased["reading"]) == ("awaiting-devices", 13)
    assert (81_999,) in home.values(home.bob)


def test_a_start_does_not_wait_for_the_night(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(erasure, "COMPACTED_AT_ONCE", 0)
    home.erase()
    home.service.close()
    reopened = Household(home.root, home.household.clock)
    assert_gone(home.root, home.patterns)
    reopened.close()
