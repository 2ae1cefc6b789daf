from __future__ import annotations

import pytest

from cloud_agent.accounts.accounts import Account
from cloud_agent.tests.household import Household, Scale
from cloud_agent.tests.privacy.partners.gym import Gym


@pytest.fixture
def gym(household: Household) -> Gym:
    return Gym(household.service)


@pytest.fixture
def scale(household: Household) -> Scale:
    return household.add_scale()


@pytest.fixture
def ann(household: Household, scale: Scale) -> Account:
    account = household.open_account("ann@example.org", "Ann Archer")
    household.claim(account, scale)
    household.confirm_orders(scale)
    household.deliver(scale, household.weigh(scale, [72_500, 72_604]))
    return account
