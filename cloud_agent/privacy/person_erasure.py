"""What erasing a whole person does to rows, claims and devices, in one transaction.

Where others share a device it goes on without them: one of these holds it from now on.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import sqlalchemy as sa

from cloud_agent.devices import claims, household, people
from cloud_agent.devices import outbox as orders
from cloud_agent.privacy import access_log, catalogue, plan
from cloud_agent.privacy.catalogue import Person
from cloud_agent.privacy.plan import Ending, Plan
from cloud_agent.storage import schema
from protocol import command

if TYPE_CHECKING:
    from cloud_agent.service import Service


def erase_rows(
    service: Service, connection: sa.Connection, request: bytes, todo: Plan
) -> dict[str, int]:
    """The step of the writer: rows, claims, orders; returns how many rows of each table."""
    access_log.keep_count(connection, todo.person.owners[0])
    shared = end_claims(service, connection, request, todo.endings, todo.person)
    rows = catalogue.erase_rows(connection, schema.metadata, todo.person)
    go_on(service, connection, shared)
    return rows


@dataclass(frozen=True, slots=True)
class Shared:
    """A claim that goes on without the erased; `held`: by them until now."""

    device: str
    epoch: int
    held: bool


def end_claims(
    service: Service,
    connection: sa.Connection,
    request: bytes | None,
    endings: tuple[Ending, ...],
    person: Person,
) -> list[Shared]:
    """Before the rows of `person` go: orders to their devices, the end of claims that nobody
    else shares. Returns those for `go_on`, to be called when the rows are gone.
    """
    now_s = service.now()
    today = plan.as_of_now(connection, endings)
    held = [_is_held(connection, ending, person) for ending in today]
    today = tuple(
        replace(ending, handles=None)
        if is_held and _is_last(connection, ending, person)
        else ending
        for ending, is_held in zip(today, held, strict=True)
    )
    place_orders(connection, request, today, now_s)
    claim = schema.claim
    for ending in today:
        if ending.handles is None:
            where = (claim.c.device == ending.device, claim.c.epoch == ending.epoch)
            connection.execute(
                claim.update().where(*where, claim.c.until_s.is_(None)).values(until_s=now_s)
            )
    return [
        Shared(ending.device, ending.epoch, is_held)
        for ending, is_held in zip(today, held, strict=True)
        if ending.live and ending.handles is not None
    ]


def go_on(service: Service, connection: sa.Connection, shared: list[Shared]) -> None:
    """Others share these devices: one of them holds each from now on, and the device is told who
    is left.
    """
    for each in shared:
        if each.held:
            household.pass_on(service, connection, each.device, each.epoch)
        elif claims.current_epoch(connection, each.device) == each.epoch:
            people.order_people(connection, each.device, each.epoch, service.now())


def _is_last(connection: sa.Connection, ending: Ending, person: Person) -> bool:
    """Whether nobody is left who could hold the device: those who shared it go as well."""
    return household.successor(connection, ending.device, ending.epoch, person.owners) is None


def _is_held(connection: sa.Connection, ending: Ending, person: Person) -> bool:
    claim = schema.claim
    where = (claim.c.device == ending.device, claim.c.epoch == ending.epoch)
    query = sa.select(sa.exists().where(*where, claim.c.account.in_(person.accounts)))
    return bool(connection.execute(query).scalar_one())


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
