"""Two people on one scale."""

from __future__ import annotations

import pytest

from cloud_agent.tests.household import Household
from cloud_agent.tests.readings.pair import Pair


@pytest.fixture
def pair(household: Household) -> Pair:
    return Pair(household)
