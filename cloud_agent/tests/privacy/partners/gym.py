"""A partner, what it was sent, and how tests share with it."""

import asyncio
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cloud_agent.accounts.accounts import Account
from cloud_agent.control import dispatch
from cloud_agent.operations import OPERATIONS
from cloud_agent.privacy import notices, partners
from cloud_agent.privacy.disclosures import Disclosed, disclose
from cloud_agent.privacy.partners import Category, Partner
from cloud_agent.service import Service
from cloud_agent.storage.partners_schema import disclosure, recipient_notice
from cloud_agent.tests.household import PASSWORD, Household

CANARY = "Coach & Sons"


@dataclass
class Gym:
    """A partner: its key, and what it was sent."""

    service: Service
    name: str = CANARY
    key: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate)
    got: list[Disclosed] = field(default_factory=list)

    def __post_init__(self) -> None:
        public = self.key.public_key().public_bytes_raw()
        self.partner = partners.add(self.service, self.name, "privacy@coach.example", public)

    def send(self, given: Disclosed) -> None:
        """Whatever arrives must be in the ledger by then, durably."""
        with self.service.database.reading() as connection:
            where = disclosure.c.id == given.id
            assert connection.execute(sa.select(disclosure).where(where)).one().amount == len(
                given.readings
            )
        self.got.append(given)

    def give(self, account: Account, category: Category = Category.WEIGHT) -> bytes:
        return disclose(self.service, account, self.partner, category, self.send)

    def sign(self, notice: notices.Notice, outcome: str) -> bytes:
        text = f"tare/1/answer {notice.id.hex()} {notice.pseudonym.hex()} {outcome}"
        return self.key.sign(text.encode())


def agree(household: Household, account: Account, partner: Partner) -> None:
    partners.give_consent(household.service, account, partner, Category.WEIGHT, "1")


def rows(household: Household) -> int:
    with household.service.database.reading() as connection:
        return connection.execute(sa.select(sa.func.count()).select_from(disclosure)).scalar_one()


def run(household: Household, name: str, **arguments: Any) -> dict[str, Any]:
    return asyncio.run(dispatch(household.service, OPERATIONS, name, arguments))


def update(household: Household, values: dict[str, Any]) -> None:
    household.service.writer.call(lambda c: c.execute(recipient_notice.update().values(values)))


def as_ann(household: Household, name: str, **arguments: Any) -> dict[str, Any]:
    return run(household, name, email="ann@example.org", password=PASSWORD, **arguments)


# No row, no send


def given(household: Household, gym: Gym, ann: Account) -> None:
    agree(household, ann, gym.partner)
    gym.give(ann)
