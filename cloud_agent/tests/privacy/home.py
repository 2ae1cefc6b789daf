"""Two people with a scale and readings each, and a witness of what may not be left of one."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa

from cloud_agent.accounts.accounts import Account
from cloud_agent.privacy import erasure, export
from cloud_agent.privacy.proof import Report
from cloud_agent.readings import listing
from cloud_agent.storage import schema
from cloud_agent.tests.household import Household, Scale
from cloud_agent.tests.privacy import witness


class Home:
    """Ann with a scale of her own, Bob with his, both with readings and an export."""

    def __init__(self, household: Household) -> None:
        self.household = household
        self.service = household.service
        self.root = household.service.folder.root
        self.ann = household.open_account("ann.canary@example.org", "Ann Canary Archer")
        self.bob = household.open_account("bob@example.org", "Bob Baker Junior")
        self.scale = self._furnish(self.ann, 72_000)
        self.bobs = self._furnish(self.bob, 81_000)
        export.make_export(self.service, self.ann)
        self.ids = [self.ann.subject, self.ann.id, *self.trays(self.ann)]
        self.patterns = witness.collect(
            self.root, ["ann.canary@example.org", "Ann Canary Archer"], self.ids
        )

    def _furnish(self, account: Account, grams: int) -> Scale:
        scale = self.household.add_scale()
        self.household.claim(account, scale)
        self.household.confirm_orders(scale)
        for number in range(6):
            frame = self.household.weigh(scale, [grams + number, grams + 10 * number])
            self.household.deliver(scale, frame)
        self.household.deliver(scale, self.household.weigh(scale, [14_000], handle=0))
        return scale

    def trays(self, account: Account) -> list[bytes]:
        query = sa.select(schema.claim.c.tray).where(schema.claim.c.account == account.id)
        with self.service.database.reading() as connection:
            return list(connection.execute(query).scalars())

    def values(self, account: Account) -> list[tuple[int, ...]]:
        found = listing.list_readings(self.service.database, self.service.vault, account.subject)
        return [reading.content.values for reading in found]

    def erase(self, *given: Path) -> Report:
        return erasure.erase(self.service, self.ann, given=given)


def assert_gone(root: Path, patterns: dict[str, bytes]) -> None:
    assert witness.found(root, patterns) == {}
