"""Who comes to a shared scale is told apart by the weight that they gave, which is kept nowhere."""

from __future__ import annotations

import asyncio

import pytest
import sqlalchemy as sa

from cloud_agent.accounts import accounts
from cloud_agent.devices import household as households
from cloud_agent.privacy import erasure
from cloud_agent.storage import schema
from cloud_agent.tests.readings.pair import Pair, ask
from protocol import cbor, command


def told(pair: Pair) -> dict[int, int]:
    """The references that the device is told with its next orders, by slot."""
    people = [
        order.arguments[-1]
        for order in pair.household.obtain_orders(pair.scale)
        if order.verb in {command.VERB_CLAIM, command.VERB_PEOPLE}
    ]
    return {} if not people else {slot: reference for _, slot, reference in people[-1]}


def test_a_weight_that_is_typed_in_is_told(pair: Pair) -> None:
    pair.weigh(1, 62_000)
    assert told(pair) == {}
    ask(pair, "readings.add", who="bob", weight="81.4")
    assert told(pair) == {1: 0, 2: 81_400}
    outbox = schema.command_outbox
    with pair.service.database.reading() as connection:
        kept = connection.execute(sa.select(outbox.c.arguments)).scalars().all()
    assert all(
        reference == 0
        for each in kept
        for _, _, reference in cbor.decode(each)[-1]  # type: ignore[index]
    ), "a weight in the clear"


def test_once_the_scale_has_recognised_them_it_knows_better(pair: Pair) -> None:
    ask(pair, "readings.add", who="bob", weight="81.4")
    pair.household.confirm_orders(pair.scale)
    pair.weigh(2, 80_000)
    ask(pair, "readings.add", who="bob", weight="85")
    assert told(pair) == {}
    carl = pair.household.open_account("carl@example.org")
    pair.join(carl)
    assert told(pair)[2] == 0


def test_who_has_a_weight_already_brings_it_along(pair: Pair) -> None:
    carl = pair.household.open_account("carl@example.org")
    pair.add(carl, 90_000)
    pair.join(carl)
    assert told(pair) == {1: 0, 2: 0, 3: 90_000}


@pytest.mark.parametrize("why", ["restricted", "withdrawn", "erased", "left", "wrong"])
def test_nothing_is_told_of_who_does_not_want_it(pair: Pair, why: str) -> None:
    row = ask(pair, "readings.add", who="bob", weight="81.4")["id"]
    if why == "restricted":
        ask(pair, "request.open", who="bob", kind="restriction")
    elif why == "withdrawn":
        accounts.withdraw_health_consent(pair.service, pair.bob)
    elif why == "erased":
        erasure.erase(pair.service, pair.bob, only_readings=True)
    elif why == "wrong":
        ask(pair, "readings.error", who="bob", id=row)
    else:
        asyncio.run(households.leave(pair.service, pair.bob, pair.scale.id))
    assert set(told(pair).values()) <= {0}


def test_who_is_not_known_yet_is_told_what_to_do(pair: Pair) -> None:
    assert ask(pair, "readings.list", who="bob")["stranger_to"] == [pair.scale.id]
    pair.weigh(1, 62_000)
    assert ask(pair, "readings.list", who="ann")["stranger_to"] == []
    ask(pair, "readings.add", who="bob", weight="81.4")
    assert ask(pair, "readings.list", who="bob")["stranger_to"] == []


def test_who_is_alone_needs_no_introduction(pair: Pair) -> None:
    asyncio.run(households.leave(pair.service, pair.bob, pair.scale.id))
    assert ask(pair, "readings.list", who="ann")["stranger_to"] == []
