"""People who share a device: each gets their own readings, and nobody anything of another."""

from __future__ import annotations

import asyncio
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from cloud_agent.accounts import accounts
from cloud_agent.accounts.accounts import Account
from cloud_agent.devices import household as households
from cloud_agent.devices.errors import ClaimError, UnknownDeviceError
from cloud_agent.devices.household import Member
from cloud_agent.devices.release import release
from cloud_agent.errors import RefusedError
from cloud_agent.privacy import erasure, export
from cloud_agent.privacy.ledger import Tombstone
from cloud_agent.readings import listing, trays
from cloud_agent.storage import schema
from cloud_agent.tests.household import Household, Scale
from protocol import command


class Shared:
    """Ann holds a scale, Bob shares it."""

    def __init__(self, household: Household) -> None:
        self.household = household
        self.service = household.service
        self.ann = household.open_account("ann@example.org", "Ann")
        self.bob = household.open_account("bob@example.org", "Bob")
        self.scale = household.add_scale()
        household.claim(self.ann, self.scale)
        household.confirm_orders(self.scale)
        self.anns = self.scale.handle
        self.bobs = self.join(self.bob)
        household.confirm_orders(self.scale)

    def join(self, account: Account) -> int:
        code = asyncio.run(households.invite(self.service, self.ann, self.scale.id))
        asyncio.run(households.join(self.service, account, code))
        return self.handle_of(account)

    def handle_of(self, account: Account) -> int:
        return handle_on(self.household, self.scale, account)

    def weigh(self, handle: int, *grams: int) -> None:
        frame = self.household.weigh(self.scale, grams, handle=handle)
        self.household.deliver(self.scale, frame)

    def values(self, account: Account) -> list[int]:
        found = listing.list_readings(self.service.database, self.service.vault, account.subject)
        return [reading.content.values[0] for reading in found]

    def people(self) -> Any:
        """What the last order tells the device of its people: handle and slot."""
        orders = self.household.obtain_orders(self.scale)
        [told] = [each for each in orders if each.verb == command.VERB_PEOPLE]
        return [person[:2] for person in told.arguments[0]]


def handle_on(household: Household, scale: Scale, account: Account) -> int:
    """The handle of an account under the scale's claim of today."""
    table = schema.person_handle
    where = (table.c.device == scale.id, table.c.epoch == scale.epoch)
    query = sa.select(table.c.handle).where(*where, table.c.subject == account.subject)
    with household.service.database.reading() as connection:
        return int(connection.execute(query).scalar_one())


@pytest.fixture
def shared(household: Household) -> Shared:
    return Shared(household)


