"""Claiming: whoever reads the code on the display may have the device (SPEC 4.2, 6.6, 7.6)."""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from cloud_agent.accounts import accounts
from cloud_agent.devices import outbox, people
from cloud_agent.devices.errors import ClaimError, UnknownDeviceError
from cloud_agent.privacy.ledger import Tombstone
from cloud_agent.readings.store import create_tray
from cloud_agent.storage import schema
from protocol import cbor, claim_code, command, frame, topics
from protocol.errors import MessageError

if TYPE_CHECKING:
    from cloud_agent.accounts.accounts import Account
    from cloud_agent.service import Service

_MOST_ATTEMPTS = 5
_WITHIN_S = 3600

_FIRST_SLOT = 1


@dataclass(frozen=True, slots=True)
class Claimed:
    """A device that belongs to an account now, and the number of this claim."""

    device: str
    epoch: int


class Claims:
    """Takes codes from accounts; at most five attempts an hour each, counted in memory: a restart
    forgets them, and against 80 random bits that live ten minutes a few more are no help.
    """

    def __init__(self, service: Service) -> None:
        self._service = service
        self._attempts: dict[bytes, list[int]] = {}

    async def claim(self, account: Account, code_text: str) -> Claimed:
        """Gives the device that shows this code to the account, and orders it to obey.

        Raises ClaimError: no window is open for this code, too many attempts, taken already.
        """
        now_s = self._service.now()
        self._count_attempt(account.id, now_s)
        try:
            code = claim_code.from_text(code_text)
        except MessageError as error:
            raise ClaimError(
                "that is not a code: it has 16 letters and digits, in four groups"
            ) from error
        claimed = await self._service.writer.run(
            lambda connection: self._claim(connection, account, code, now_s)
        )
        self._attempts.pop(account.id, None)  # another claim of theirs may have been first
        self._service.announce_orders(claimed.device)
        return claimed

    def _count_attempt(self, account: bytes, now_s: int) -> None:
        # A clock that was set back leaves attempts in the future: they would count for ever.
        recent = [at_s for at_s in self._attempts.get(account, []) if 0 <= now_s - at_s < _WITHIN_S]
        if len(recent) >= _MOST_ATTEMPTS:
            raise ClaimError("too many codes were tried: wait an hour")
        self._attempts[account] = [*recent, now_s]

    def _claim(
        self, connection: sa.Connection, account: Account, code: bytes, now_s: int
    ) -> Claimed:
        if not accounts.is_active(connection, account.id):
            # An erasure has begun since the password was checked: it must not miss this claim.
            raise ClaimError("this account is being erased")
        device = _device_of(connection, code, now_s)
        if device is None:
            raise ClaimError(
                "no device shows this code now: press its button, and type what it shows"
            )
        if _open_claim(connection, device):
            raise ClaimError("this device belongs to an account; it must be released first")
        epoch = self._next_epoch(connection, device)
        tray = create_tray(connection, self._service.vault)
        claimed = Claimed(device, epoch)
        handle = people.next_handle(connection, self._service.ledger, device)
        person = command.Person(handle, _FIRST_SLOT, 0)
        claim = {"account": account.id, "tray": tray, "from_s": now_s}
        _insert(connection, claimed, account, claim, person)
        order = command.Claim(epoch, [person])
        outbox.place(connection, device, order, now_s)
        return claimed

    def _next_epoch(self, connection: sa.Connection, device: str) -> int:
        """A number that no claim of this device had, also not before a database was restored:
        beyond what the device has told us, and beyond what the ledger says was erased. Else the
        tombstones of the last owner would swallow the readings of the next.
        """
        table = schema.device
        query = sa.select(table.c.last_claim_epoch, table.c.hello_claim_epoch).where(
            table.c.id == device
        )
        row = connection.execute(query).one()
        erased = [
            entry.epoch
            for entry in self._service.ledger.entries()
            if isinstance(entry, Tombstone) and entry.device == device
        ]
        epoch = max(row.last_claim_epoch, row.hello_claim_epoch or 0, *erased) + 1
        connection.execute(
            table.update().where(table.c.id == device).values(last_claim_epoch=epoch)
        )
        return int(epoch)


def open_window(
    connection: sa.Connection, device: str, window: frame.ClaimWindow, now_s: int
) -> None:
    """Remembers the proof until the window ends; a new window takes the place of the last.

    The same one again, repeated by the device or by someone on the way, lasts no longer for that.
    """
    table = schema.claim_window
    known = sa.select(table.c.proof).where(table.c.device == device)
    if connection.execute(known).scalar_one_or_none() == window.proof:
        return
    connection.execute(table.delete().where(table.c.device == device))
    values = {"device": device, "proof": window.proof, "until_s": now_s + window.window_s}
    connection.execute(table.insert().values(**values))


def current_epoch(connection: sa.Connection, device: str) -> int:
    """The claim epoch that is open for the device; 0 when it is not claimed."""
    table = schema.claim
    query = sa.select(sa.func.max(table.c.epoch)).where(
        table.c.device == device, table.c.until_s.is_(None), table.c.account.is_not(None)
    )
    return int(connection.execute(query).scalar_one() or 0)


def held_epoch(connection: sa.Connection, account: Account, device: str) -> int:
    """The open claim of this account on the device; UnknownDeviceError where there is none, as
    for a device that does not exist: who does not hold it learns nothing.
    """
    table = schema.claim
    query = sa.select(table.c.epoch).where(
        table.c.device == device, table.c.account == account.id, table.c.until_s.is_(None)
    )
    epoch: int | None = connection.execute(query).scalar_one_or_none()
    if epoch is None:
        raise UnknownDeviceError(f"no device {device} belongs to this account")
    return epoch


def end_refused(connection: sa.Connection, device: str, order: int, now_s: int) -> None:
    """Ends the claim that the device has refused to obey in this order: it belongs to another."""
    outbox_row = schema.command_outbox
    query = sa.select(outbox_row.c.arguments).where(outbox_row.c.id == order)
    arguments = cbor.decode(connection.execute(query).scalar_one())
    epoch = arguments[0] if isinstance(arguments, list) and arguments else 0
    table = schema.claim
    where = (table.c.device == device, table.c.epoch == epoch, table.c.until_s.is_(None))
    connection.execute(table.update().where(*where).values(until_s=now_s))


def _device_of(connection: sa.Connection, code: bytes, now_s: int) -> str | None:
    table = schema.claim_window
    query = sa.select(table.c.device, table.c.proof).where(table.c.until_s > now_s)
    found = None
    # Every open window is compared, in constant time: nothing tells which one was near.
    for row in connection.execute(query):
        expected = claim_code.proof(topics.kid_of(row.device), code)
        if hmac.compare_digest(expected, row.proof):
            found = str(row.device)
    return found


def _open_claim(connection: sa.Connection, device: str) -> bool:
    return current_epoch(connection, device) != 0


def _insert(
    connection: sa.Connection,
    claimed: Claimed,
    account: Account,
    claim: dict[str, Any],
    person: command.Person,
) -> None:
    where = {"device": claimed.device, "epoch": claimed.epoch}
    connection.execute(schema.claim.insert().values(where | claim))
    connection.execute(
        schema.person_handle.insert().values(
            **where, handle=person.handle, subject=account.subject, slot=person.slot
        )
    )
    table = schema.claim_window
    connection.execute(table.delete().where(table.c.device == claimed.device))
