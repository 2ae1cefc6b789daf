"""Who holds the devices of these tests."""

from __future__ import annotations

import pytest

from cloud_agent.accounts.accounts import Account
from cloud_agent.tests.household import Household


@pytest.fixture
def ann(household: Household) -> Account:
    """An account."""
    return household.open_account("ann@example.org")
