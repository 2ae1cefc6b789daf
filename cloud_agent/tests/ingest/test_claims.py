"""Claims and orders over a real broker: codes, refusals, repetitions, counters, epochs."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
import sqlalchemy as sa

from cloud_agent.accounts.accounts import Account
from cloud_agent.devices import outbox
from cloud_agent.devices.claims import Claims
from cloud_agent.devices.errors import ClaimError
from cloud_agent.privacy.ledger import Tombstone
from cloud_agent.storage import schema
from cloud_agent.tests.ingest.conftest import (
    ServerThread,
    claim,
    claim_with,
    enrol,
    eventually,
    grams,
    make_account,
    next_order,
    stored,
    window_open,
)
from cloud_agent.tests.ingest.device import NOW_S, Device, new_code, weight
from protocol import claim_code, command, frame

NOTHING_S = 0.4


def test_a_wrong_code_opens_nothing_and_five_are_enough(
    cloud: ServerThread, new_device: Callable[[], Device]
) -> None:
    make_account(cloud, "eve@example.org")
    device = enrol(cloud, new_device())
    device.connect()
    device.hello()
    code = new_code()
    device.window(code)
    eventually(lambda: window_open(cloud, device), "the window")
    for _ in range(5):
        with pytest.raises(ClaimError, match="no device shows this code"):
            claim_with(cloud, new_code(), "eve@example.org")
    with pytest.raises(ClaimError, match="too many"):
        claim_with(cloud, code, "eve@example.org")  # also the right one has to wait
    assert device.poll(NOTHING_S) is None


def test_a_claimed_device_cannot_be_claimed_again(cloud: ServerThread, claimed: Device) -> None:
    make_account(cloud, "mallory@example.org")
    code = new_code()
    claimed.window(code)
    eventually(lambda: window_open(cloud, claimed), "the window")
    with pytest.raises(ClaimError, match="belongs to an account"):
        claim_with(cloud, code, "mallory@example.org")


def test_claim_that_the_device_refuses_ends(
    cloud: ServerThread, account: Account, enrolled: Device
) -> None:
    enrolled.connect()
    enrolled.hello()
    code = new_code()
    enrolled.window(code)
    eventually(lambda: window_open(cloud, enrolled), "the window")
    claim_with(cloud, code)
    ordered = enrolled.next_answer()
    assert isinstance(ordered, command.Command)
    enrolled.obey(ordered, frame.OUTCOME_ARGUMENTS_REFUSED)
    assert enrolled.hello().claim_epoch == 0
    assert enrolled.poll(NOTHING_S) is None  # and it is not ordered again


def test_order_is_repeated_until_its_receipt_comes(
    cloud: ServerThread, account: Account, enrolled: Device
) -> None:
    enrolled.connect()
    enrolled.hello()
    code = new_code()
    enrolled.window(code)
    eventually(lambda: window_open(cloud, enrolled), "the window")
    claim_with(cloud, code)
    counters = [next_order(enrolled).counter]
    for _ in range(2):
        assert enrolled.hello().claim_epoch == 1
        counters.append(next_order(enrolled).counter)
    assert counters == sorted(set(counters))
    enrolled.hello()
    enrolled.obey(next_order(enrolled))
    enrolled.hello()
    assert enrolled.poll(NOTHING_S) is None


def test_counter_goes_beyond_what_the_device_obeyed(cloud: ServerThread, claimed: Device) -> None:
    """After a restored database the cloud's own counter may be behind."""
    claimed.obeyed = 2**50
    service = cloud.server.service
    order = command.People([command.Person(1, 1, 0)])
    service.writer.call(lambda c: outbox.place(c, claimed.id, order, service.now()))
    claimed.hello()
    assert next_order(claimed).counter == 2**50 + 1


def test_no_counter_of_before_a_restore_is_given_again(
    cloud: ServerThread, claimed: Device
) -> None:
    """A receipt that was on its way would close another order, which was never obeyed."""
    service = cloud.server.service
    order = command.People([command.Person(1, 1, 0)])
    service.writer.call(lambda c: outbox.place(c, claimed.id, order, service.now()))
    claimed.hello()
    before = next_order(claimed).counter

    def forget(connection: sa.Connection) -> None:
        rendered = schema.command_rendered
        connection.execute(rendered.delete().where(rendered.c.device == claimed.id))
        connection.execute(schema.device.update().values(command_counter=0))

    service.writer.call(forget)
    time.sleep(1.1)
    claimed.hello()
    assert next_order(claimed).counter > before


def test_next_claim_is_beyond_every_tombstone(
    cloud: ServerThread, account: Account, enrolled: Device
) -> None:
    """A restored database has forgotten the claim that the ledger says was erased."""
    buried = Tombstone(enrolled.id, 7, None, "0" * 64, NOW_S)
    cloud.server.service.ledger.append([buried])
    claim(cloud, enrolled)
    assert enrolled.claim_epoch == 8
    message = enrolled.readings([weight(70_000)])
    assert enrolled.deliver(message).refusals == []
    assert grams(stored(cloud, account, enrolled)) == [70_000]


def test_account_that_is_being_erased_claims_nothing(cloud: ServerThread, enrolled: Device) -> None:
    """Also when its password was checked just before: the erasure would miss the claim."""
    leaving = make_account(cloud, "leaving@example.org")
    enrolled.connect()
    enrolled.hello()
    code = new_code()
    enrolled.window(code)
    eventually(lambda: window_open(cloud, enrolled), "the window")
    service, table = cloud.server.service, schema.account
    marked = table.update().where(table.c.id == leaving.id).values(state="erasing")
    service.writer.call(lambda c: c.execute(marked))
    with pytest.raises(ClaimError, match="being erased"):
        cloud.run(Claims(service).claim(leaving, claim_code.to_text(code)))
