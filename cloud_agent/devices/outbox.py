"""Orders to devices: kept until a receipt comes, signed anew at each hello (SPEC 6.5).
Works inside the caller's transaction and commits nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from cloud_agent.devices.signing import CommandSigner
from cloud_agent.storage import schema
from protocol import cbor, command, envelope, frame, message_types, topics, trust

_table = schema.command_outbox
_rendered = schema.command_rendered

# Long enough for a device that dozes off between the order and its obeying; each hello renews it.
_LIFE_S = 3600
# With the welcome fewer than the 16 that a device keeps.
_MOST_AT_ONCE = 12
# More than one device is ever given, so that the clock's floor stays ahead of what was given.
_COUNTERS_A_SECOND = 1024

_DONE = (frame.OUTCOME_DONE, frame.OUTCOME_DONE_ALREADY)

Order = (
    command.Claim
    | command.People
    | command.Settings
    | command.Erase
    | command.Release
    | trust.Trust
)

#: Orders that mean nothing once the claim is over under which they were given.
OF_A_CLAIM = (command.VERB_CLAIM, command.VERB_PEOPLE, command.VERB_SETTINGS)


@dataclass(frozen=True, slots=True)
class Settled:
    """An order that a receipt has closed."""

    number: int
    verb: int
    done: bool
    detail: bytes  # what the verb gave back (SPEC 4.5)


def place(
    connection: sa.Connection,
    device: str,
    order: Order,
    now_s: int,
    *,
    erasure: bytes | None = None,
) -> int:
    """Puts an order into the outbox; returns its number. Afterwards: `service.announce_orders`.

    `erasure`: the erasure that waits for it.
    """
    values = {
        "erasure": erasure,
        "device": device,
        "verb": order.VERB,
        "arguments": cbor.encode(order.arguments()),
        "state": "waiting",
        "placed_s": now_s,
    }
    key = connection.execute(_table.insert().values(**values)).inserted_primary_key
    return int(key[0]) if key is not None else 0


def await_release(connection: sa.Connection, device: str, erasure: bytes | None) -> None:
    """A device that was given away and was not there since still has what it had: the erasure
    waits for the release that it has not obeyed yet.
    """
    waiting = (_table.c.device == device, _table.c.state == "waiting")
    release = _table.c.verb == command.VERB_RELEASE
    connection.execute(_table.update().where(*waiting, release).values(erasure=erasure))


def cancel(connection: sa.Connection, device: str, verbs: Sequence[int]) -> None:
    """Takes back the waiting orders of these verbs; one that is on its way may still be obeyed."""
    where = (_table.c.device == device, _table.c.state == "waiting", _table.c.verb.in_(verbs))
    connection.execute(_table.update().where(*where).values(state="cancelled"))


def render(
    connection: sa.Connection,
    device: str,
    signer: CommandSigner,
    now_s: int,
    *,
    obeyed: int = 0,
    references: Callable[[], Mapping[int, int]] = dict,
) -> list[bytes]:
    """Signs every waiting order of the device under a new counter, oldest first.

    `obeyed`: the last counter that the device says it obeyed. It may be beyond ours when the
    database was restored; a counter that is not beyond it would be ignored for ever. Nor may a
    counter of before the restore be given to another order: a receipt that is still on its way
    would close it, though it never reached the device. So counters keep up with the clock.

    `references` gives the weights in g by which the device may know people, by handle: they are
    in the message, and never in the outbox.
    """
    query = (
        sa.select(_table.c.id, _table.c.verb, _table.c.arguments)
        .where(_table.c.device == device, _table.c.state == "waiting")
        .order_by(_table.c.id)
        .limit(_MOST_AT_ONCE)
    )
    waiting = connection.execute(query).all()
    if not waiting:
        return []
    counter = max(_counter(connection, device), obeyed, now_s * _COUNTERS_A_SECOND)
    messages = []
    for row in waiting:
        counter += 1
        _note(connection, device, counter, row.id, now_s)
        arguments = cbor.decode(row.arguments)
        if row.verb in _NAMING and isinstance(arguments, list):
            arguments = [*arguments[:-1], _with_references(arguments[-1], references())]
        order = command.Command(
            counter=counter,
            issued_s=now_s,
            expires_s=now_s + _LIFE_S,
            verb=row.verb,
            arguments=arguments if isinstance(arguments, list) else [],
        )
        kid = topics.kid_of(device)
        messages.append(envelope.seal_sign1(message_types.COMMAND, kid, order.encode(), signer))
    where = schema.device.c.id == device
    connection.execute(schema.device.update().where(where).values(command_counter=counter))
    return messages


_NAMING = (command.VERB_CLAIM, command.VERB_PEOPLE)


def _with_references(people: Any, references: Mapping[int, int]) -> list[Any]:
    return [
        [handle, slot, reference or references.get(handle, 0)] for handle, slot, reference in people
    ]


def settle(
    connection: sa.Connection,
    device: str,
    receipts: Sequence[frame.Receipt],
    signed: bytes,
    now_s: int,
) -> list[Settled]:
    """Closes the orders that the receipts (in the message `signed`) are for (SPEC 6.5).

    A receipt for a counter that we do not know, or with another verb, closes nothing.
    """
    closed = []
    for receipt in receipts:
        number = _number_of(connection, device, receipt)
        if number is None:
            continue
        done = receipt.outcome in _DONE
        connection.execute(
            _table.update()
            .where(_table.c.id == number)
            .values(
                state="done" if done else "failed",
                outcome=receipt.outcome,
                receipt=signed,
                receipt_s=now_s,
            )
        )
        closed.append(Settled(number, receipt.verb, done, receipt.detail))
    return closed


def _counter(connection: sa.Connection, device: str) -> int:
    query = sa.select(schema.device.c.command_counter).where(schema.device.c.id == device)
    return int(connection.execute(query).scalar_one())


def _note(connection: sa.Connection, device: str, counter: int, number: int, now_s: int) -> None:
    connection.execute(_rendered.insert().values(device=device, counter=counter, command=number))
    where = _table.c.id == number
    connection.execute(_table.update().where(where).values(rendered_s=now_s))


def _number_of(connection: sa.Connection, device: str, receipt: frame.Receipt) -> int | None:
    query = (
        sa.select(_table.c.id)
        .join(_rendered, _rendered.c.command == _table.c.id)
        .where(
            _rendered.c.device == device,
            _rendered.c.counter == receipt.counter,
            _table.c.verb == receipt.verb,
            _table.c.state == "waiting",
        )
    )
    found: int | None = connection.execute(query).scalar_one_or_none()
    return found
