"""Who is who on a device: handles that are never given twice, and the order that tells it.

Works inside the caller's transaction and commits nothing. Afterwards:
`service.announce_orders(device)`.
"""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa

from cloud_agent.devices import outbox
from cloud_agent.devices.errors import ClaimError
from cloud_agent.privacy.ledger import Ledger, Tombstone
from cloud_agent.storage import schema
from cloud_agent.storage.household_schema import device_handles, former_handle
from protocol import cbor, command

MOST_PEOPLE: Final = 8
_LAST_HANDLE: Final = 65_535


def next_handle(connection: sa.Connection, ledger: Ledger, device: str) -> int:
    """A handle that nobody ever had on this device, under no claim: not those of today, not
    those that were erased (the ledger), not those of people who left (the count).

    Raises `ClaimError` when a device has given out all 65,535.
    """
    table = schema.person_handle
    given = connection.execute(
        sa.select(sa.func.max(table.c.handle)).where(table.c.device == device)
    ).scalar_one()
    former = connection.execute(
        sa.select(sa.func.max(former_handle.c.handle)).where(former_handle.c.device == device)
    ).scalar_one()
    counted = connection.execute(
        sa.select(device_handles.c.last).where(device_handles.c.device == device)
    ).scalar_one_or_none()
    erased = [
        entry.handle or 0
        for entry in ledger.entries()
        if isinstance(entry, Tombstone) and entry.device == device
    ]
    handle = max(given or 0, former or 0, counted or 0, *erased, 0) + 1
    if handle > _LAST_HANDLE:
        raise ClaimError("this device has had too many people: it needs a new identity")
    connection.execute(device_handles.delete().where(device_handles.c.device == device))
    connection.execute(device_handles.insert().values(device=device, last=handle))
    return int(handle)


def free_slot(connection: sa.Connection, device: str, epoch: int) -> int:
    """The lowest number on the display that nobody has. Raises `ClaimError` for a full device."""
    table = schema.person_handle
    query = sa.select(table.c.slot).where(table.c.device == device, table.c.epoch == epoch)
    taken = set(connection.execute(query).scalars())
    for slot in range(1, MOST_PEOPLE + 1):
        if slot not in taken:
            return slot
    raise ClaimError(f"a device knows at most {MOST_PEOPLE} people")


def order_people(connection: sa.Connection, device: str, epoch: int, now_s: int) -> None:
    """Orders the device to know exactly the people of this claim. What waited to tell it
    otherwise is taken back; a claim that waits is placed again with the people of now.
    """
    table = schema.person_handle
    query = (
        sa.select(table.c.handle, table.c.slot)
        .where(table.c.device == device, table.c.epoch == epoch)
        .order_by(table.c.slot)
    )
    # Reference 0: the device keeps what it has learnt of a handle that it knows (SPEC 6.6).
    people = [command.Person(row.handle, row.slot, 0) for row in connection.execute(query)]
    order: outbox.Order = command.People(people)
    if _claim_waits(connection, device, epoch):
        order = command.Claim(epoch, people)
    outbox.cancel(connection, device, (command.VERB_CLAIM, command.VERB_PEOPLE))
    outbox.place(connection, device, order, now_s)


def _claim_waits(connection: sa.Connection, device: str, epoch: int) -> bool:
    table = schema.command_outbox
    query = sa.select(table.c.arguments).where(
        table.c.device == device,
        table.c.state == "waiting",
        table.c.verb == command.VERB_CLAIM,
    )
    decoded = [cbor.decode(each) for each in connection.execute(query).scalars()]
    return any(isinstance(each, list) and each[:1] == [epoch] for each in decoded)
