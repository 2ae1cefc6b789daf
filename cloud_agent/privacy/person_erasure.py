"""What erasing a whole person does to rows, claims and devices, in one transaction.

Where others share a device it goes on without them: one of these holds it from now on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa

from cloud_agent.devices import household, people
from cloud_agent.devices import outbox as orders
from cloud_agent.privacy import access_log, catalogue
from cloud_agent.privacy.catalogue import Person
from cloud_agent.privacy.plan import Ending, Plan
from cloud_agent.readings import store
from cloud_agent.storage import schema
from protocol import command

if TYPE_CHECKING:
    from cloud_agent.service import Service


def erase_rows(
    service: Service, connection: sa.Connection, request: bytes, todo: Plan
) -> dict[str, int]:
    """The step of the writer: rows, claims, orders; returns how many rows of each table."""
    now_s = service.now()
    place_orders(connection, request, todo.endings, now_s)
    claim = schema.claim
    for ending in todo.endings:
        if ending.handles is None:
            where = (claim.c.device == ending.device, claim.c.epoch == ending.epoch)
            connection.execute(
                claim.update().where(*where, claim.c.until_s.is_(None)).values(until_s=now_s)
            )
    access_log.keep_count(connection, todo.person.owners[0])
    held = [each for each in todo.endings if _is_held(connection, each, todo.person)]
    rows = catalogue.erase_rows(connection, schema.metadata, todo.person)
    for ending in todo.endings:
        if ending.live and ending.handles is not None:
            _goes_on(service, connection, ending, held=ending in held)
    return rows


def _is_held(connection: sa.Connection, ending: Ending, person: Person) -> bool:
    claim = schema.claim
    where = (claim.c.device == ending.device, claim.c.epoch == ending.epoch)
    query = sa.select(sa.exists().where(*where, claim.c.account.in_(person.accounts)))
    return bool(connection.execute(query).scalar_one())


def _goes_on(service: Service, connection: sa.Connection, ending: Ending, *, held: bool) -> None:
    """Others share the device: one of them holds it from now on, and it is told who is left."""
    device, epoch = ending.device, ending.epoch
    if held:
        tray = store.create_tray(connection, service.vault)
        household.pass_on(service, connection, device, epoch, tray)
    else:
        people.order_people(connection, device, epoch, service.now())


def place_orders(
    connection: sa.Connection, request: bytes | None, endings: tuple[Ending, ...], now_s: int
) -> None:
    """Tells the devices what to forget; once for a request."""
    outbox = schema.command_outbox
    query = sa.select(sa.exists().where(outbox.c.erasure == request))
    if request is not None and connection.execute(query).scalar_one():
        return  # placed before a cut, in one transaction with the end of the claims
    for ending in endings:
        if not ending.live:
            orders.await_release(connection, ending.device, request)
            continue
        if ending.handles is None:
            orders.cancel(connection, ending.device, orders.OF_A_CLAIM)
        for order in _erase_orders(ending):
            orders.place(connection, ending.device, order, now_s, erasure=request)


def _erase_orders(ending: Ending) -> list[command.Erase]:
    if ending.handles is None:
        return [command.Erase(None)]
    return [command.Erase(handle) for handle in ending.handles if handle]
