"""Giving a device away: its owner lets go of it, and it forgets everything (SPEC 6.6, 18)."""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa

from cloud_agent.accounts.accounts import Account
from cloud_agent.devices import claims, outbox
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
    epoch = claims.held_epoch(connection, account, device)
    table = schema.claim
    ended = table.update().where(table.c.device == device, table.c.epoch == epoch)
    connection.execute(ended.values(until_s=now_s))
    # Not only the claim is over: what was ordered for it would come after this order's erasure.
    outbox.cancel(connection, device, outbox.OF_A_CLAIM)
    outbox.place(connection, device, command.Release(), now_s)
    return Released(device, epoch)
