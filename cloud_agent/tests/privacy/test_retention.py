"""What rests on a consent ends with it; what was deleted leaves the files in the night."""

from __future__ import annotations

import zipfile
from datetime import UTC, datetime

from cloud_agent import housekeeping
from cloud_agent.accounts import accounts
from cloud_agent.privacy import export, retention
from cloud_agent.readings import changes, listing
from cloud_agent.readings.trays import KEPT_S
from cloud_agent.tests.privacy import witness
from cloud_agent.tests.privacy.home import Home


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
