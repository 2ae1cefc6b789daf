"""A household whose people go at the same time, or come while another goes."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest
import sqlalchemy as sa

from cloud_agent.accounts.accounts import Account
from cloud_agent.devices import claims
from cloud_agent.devices import household as households
from cloud_agent.devices.errors import ClaimError, UnknownDeviceError
from cloud_agent.devices.household import Member
from cloud_agent.devices.release import release
from cloud_agent.privacy import erasure, plan
from cloud_agent.storage import schema
from cloud_agent.tests.devices.test_household import Shared
from cloud_agent.tests.household import Household
from protocol import command


@pytest.fixture
def shared(household: Household) -> Shared:
    return Shared(household)


def is_claimed(shared: Shared) -> bool:
    with shared.service.database.reading() as connection:
        return claims.current_epoch(connection, shared.scale.id) != 0


def set_state(shared: Shared, account: Account, state: str) -> None:
    """As the first step of an erasure leaves it, and its last undoes it."""
    table = schema.account
    update = table.update().where(table.c.id == account.id).values(state=state)
    shared.service.writer.call(lambda c: c.execute(update))


class TestErasedTogether:
    def test_the_claim_ends_and_the_device_forgets_all(self, shared: Shared) -> None:
        set_state(shared, shared.bob, "erasing")
        report = erasure.erase(shared.service, shared.ann)
        assert report.found_after == {}
        assert not is_claimed(shared)
        [order] = shared.household.obtain_orders(shared.scale)
        assert (order.verb, order.arguments) == (command.VERB_ERASE, [])
        set_state(shared, shared.bob, "active")
        assert erasure.erase(shared.service, shared.bob).found_after == {}
        carl = shared.household.open_account("carl@example.org")
        shared.household.claim(carl, shared.scale)

    def test_the_longest_member_is_next_also_with_new_handles(self, shared: Shared) -> None:
        shared.household.clock.now_s += 60
        carl = shared.household.open_account("carl@example.org")
        shared.join(carl)
        erasure.erase(shared.service, shared.bob, only_readings=True)
        assert shared.handle_of(shared.bob) > shared.handle_of(carl)
        erasure.erase(shared.service, shared.ann)
        found = households.members(shared.service, shared.bob, shared.scale.id)
        assert Member(2, yours=True, holds=True) in found


class TestMeanwhile:
    """Something happens between the plan of an erasure and its rows."""

    def test_a_sale(self, shared: Shared, monkeypatch: pytest.MonkeyPatch) -> None:
        collect = plan.collect
        eve = shared.household.open_account("eve@example.org")

        def sell(*args: object, **options: object) -> plan.Plan:
            collected = collect(*args, **options)  # type: ignore[arg-type] # passed on as it came
            asyncio.run(release(shared.service, shared.ann, shared.scale.id))
            shared.household.claim(eve, shared.scale)
            return collected

        monkeypatch.setattr(plan, "collect", sell)
        erasure.erase(shared.service, shared.ann)
        orders = shared.household.obtain_orders(shared.scale)
        assert command.VERB_ERASE not in [each.verb for each in orders]
        assert households.members(shared.service, eve, shared.scale.id) == [
            Member(1, yours=True, holds=True)
        ]

    @pytest.mark.parametrize("who", ["ann", "bob"])
    def test_nobody_invites_or_joins(self, shared: Shared, who: str) -> None:
        code = asyncio.run(households.invite(shared.service, shared.ann, shared.scale.id))
        carl = shared.household.open_account("carl@example.org")
        going = shared.ann if who == "ann" else carl
        set_state(shared, going, "erasing")
        with pytest.raises(ClaimError):
            asyncio.run(households.join(shared.service, carl, code))
        if who == "ann":
            with pytest.raises(ClaimError, match="being erased"):
                asyncio.run(households.invite(shared.service, shared.ann, shared.scale.id))

    def test_invitations_of_the_last_owner_do_not_count(self, shared: Shared) -> None:
        for _ in range(8):
            asyncio.run(households.invite(shared.service, shared.ann, shared.scale.id))
        with pytest.raises(ClaimError, match="eight"):
            asyncio.run(households.invite(shared.service, shared.ann, shared.scale.id))
        asyncio.run(release(shared.service, shared.ann, shared.scale.id))
        shared.household.claim(shared.bob, shared.scale)
        assert asyncio.run(households.invite(shared.service, shared.bob, shared.scale.id))


class TestRestored:
    """A copy of before an erasure comes back beside the ledger of after it."""

    def restore(self, shared: Shared, copied: Path) -> Household:
        root = shared.service.folder.root
        shared.service.close()
        for name in ("tare.db", "keys.db"):
            for suffix in ("", "-wal", "-shm"):
                (root / f"{name}{suffix}").unlink(missing_ok=True)
                if (copied / f"{name}{suffix}").exists():
                    shutil.copy(copied / f"{name}{suffix}", root / f"{name}{suffix}")
        reopened = Household(root, shared.household.clock)
        shared.household, shared.service = reopened, reopened.service
        return reopened

    def test_the_household_goes_on(self, shared: Shared, tmp_path: Path) -> None:
        shutil.copytree(shared.service.folder.root, tmp_path / "copy")
        erasure.erase(shared.service, shared.ann)
        reopened = self.restore(shared, tmp_path / "copy")
        assert households.members(shared.service, shared.bob, shared.scale.id) == [
            Member(2, yours=True, holds=True)
        ]
        shared.weigh(shared.bobs, 81_000)
        assert shared.values(shared.bob) == [81_000]
        reopened.close()

    def test_a_device_of_nobody_can_be_claimed(self, shared: Shared, tmp_path: Path) -> None:
        shutil.copytree(shared.service.folder.root, tmp_path / "copy")
        erasure.erase(shared.service, shared.ann)
        erasure.erase(shared.service, shared.bob)
        reopened = self.restore(shared, tmp_path / "copy")
        claim = schema.claim
        query = sa.select(claim.c.until_s).where(claim.c.device == shared.scale.id)
        with shared.service.database.reading() as connection:
            assert connection.execute(query).scalar_one() is not None
        carl = reopened.open_account("carl@example.org")
        reopened.claim(carl, shared.scale)
        with pytest.raises(UnknownDeviceError):
            households.members(shared.service, shared.bob, shared.scale.id)
        reopened.close()
