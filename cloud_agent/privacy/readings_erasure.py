"""Erases what was measured of a person; the account stays, and goes on.

The health key is destroyed and a new one takes its place, in one breath with the rows: inside
the one writer nothing can be stored between. On devices the person gets another handle; what
comes late under the old one meets a tombstone. What a device measures before it hears of the
erasure goes with the rest.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import TYPE_CHECKING

import sqlalchemy as sa

from cloud_agent.devices import outbox, people
from cloud_agent.errors import KeyGoneError
from cloud_agent.privacy import catalogue, plan, sealing
from cloud_agent.privacy.catalogue import Person
from cloud_agent.privacy.plan import Plan
from cloud_agent.privacy.vault import Purpose
from cloud_agent.storage import schema
from cloud_agent.storage.household_schema import former_handle
from protocol import command

if TYPE_CHECKING:
    from cloud_agent.service import Service

_log = logging.getLogger(__name__)


def erase_rows(
    service: Service, connection: sa.Connection, request: bytes, todo: Plan
) -> dict[str, int]:
    """The step of the writer; returns how many rows of each table."""
    if todo.readings is None:
        return {}
    [subject] = todo.person.owners
    service.vault.replace(subject, Purpose.HEALTH, todo.readings.key_id)
    for ending in plan.as_of_now(connection, todo.endings):
        if not ending.live:
            outbox.await_release(connection, ending.device, request)
    return _erase(service, connection, subject, request)


def sweep_restored(service: Service, owners: Iterable[bytes]) -> int:
    """Erases again the readings that a restored file brought back; returns of how many owners.

    The key may be back with them, or they lie under one that is gone: both are looked at.
    """
    back = [owner for owner in owners if _are_back(service, owner)]

    def erase_again(connection: sa.Connection) -> None:
        for owner in back:
            key_id = service.vault.key_id(owner, Purpose.HEALTH)
            if service.ledger.are_readings_erased(owner, key_id):
                service.vault.replace(owner, Purpose.HEALTH, key_id)
            _erase(service, connection, owner, None)

    if back:
        service.writer.call(erase_again)
        _log.warning("erased the readings of %d owners again", len(back))
    return len(back)


def _are_back(service: Service, owner: bytes) -> bool:
    ledger = service.ledger
    if not ledger.had_readings_erased(owner):
        return False
    try:
        key_id = service.vault.key_id(owner, Purpose.HEALTH)
    except KeyGoneError:
        return False
    heads = (
        sa.select(sa.func.substr(table.c.ciphertext, 1, sealing.HEAD_SIZE))
        .where(table.c.owner == owner)
        .distinct()
        for table in (schema.frame, schema.reading)
    )
    with service.database.reading() as connection:
        under = {
            sealing.key_id_of(each)
            for query in heads
            for each in connection.execute(query).scalars()
        }
    return any(ledger.are_readings_erased(owner, each) for each in (key_id, *under))


def _erase(
    service: Service, connection: sa.Connection, subject: bytes, request: bytes | None
) -> dict[str, int]:
    person = Person((), (subject,))
    table = schema.export_file
    connection.execute(table.delete().where(table.c.subject == subject))
    rows = catalogue.erase_rows(connection, schema.metadata, person, only_health=True)
    _give_new_handles(service, connection, subject, request)
    return rows


def _give_new_handles(
    service: Service, connection: sa.Connection, subject: bytes, request: bytes | None
) -> None:
    """The old handles go, from the devices too; where the claim goes on, new ones come."""
    connection.execute(former_handle.delete().where(former_handle.c.subject == subject))
    handle, claim = schema.person_handle, schema.claim
    query = (
        sa.select(handle, claim.c.until_s)
        .join(
            claim,
            sa.and_(claim.c.device == handle.c.device, claim.c.epoch == handle.c.epoch),
        )
        .where(handle.c.subject == subject)
    )
    for row in connection.execute(query).all():
        where = (
            handle.c.device == row.device,
            handle.c.epoch == row.epoch,
            handle.c.handle == row.handle,
        )
        connection.execute(handle.delete().where(*where))
        if row.until_s is not None:
            continue
        forget = command.Erase(row.handle)
        outbox.place(connection, row.device, forget, service.now(), erasure=request)
        new = people.next_handle(connection, service.ledger, row.device)
        connection.execute(
            handle.insert().values(
                device=row.device, epoch=row.epoch, handle=new, subject=subject, slot=row.slot
            )
        )
        people.order_people(connection, row.device, row.epoch, service.now())