def exported(shared: Shared, account: Account) -> dict[str, bytes]:
    with zipfile.ZipFile(export.make_export(shared.service, account)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


class TestSharing:
    def test_each_gets_their_own(self, shared: Shared) -> None:
        shared.weigh(shared.anns, 62_000)
        shared.weigh(shared.bobs, 81_000, 81_200)
        assert shared.values(shared.ann) == [62_000]
        assert shared.values(shared.bob) == [81_000, 81_200]
        own = json.loads(exported(shared, shared.ann)["readings.json"])
        assert [each["values"]["weight"]["value"] for each in own] == [62.0]

    def test_the_device_is_told_of_both(self, shared: Shared) -> None:
        carl = shared.household.open_account("carl@example.org")
        third = shared.join(carl)
        assert shared.people() == [[shared.anns, 1], [shared.bobs, 2], [third, 3]]

    def test_who_holds_it_sees_numbers_who_shares_it_sees_itself(self, shared: Shared) -> None:
        assert households.members(shared.service, shared.ann, shared.scale.id) == [
            Member(1, yours=True, holds=True),
            Member(2, yours=False, holds=False),
        ]
        assert households.members(shared.service, shared.bob, shared.scale.id) == [
            Member(2, yours=True, holds=False)
        ]
        stranger = shared.household.open_account("eve@example.org")
        with pytest.raises(UnknownDeviceError):
            households.members(shared.service, stranger, shared.scale.id)

    def test_a_code_is_for_one_person_for_a_week(self, shared: Shared) -> None:
        code = asyncio.run(households.invite(shared.service, shared.ann, shared.scale.id))
        carl, dora = (
            shared.household.open_account(f"{name}@example.org") for name in ("carl", "dora")
        )
        asyncio.run(households.join(shared.service, carl, code.lower()))
        with pytest.raises(ClaimError, match="no invitation"):
            asyncio.run(households.join(shared.service, dora, code))
        late = asyncio.run(households.invite(shared.service, shared.ann, shared.scale.id))
        shared.household.clock.now_s += households.INVITED_S
        with pytest.raises(ClaimError, match="no invitation"):
            asyncio.run(households.join(shared.service, dora, late))

    def test_codes_cannot_be_guessed(self, shared: Shared) -> None:
        eve = shared.household.open_account("eve@example.org")
        for number in range(5):
            with pytest.raises(ClaimError):
                asyncio.run(households.join(shared.service, eve, f"0000-0000-0000-000{number}"))
        with pytest.raises(RefusedError, match="too many"):
            asyncio.run(households.join(shared.service, eve, "0000-0000-0000-0009"))

    def test_who_may_invite_and_join(self, shared: Shared) -> None:
        with pytest.raises(UnknownDeviceError):
            asyncio.run(households.invite(shared.service, shared.bob, shared.scale.id))
        code = asyncio.run(households.invite(shared.service, shared.ann, shared.scale.id))
        for account in (shared.ann, shared.bob):
            with pytest.raises(ClaimError, match="already"):
                asyncio.run(households.join(shared.service, account, code))
        silent = shared.household.open_account("silent@example.org", consent=False)
        with pytest.raises(ClaimError, match="consent"):
            asyncio.run(households.join(shared.service, silent, code))

    def test_eight_people_fit(self, shared: Shared) -> None:
        for number in range(6):
            shared.join(shared.household.open_account(f"p{number}@example.org"))
        with pytest.raises(ClaimError, match="at most 8"):
            asyncio.run(households.invite(shared.service, shared.ann, shared.scale.id))

    def test_the_invitation_ends_with_the_claim(self, shared: Shared) -> None:
        code = asyncio.run(households.invite(shared.service, shared.ann, shared.scale.id))
        asyncio.run(release(shared.service, shared.ann, shared.scale.id))
        carl = shared.household.open_account("carl@example.org")
        with pytest.raises(ClaimError, match="no invitation"):
            asyncio.run(households.join(shared.service, carl, code))


class TestLeaving:
    def test_what_was_measured_before_still_comes(self, shared: Shared) -> None:
        before = shared.household.weigh(shared.scale, [81_000], handle=shared.bobs)
        shared.household.clock.now_s += 60
        asyncio.run(households.leave(shared.service, shared.bob, shared.scale.id))
        shared.household.deliver(shared.scale, before)
        assert shared.values(shared.bob) == [81_000]
        assert shared.people() == [[shared.anns, 1]]

    def test_what_is_measured_afterwards_is_nobodys(self, shared: Shared) -> None:
        asyncio.run(households.leave(shared.service, shared.bob, shared.scale.id))
        shared.household.clock.now_s += 3_600
        shared.weigh(shared.bobs, 81_000)  # the device has not heard yet
        assert shared.values(shared.bob) == []
        assert trays.waiting(shared.service, shared.ann).count == 1

    def test_the_number_is_free_the_handle_is_not(self, shared: Shared) -> None:
        asyncio.run(households.leave(shared.service, shared.bob, shared.scale.id))
        again = shared.join(shared.bob)
        assert again == shared.bobs + 1
        assert shared.people() == [[shared.anns, 1], [again, 2]]

    def test_who_holds_it_ends_a_place(self, shared: Shared) -> None:
        with pytest.raises(ClaimError, match="nobody else"):
            asyncio.run(households.remove(shared.service, shared.ann, shared.scale.id, 1))
        with pytest.raises(UnknownDeviceError):
            asyncio.run(households.remove(shared.service, shared.bob, shared.scale.id, 1))
        asyncio.run(households.remove(shared.service, shared.ann, shared.scale.id, 2))
        with pytest.raises(UnknownDeviceError):
            households.members(shared.service, shared.bob, shared.scale.id)

    def test_who_holds_it_releases_it(self, shared: Shared) -> None:
        with pytest.raises(ClaimError, match="release"):
            asyncio.run(households.leave(shared.service, shared.ann, shared.scale.id))
        shared.weigh(shared.bobs, 81_000)
        asyncio.run(release(shared.service, shared.ann, shared.scale.id))
        assert shared.values(shared.bob) == [81_000]
        eve = shared.household.open_account("eve@example.org")
        shared.household.claim(eve, shared.scale)
        shared.weigh(shared.scale.handle, 50_000)
        assert shared.values(shared.bob) == [81_000]
        assert shared.values(eve) == [50_000]
        with pytest.raises(UnknownDeviceError):
            households.members(shared.service, shared.bob, shared.scale.id)


class TestErasing:
    def test_one_who_shares_it(self, shared: Shared) -> None:
        shared.weigh(shared.anns, 62_000)
        shared.weigh(shared.bobs, 81_000)
        before = exported(shared, shared.ann)
        report = erasure.erase(shared.service, shared.bob)
        assert report.found_after == {}
        assert exported(shared, shared.ann) == before
        orders = shared.household.obtain_orders(shared.scale)
        assert [each.verb for each in orders] == [command.VERB_ERASE, command.VERB_PEOPLE]
        assert orders[0].arguments == [shared.bobs]
        shared.weigh(shared.anns, 62_100)
        shared.weigh(shared.bobs, 81_100)
        assert shared.values(shared.ann) == [62_000, 62_100]
        assert trays.waiting(shared.service, shared.ann).count == 0

    def test_who_holds_it_and_the_others_go_on(self, shared: Shared) -> None:
        shared.weigh(shared.bobs, 81_000)
        before = exported(shared, shared.bob)["readings.json"]
        report = erasure.erase(shared.service, shared.ann)
        assert report.found_after == {}
        assert exported(shared, shared.bob)["readings.json"] == before
        assert households.members(shared.service, shared.bob, shared.scale.id) == [
            Member(2, yours=True, holds=True)
        ]
        shared.household.confirm_orders(shared.scale)
        shared.weigh(shared.bobs, 81_500)
        shared.weigh(shared.anns, 62_000)
        assert shared.values(shared.bob) == [81_000, 81_500]
        asyncio.run(households.invite(shared.service, shared.bob, shared.scale.id))
        asyncio.run(release(shared.service, shared.bob, shared.scale.id))

    def test_one_who_left_before(self, shared: Shared) -> None:
        late = shared.household.weigh(shared.scale, [81_000], handle=shared.bobs)
        shared.household.clock.now_s += 60
        asyncio.run(households.leave(shared.service, shared.bob, shared.scale.id))
        erasure.erase(shared.service, shared.bob)
        handled = shared.household.deliver(shared.scale, late)
        assert handled.dropped is not None
        tombs = [e for e in shared.service.ledger.entries() if isinstance(e, Tombstone)]
        assert [tomb.handle for tomb in tombs] == [shared.bobs]


class Homes(RuleBasedStateMachine):
    """Invitations, steps on the scale, late frames, farewells and erasures in any order."""

    def __init__(self) -> None:
        super().__init__()
        from tempfile import TemporaryDirectory  # only here

        self._folder = TemporaryDirectory()
        self.home = Shared(Household(Path(self._folder.name) / "data"))
        # Account id -> what they must see; who shares the scale now, and under which handle.
        self.owns: dict[bytes, list[int]] = {self.home.ann.id: [], self.home.bob.id: []}
        self.accounts = {each.id: each for each in (self.home.ann, self.home.bob)}
        self.on: dict[bytes, int] = {
            self.home.ann.id: self.home.anns,
            self.home.bob.id: self.home.bobs,
        }
        self.handles = {self.home.anns, self.home.bobs}
        self.late: list[tuple[bytes, int, bytes]] = []
        self.grams = 50_000

    def teardown(self) -> None:
        self.home.household.close()
        self._folder.cleanup()

    @rule()
    def join(self) -> None:
        if len(self.on) == 8 or self.home.ann.id not in self.accounts:
            return
        account = self.home.household.open_account(f"p{len(self.owns)}@example.org")
        handle = self.home.join(account)
        assert handle not in self.handles
        self.handles.add(handle)
        self.accounts[account.id], self.owns[account.id] = account, []
        self.on[account.id] = handle

    @rule(number=st.integers(0, 7), deliver=st.booleans())
    def weigh(self, number: int, *, deliver: bool) -> None:
        """Somebody steps on; the frame comes now, or later."""
        if not self.on:
            return
        who = sorted(self.on)[number % len(self.on)]
        self.grams += 1
        home = self.home.household
        home.clock.now_s += 60
        frame = home.weigh(self.home.scale, [self.grams], handle=self.on[who])
        self.late.append((who, self.grams, frame))
        if deliver:
            self.deliver()

    @rule()
    def deliver(self) -> None:
        for who, grams, frame in self.late:
            self.home.household.deliver(self.home.scale, frame)
            if who in self.accounts:
                self.owns[who].append(grams)
        self.late.clear()

    @rule(number=st.integers(0, 7))
    def leave(self, number: int) -> None:
        others = sorted(set(self.on) - {self.home.ann.id})
        if not others:
            return
        who = others[number % len(others)]
        self.home.household.clock.now_s += 60
        asyncio.run(households.leave(self.home.service, self.accounts[who], self.home.scale.id))
        del self.on[who]

    @rule(number=st.integers(0, 7))
    def erase(self, number: int) -> None:
        others = sorted(set(self.accounts) - {self.home.ann.id})
        if not others:
            return
        who = others[number % len(others)]
        report = erasure.erase(self.home.service, self.accounts.pop(who))
        assert report.found_after == {}
        self.on.pop(who, None)

    @invariant()
    def each_has_their_own(self) -> None:
        for who, account in self.accounts.items():
            assert self.home.values(account) == self.owns[who]
        assert trays.waiting(self.home.service, self.home.ann).count == 0

    @invariant()
    def the_erased_are_gone(self) -> None:
        for who in set(self.owns) - set(self.accounts):
            assert accounts.by_id(self.home.service.database, who) is None


TestHomes = Homes.TestCase
TestHomes.settings = settings(max_examples=25, stateful_step_count=20, deadline=None)
