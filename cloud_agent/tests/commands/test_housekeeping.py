"""What has to happen now and then happens also when a part of it fails."""

from __future__ import annotations

import pytest

from cloud_agent import housekeeping
from cloud_agent.privacy import export
from cloud_agent.readings import trays
from cloud_agent.service import Service
from cloud_agent.tests.household import Household


def test_a_task_that_breaks_does_not_end_the_others(
    household: Household, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    done = []

    def broken(_service: Service) -> None:
        raise ValueError("72.5 kg")

    monkeypatch.setattr(export, "remove_old", broken)
    monkeypatch.setattr(trays, "remove_old", lambda _service: done.append("trays"))
    housekeeping.keep_house(household.service)
    assert done == ["trays"]
    assert "ValueError" in caplog.text
    assert "72.5" not in caplog.text


def test_an_export_where_the_clock_stands_at_its_beginning(household: Household) -> None:
    account = household.open_account("ann@example.org")
    household.clock.now_s = 5
    assert export.make_export(household.service, account).is_file()
