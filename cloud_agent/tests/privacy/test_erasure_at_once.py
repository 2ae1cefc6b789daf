"""Two who ask for the same erasure at the same moment get the same answer."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from cloud_agent.privacy import erasure, proof
from cloud_agent.tests.household import Household
from cloud_agent.tests.privacy.home import Home


def test_who_asks_while_another_closes_it(
    household: Household, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = Home(household)
    report = home.erase()
    assert report.state == "awaiting-devices"
    household.confirm_orders(home.scale)
    look_last = proof.look_last

    def slowly(*arguments: Any) -> proof.After:
        time.sleep(0.3)
        return look_last(*arguments)

    monkeypatch.setattr(proof, "look_last", slowly)
    request = erasure.parse_request(report.request)
    with ThreadPoolExecutor(2) as pool:
        asked = [pool.submit(erasure.status, household.service, request) for _ in range(2)]
        assert [one.result().state for one in asked] == ["proven", "proven"]
