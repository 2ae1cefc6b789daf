"""Ann and Bob on one scale, and how tests read and change what is theirs."""

from __future__ import annotations

import asyncio
from typing import Any

import sqlalchemy as sa

from cloud_agent.accounts.accounts import Account
from cloud_agent.devices import household as households
from cloud_agent.operations import OPERATIONS
from cloud_agent.readings import changes, listing
from cloud_agent.readings.values import Content
from cloud_agent.storage import schema
from cloud_agent.storage.readings_schema import reading_revision
from cloud_agent.tests.household import NOW_S, PASSWORD, Household, Scale
from protocol import reading as wire


class Pair:
    """Ann holds a scale, Bob shares it."""

    def __init__(self, household: Household) -> None:
        self.household = household
        self.service = household.service
        self.ann = household.open_account("ann@example.org", "Ann", zone="Europe/Paris")
        self.bob = household.open_account("bob@example.org", "Bob", zone="Asia/Tokyo")
        self.scale: Scale = household.add_scale()
        household.clock.now_s -= 3_600  # what they weigh now was measured since
        household.claim(self.ann, self.scale)
        self.join(self.bob)
        household.confirm_orders(self.scale)
        household.clock.now_s += 3_600

    def join(self, account: Account) -> None:
        """Another adult is invited by Ann, and joins now."""
        code = asyncio.run(households.invite(self.service, self.ann, self.scale.id))
        asyncio.run(households.join(self.service, account, code))

    def weigh(self, handle: int, *grams: int) -> None:
        self.household.deliver(self.scale, self.household.weigh(self.scale, grams, handle=handle))

    def read(self, account: Account) -> list[listing.Reading]:
        return listing.list_readings(self.service.database, self.service.vault, account.subject)

    def values(self, account: Account) -> list[int]:
        return [reading.content.values[0] for reading in self.read(account)]

    def add(self, account: Account, grams: int, taken_s: int = NOW_S) -> bytes:
        return changes.add(self.service, account, taken_s, weight(grams))


def weight(grams: int) -> Content:
    return changes.entry(wire.KIND_WEIGHT, [grams])


def ask(pair: Pair, operation: str, who: str = "ann", **arguments: Any) -> dict[str, Any]:
    async def run() -> dict[str, Any]:
        login = {"email": f"{who}@example.org", "password": PASSWORD}
        return await OPERATIONS[operation](pair.service, login | arguments)

    return asyncio.run(run())


def ciphertexts(pair: Pair) -> list[bytes]:
    found: list[bytes] = []
    with pair.service.database.reading() as connection:
        for table in (schema.reading, schema.frame, reading_revision):
            found += connection.execute(sa.select(table.c.ciphertext)).scalars()
    return [each[-24:] for each in found]


def legible(pair: Pair, piece: bytes) -> bool:
    files = [path for path in pair.service.folder.root.rglob("*") if path.is_file()]
    return any(piece in path.read_bytes() for path in files)


def count(pair: Pair, table: sa.Table) -> int:
    with pair.service.database.reading() as connection:
        return int(connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one())
