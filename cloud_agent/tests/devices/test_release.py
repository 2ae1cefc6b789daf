"""Giving a device away: the claim ends, the device is told to forget, what arrived stays."""

from __future__ import annotations

import asyncio

import pytest

from cloud_agent.accounts.accounts import Account
from cloud_agent.devices.errors import UnknownDeviceError
from cloud_agent.devices.release import release
from cloud_agent.privacy import erasure
from cloud_agent.readings import listing
from cloud_agent.tests.household import Household, Scale
from protocol import answer, envelope


@pytest.fixture
def scale(household: Household, ann: Account) -> Scale:
    scale = household.add_scale()
    household.claim(ann, scale)
    return scale


def _release(household: Household, account: Account, scale: Scale) -> None:
    released = asyncio.run(release(household.service, account, scale.id))
    assert (released.device, released.epoch) == (scale.id, scale.epoch)


def _grams(household: Household, account: Account) -> list[int]:
    service = household.service
    found = listing.list_readings(service.database, service.vault, account.subject, limit=None)
    return [round(listing.as_json(each)["values"]["weight"]["value"] * 1000) for each in found]


def _refusals(household: Household, scale: Scale, signed: bytes) -> tuple[tuple[int, int], ...]:
    handled = household.deliver(scale, signed)
    message = answer.parse(envelope.parse_mac0(handled.outgoing[0].payload).payload)
    assert isinstance(message, answer.Ack)
    return tuple(message.refusals)


def test_what_arrived_stays_and_what_comes_later_is_dropped(
    household: Household, ann: Account, scale: Scale
) -> None:
    household.deliver(scale, household.weigh(scale, [70_000, 70_100]))
    _release(household, ann, scale)
    late = scale.next_sequence
    refusals = _refusals(household, scale, household.weigh(scale, [70_200]))
    assert refusals == ((late, answer.DROP_CLAIM_ENDED),)
    assert _grams(household, ann) == [70_000, 70_100]


def test_the_next_owner_gets_a_claim_of_their_own_and_sees_nothing_of_before(
    household: Household, ann: Account, scale: Scale
) -> None:
    household.deliver(scale, household.weigh(scale, [70_000]))
    _release(household, ann, scale)
    household.confirm_orders(scale)
    bob = household.open_account("bob@example.org")
    before = scale.epoch
    household.claim(bob, scale)
    assert scale.epoch > before
    household.deliver(scale, household.weigh(scale, [90_000]))
    assert (_grams(household, ann), _grams(household, bob)) == ([70_000], [90_000])


def test_who_does_not_hold_the_claim_learns_nothing_and_changes_nothing(
    household: Household, ann: Account, scale: Scale
) -> None:
    bob = household.open_account("bob@example.org")
    said = []
    for device in (scale.id, "0" * 16):
        with pytest.raises(UnknownDeviceError) as error:
            asyncio.run(release(household.service, bob, device))
        said.append(str(error.value).replace(device, "ID"))
    assert said[0] == said[1]
    household.deliver(scale, household.weigh(scale, [70_000]))
    assert _grams(household, ann) == [70_000]


def test_it_is_let_go_of_once(household: Household, ann: Account, scale: Scale) -> None:
    _release(household, ann, scale)
    with pytest.raises(UnknownDeviceError):
        asyncio.run(release(household.service, ann, scale.id))


def test_an_erasure_waits_for_a_device_that_was_given_away_and_not_heard_since(
    household: Household, ann: Account, scale: Scale
) -> None:
    household.deliver(scale, household.weigh(scale, [70_000]))
    _release(household, ann, scale)
    report = erasure.erase(household.service, ann).as_json()
    assert (report["state"], report["devices"]) == ("awaiting-devices", {scale.id: "waiting"})
    household.confirm_orders(scale)
    request = erasure.parse_request(report["request"])
    report = erasure.status(household.service, request).as_json()
    assert (report["state"], report["devices"]) == ("proven", {scale.id: "done"})
