"""What an account orders from a device that it holds, and what became of it (SPEC 6, 18)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import sqlalchemy as sa

from cloud_agent.accounts.accounts import Account
from cloud_agent.devices import claims, outbox
from cloud_agent.service import Service
from cloud_agent.storage import schema
from protocol import cbor, command, frame, settings
from protocol.errors import MessageError

_MOST_SHOWN: Final = 50
_VERBS: Final = {
    command.VERB_CLAIM: "claim",
    command.VERB_PEOPLE: "people",
    command.VERB_SETTINGS: "settings",
    command.VERB_ERASE: "erase",
    command.VERB_RELEASE: "release",
    command.VERB_TRUST: "trust",
    command.VERB_UPDATE: "update",
}
_OUTCOMES: Final = {
    frame.OUTCOME_UNKNOWN_VERB: "its firmware does not know this order",
    frame.OUTCOME_ARGUMENTS_REFUSED: "it refused what was ordered",
    frame.OUTCOME_FAILED: "it could not do it",
}


async def change_settings(
    service: Service, account: Account, device: str, changes: Sequence[tuple[int, int]]
) -> None:
    """Orders the device to change these settings, `(number, value)` each.

    What waited to be changed before is ordered with it, in one order. Raises UnknownDeviceError
    for a device that the account does not hold, and MessageError for what is no setting.
    """
    wanted = command.Settings(changes)
    now_s = service.now()
    await service.writer.run(lambda c: _change(c, account, device, wanted, now_s))
    service.announce_orders(device)


def list_orders(service: Service, account: Account, device: str) -> list[dict[str, Any]]:
    """The orders to the device since the account holds it, oldest first, the last 50.

    Each: `id`, `verb`, `state`, `placed_s`, `receipt_s`, `settings` (words by name) and `why` it
    failed. Raises UnknownDeviceError for a device that the account does not hold.
    """
    table = schema.command_outbox
    with service.database.reading() as connection:
        epoch = claims.held_epoch(connection, account, device)
        first = _first_order(connection, device, epoch)
        query = (
            sa.select(table)
            .where(table.c.device == device, table.c.id >= first)
            .order_by(table.c.id.desc())
            .limit(_MOST_SHOWN)
        )
        rows = list(connection.execute(query))
    return [_shown(row) for row in reversed(rows)]


def _first_order(connection: sa.Connection, device: str, epoch: int) -> int:
    """The number of the order that began the claim: not its time, which a clock may set back."""
    table = schema.command_outbox
    query = sa.select(table.c.id, table.c.arguments).where(
        table.c.device == device, table.c.verb == command.VERB_CLAIM
    )
    numbers = []
    for row in connection.execute(query):
        arguments = cbor.decode(row.arguments)
        if isinstance(arguments, list) and arguments[:1] == [epoch]:
            numbers.append(int(row.id))
    return min(numbers, default=0)


def _change(
    connection: sa.Connection,
    account: Account,
    device: str,
    wanted: command.Settings,
    now_s: int,
) -> None:
    claims.held_epoch(connection, account, device)
    table = schema.command_outbox
    query = (
        sa.select(table.c.arguments)
        .where(
            table.c.device == device,
            table.c.state == "waiting",
            table.c.verb == command.VERB_SETTINGS,
        )
        .order_by(table.c.id)
    )
    merged: dict[int, int] = {}
    for arguments in connection.execute(query).scalars():
        merged.update(_changes(arguments))
    merged.update(wanted.changes)
    # One that is on its way already may be obeyed as well: the later one decides.
    outbox.cancel(connection, device, (command.VERB_SETTINGS,))
    outbox.place(connection, device, command.Settings(sorted(merged.items())), now_s)


def _changes(arguments: bytes) -> list[tuple[int, int]]:
    decoded = cbor.decode(arguments)
    try:
        return settings.checked(decoded[0]) if isinstance(decoded, list) and decoded else []
    except MessageError:
        return []  # of a version that knew other settings


def _shown(row: sa.Row[Any]) -> dict[str, Any]:
    changes = _changes(row.arguments) if row.verb == command.VERB_SETTINGS else []
    return {
        "id": row.id,
        "verb": _VERBS.get(row.verb, str(row.verb)),
        "settings": _in_words(changes),
        "state": row.state,
        "placed_s": row.placed_s,
        "receipt_s": row.receipt_s,
        "why": _OUTCOMES.get(row.outcome),
    }


def _in_words(changes: Sequence[tuple[int, int]]) -> dict[str, str]:
    found = [(settings.numbered(number), value) for number, value in changes]
    return {setting.name: setting.text(value) for setting, value in found if setting is not None}
