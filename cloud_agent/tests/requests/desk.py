"""Where requests come in: what the tests of them ask, and look at."""

from __future__ import annotations

import asyncio
from typing import Any

from cloud_agent.accounts.accounts import Account
from cloud_agent.operations import OPERATIONS
from cloud_agent.privacy.requests import acts, record
from cloud_agent.privacy.requests.acts import NewRequest
from cloud_agent.privacy.requests.states import Channel, Kind, State
from cloud_agent.tests.household import PASSWORD, Household

DAY_S = 86_400
ANN = {"email": "ann@example.org", "password": PASSWORD}


def ask(household: Household, operation: str, **arguments: Any) -> dict[str, Any]:
    return asyncio.run(_ask(household, operation, arguments))


async def _ask(household: Household, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
    return await OPERATIONS[name](household.service, arguments)


def by_mail(household: Household, account: Account, kind: Kind, source: bytes = b"1") -> bytes:
    """A request that came by a way that proves nothing."""
    new = NewRequest(
        kind=kind,
        channel=Channel.EMAIL,
        received_s=household.clock(),
        subject=account.subject,
        source=source,
    )
    request, _ = acts.open_request(household.service, new)
    return request


def state(household: Household, request: bytes) -> State:
    return record.get(household.service, request).state
