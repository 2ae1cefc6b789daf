"""A home to erase someone from."""

from __future__ import annotations

import pytest

from cloud_agent.tests.household import Household
from cloud_agent.tests.privacy.home import Home


@pytest.fixture
def home(household: Household) -> Home:
    return Home(household)
