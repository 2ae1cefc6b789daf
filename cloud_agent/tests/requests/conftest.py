from __future__ import annotations

import pytest

from cloud_agent.accounts.accounts import Account
from cloud_agent.tests.household import Household, Scale


@pytest.fixture
def ann(household: Household) -> Account:
    return household.open_account("ann@example.org", "Ann Archer")


@pytest.fixture
def scale(household: Household, ann: Account) -> Scale:
    """Ann's, with two readings."""
    made = household.add_scale()
    household.claim(ann, made)
    household.confirm_orders(made)
    household.deliver(made, household.weigh(made, [72_000, 72_100]))
    return made
