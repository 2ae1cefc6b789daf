"""Giving a device away: its owner lets go of it, and it forgets everything (SPEC 6.6, 18)."""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa

from cloud_agent.accounts.accounts import Account
from cloud_agent.devices import outbox
from cloud_agent.devices.errors import UnknownDeviceError
from cloud_agent.service import Service
from cloud_agent.storage import schema
from protocol import command


@dataclass(frozen=True, slots=True)
class Released:
    """A device that is nobody's from now on, and the number of the claim that ended."""

    device: str
    epoch: int


async def release(service: Service, account: Account, device: str) -> Released:
    """Ends the account's claim and orders the device to forget; stored readings stay the person's.

    Readings of nobody keep their 14 days: who they belong to may still be found out. Raises
    UnknownDeviceError for a device that is not the account's, as for one that does not exist.
    """
    now_s = service.now()
    released = await service.writer.run(lambda c: _release(c, account, device, now_s))
    service.announce_orders(released.device)
    return released


def _release(connection: sa.Connection, account: Account, device: str, now_s: int) -> Released:
    claim = schema.claim
    held = (claim.c.device == device, claim.c.account == account.id, claim.c.until_s.is_(None))
    epoch = connection.execute(sa.select(claim.c.epoch).where(*held)).scalar_one_or_none()
    if epoch is None:
        raise UnknownDeviceError(f"no device {device} belongs to this account")
    connection.execute(claim.update().where(*held).values(until_s=now_s))
    # Not only the claim is over: what was ordered for it would come after this order's erasure.
    outbox.cancel(connection, device, (command.VERB_CLAIM, command.VERB_PEOPLE))
    outbox.place(connection, device, command.Release(), now_s)
    return Released(device, int(epoch))
