"""Settings are ordered by who holds the device, in one order, and the answer is shown."""

from __future__ import annotations

import asyncio

import pytest

from cloud_agent.accounts.accounts import Account
from cloud_agent.control import dispatch
from cloud_agent.devices import orders, release
from cloud_agent.devices.errors import UnknownDeviceError
from cloud_agent.devices.operations import operations
from cloud_agent.errors import UsageError
from cloud_agent.tests.household import PASSWORD, Household, Scale
from protocol import command, frame
from protocol.errors import MessageError

_LB, _ST = (1, 1), (1, 2)
_SHOWN = (3, 10)


@pytest.fixture
def scale(household: Household, ann: Account) -> Scale:
    scale = household.add_scale()
    household.claim(ann, scale)
    household.confirm_orders(scale)
    return scale


def _set(household: Household, account: Account, scale: Scale, *changes: tuple[int, int]) -> None:
    asyncio.run(orders.change_settings(household.service, account, scale.id, changes))


def _listed(household: Household, account: Account, scale: Scale) -> list[tuple[object, ...]]:
    found = orders.list_orders(household.service, account, scale.id)
    return [(each["verb"], each["settings"], each["state"]) for each in found]


def test_what_is_ordered_reaches_the_device_and_its_answer_the_account(
    household: Household, ann: Account, scale: Scale
) -> None:
    _set(household, ann, scale, _LB, _SHOWN)
    waiting = ("settings", {"unit": "lb", "shown_s": "10"}, "waiting")
    assert _listed(household, ann, scale) == [("claim", {}, "done"), waiting]
    (received,) = household.obtain_orders(scale)
    ordered = received.order()
    assert isinstance(ordered, command.Settings)
    assert ordered.changes == [_LB, _SHOWN]
    household.confirm_orders(scale)
    assert _listed(household, ann, scale)[-1] == (*waiting[:2], "done")


def test_changes_that_wait_are_put_together_and_the_last_one_decides(
    household: Household, ann: Account, scale: Scale
) -> None:
    _set(household, ann, scale, _LB, _SHOWN)
    household.obtain_orders(scale)
    _set(household, ann, scale, _ST)
    (received,) = household.obtain_orders(scale)
    ordered = received.order()
    assert isinstance(ordered, command.Settings)
    assert ordered.changes == [_ST, _SHOWN]
    states = [state for _, _, state in _listed(household, ann, scale)]
    assert states == ["done", "cancelled", "waiting"]


def test_a_device_that_refuses_is_told_of(household: Household, ann: Account, scale: Scale) -> None:
    _set(household, ann, scale, _LB)
    household.confirm_orders(scale, frame.OUTCOME_UNKNOWN_VERB)
    found = orders.list_orders(household.service, ann, scale.id)[-1]
    assert (found["state"], found["why"]) == ("failed", "its firmware does not know this order")


def test_who_does_not_hold_the_device_learns_nothing_and_changes_nothing(
    household: Household, ann: Account, scale: Scale
) -> None:
    bob = household.open_account("bob@example.org")
    for device in (scale.id, "0" * 16):
        with pytest.raises(UnknownDeviceError, match=f"no device {device} belongs"):
            asyncio.run(orders.change_settings(household.service, bob, device, [_LB]))
        with pytest.raises(UnknownDeviceError, match=f"no device {device} belongs"):
            orders.list_orders(household.service, bob, device)
    assert _listed(household, ann, scale) == [("claim", {}, "done")]


def test_the_next_owner_sees_no_order_of_the_last_and_gets_none(
    household: Household, ann: Account, scale: Scale
) -> None:
    _set(household, ann, scale, _LB)
    asyncio.run(release.release(household.service, ann, scale.id))
    assert [each.verb for each in household.obtain_orders(scale)] == [command.VERB_RELEASE]
    household.confirm_orders(scale)
    household.clock.now_s += 60
    bob = household.open_account("bob@example.org")
    household.claim(bob, scale)
    assert _listed(household, bob, scale) == [("claim", {}, "waiting")]


def test_a_clock_that_is_set_back_hides_no_order_and_shows_none_of_before(
    household: Household, ann: Account, scale: Scale
) -> None:
    household.clock.now_s -= 86_400
    _set(household, ann, scale, _LB)
    assert [verb for verb, _, _ in _listed(household, ann, scale)] == ["claim", "settings"]
    asyncio.run(release.release(household.service, ann, scale.id))
    household.confirm_orders(scale)
    bob = household.open_account("bob@example.org")
    household.claim(bob, scale)  # in the same second
    assert _listed(household, bob, scale) == [("claim", {}, "waiting")]


@pytest.mark.parametrize("device", ["0" * 15, "G" * 16, "A" * 16, "%00"])
def test_what_is_no_device_is_said(household: Household, ann: Account, device: str) -> None:
    del ann
    table = operations(household.service)
    login = {"email": "ann@example.org", "password": PASSWORD, "device": device}
    for name, more in (
        ("device.orders", {}),
        ("device.set", {"settings": {"unit": "lb"}}),
        ("device.renew", {"part": "mac-key"}),
        ("device.release", {}),
    ):
        with pytest.raises(UnknownDeviceError, match="16 hexadecimal digits"):
            asyncio.run(dispatch(household.service, table, name, login | more))
        broken = login | more | {"device": "\udcff"}
        with pytest.raises(UsageError, match="device is not text"):
            asyncio.run(dispatch(household.service, table, name, broken))


def test_what_is_no_setting_is_never_ordered(
    household: Household, ann: Account, scale: Scale
) -> None:
    for wrong in ((1, 3), (99, 1), (2, 14)):
        with pytest.raises(MessageError):
            asyncio.run(orders.change_settings(household.service, ann, scale.id, [wrong]))
    assert _listed(household, ann, scale) == [("claim", {}, "done")]


def test_the_command_says_what_would_have_been_right(household: Household, scale: Scale) -> None:
    table = operations(household.service)
    wrong = {
        "there is no setting colour: it is one of unit, awake_s, shown_s": {"colour": "red"},
        "unit is one of kg, lb, st": {"unit": "oz"},
        "awake_s is one of 15 to 300": {"awake_s": "9"},
        "settings are missing": {},
    }
    for said, given in wrong.items():
        arguments = {
            "device": scale.id,
            "email": "ann@example.org",
            "password": PASSWORD,
            "settings": given,
        }
        with pytest.raises(UsageError, match=said):
            asyncio.run(dispatch(household.service, table, "device.set", arguments))
