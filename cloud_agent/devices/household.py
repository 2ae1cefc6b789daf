"""People who share a device: invited by who holds it, each with an account and a handle of theirs.

    code = await households.invite(account, device)
    await households.join(other, code)         # the device is told of one more person
    await households.leave(other, device)      # of one less; their readings stay theirs

Nobody sees anything of another: who holds the device sees slots, and who shares it sees itself.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from cloud_agent.accounts import accounts
from cloud_agent.devices import claims, people
from cloud_agent.devices.errors import ClaimError, UnknownDeviceError
from cloud_agent.readings.store import create_tray
from cloud_agent.storage import schema
from cloud_agent.storage.household_schema import former_handle, invitation, membership
from cloud_agent.storage.readings_schema import reading_offer
from protocol import claim_code
from protocol.errors import MessageError

if TYPE_CHECKING:
    from cloud_agent.accounts.accounts import Account
    from cloud_agent.service import Service

INVITED_S: Final = 7 * 86_400
_MOST_OPEN: Final = 8
_NO_CODE: Final = "no invitation has this code (any more)"


@dataclass(frozen=True, slots=True)
class Member:
    """One person on a device, as the household may see them."""

    slot: int
    yours: bool
    holds: bool  # holds the device, and invites


async def invite(service: Service, account: Account, device: str) -> str:
    """A code for one other adult, good for seven days. Raises `UnknownDeviceError` for a device
    that the account does not hold, `ClaimError` for too many invitations.
    """
    code = secrets.token_bytes(claim_code.CODE_SIZE)
    now_s = service.now()
    await service.writer.run(lambda c: _invite(c, account, device, code, now_s))
    return claim_code.to_text(code)


async def join(service: Service, account: Account, code_text: str) -> str:
    """The account shares the device of the invitation; returns the device.

    Raises `ClaimError`: no such invitation, its own device, there already, no consent, too many
    attempts.
    """
    now_s = service.now()
    service.joins.begin(account.id, "join", now_s)
    try:
        code = claim_code.from_text(code_text)
    except MessageError as error:
        raise ClaimError("that is not a code: it has 16 letters and digits") from error
    device = await service.writer.run(lambda c: _join(service, c, account, code))
    service.joins.succeeded(account.id, "join")
    service.announce_orders(device)
    return device


async def leave(service: Service, account: Account, device: str) -> None:
    """The account shares the device no more. What the device has of theirs and has not sent yet
    still comes to them. Raises `UnknownDeviceError`, and `ClaimError` for who holds the device.
    """

    def end(connection: sa.Connection) -> None:
        epoch = shared_epoch(connection, account, device)
        if _holds(connection, account, device, epoch):
            raise ClaimError("you hold this device: release it, or erase your account")
        _end(service, connection, device, epoch, schema.person_handle.c.subject == account.subject)

    await service.writer.run(end)
    service.announce_orders(device)


async def remove(service: Service, account: Account, device: str, slot: int) -> None:
    """Who holds the device ends the place of another. Raises as `leave`."""

    def end(connection: sa.Connection) -> None:
        epoch = claims.held_epoch(connection, account, device)
        table = schema.person_handle
        other = sa.and_(table.c.slot == slot, table.c.subject != account.subject)
        if not _end(service, connection, device, epoch, other):
            raise ClaimError(f"nobody else has number {slot} on this device")

    await service.writer.run(end)
    service.announce_orders(device)


def members(service: Service, account: Account, device: str) -> list[Member]:
    """Who is on the device, by slot: all for who holds it, oneself for who shares it.

    Raises `UnknownDeviceError`.
    """
    table, claim = schema.person_handle, schema.claim
    with service.database.reading() as connection:
        epoch = shared_epoch(connection, account, device)
        holds = _holds(connection, account, device, epoch)
        holder = (
            sa.select(schema.account.c.subject)
            .join(claim, claim.c.account == schema.account.c.id)
            .where(claim.c.device == device, claim.c.epoch == epoch)
        )
        holder_subject = connection.execute(holder).scalar_one_or_none()
        rows = connection.execute(
            sa.select(table.c.slot, table.c.subject)
            .where(table.c.device == device, table.c.epoch == epoch)
            .order_by(table.c.slot)
        ).all()
    return [
        Member(row.slot, row.subject == account.subject, row.subject == holder_subject)
        for row in rows
        if holds or row.subject == account.subject
    ]


def shared_epoch(connection: sa.Connection, account: Account, device: str) -> int:
    """The open claim of a device that the account holds or shares. Raises `UnknownDeviceError`,
    as for a device that does not exist.
    """
    epoch = claims.current_epoch(connection, device)
    table = schema.person_handle
    where = (
        table.c.device == device,
        table.c.epoch == epoch,
        table.c.subject == account.subject,
    )
    known = connection.execute(sa.select(sa.exists().where(*where))).scalar_one()
    if not epoch or not (known or _holds(connection, account, device, epoch)):
        raise UnknownDeviceError(f"no device {device} is shared with this account")
    return epoch


def pass_on(service: Service, connection: sa.Connection, device: str, epoch: int) -> bool:
    """Whoever holds the device goes: the one who has shared it longest holds it from now on, with
    a new tray. False where nobody shares it.
    """
    found = successor(connection, device, epoch)
    if found is None:
        return False
    tray = create_tray(connection, service.vault)
    claim = schema.claim
    where = (claim.c.device == device, claim.c.epoch == epoch)
    connection.execute(claim.update().where(*where).values(account=found, tray=tray))
    people.order_people(connection, device, epoch, service.now())
    return True


def successor(
    connection: sa.Connection, device: str, epoch: int, leaving: Sequence[bytes] = ()
) -> bytes | None:
    """The account that would hold the device next: of those that stay, not among the subjects
    `leaving` and not being erased, who has shared it longest.
    """
    account, since = schema.account, membership.c.since_s
    query = (
        sa.select(account.c.id)
        .join(membership, membership.c.subject == account.c.subject)
        .where(
            membership.c.device == device,
            membership.c.epoch == epoch,
            account.c.state == "active",
            account.c.subject.not_in(leaving),
        )
        .order_by(since)
        .limit(1)
    )
    found: bytes | None = connection.execute(query).scalar_one_or_none()
    return found


def remove_old(service: Service) -> None:
    """Housekeeping: invitations whose time is over."""
    before = invitation.c.until_s <= service.now()
    service.writer.call(lambda c: c.execute(invitation.delete().where(before)))


def _invite(
    connection: sa.Connection, account: Account, device: str, code: bytes, now_s: int
) -> None:
    epoch = claims.held_epoch(connection, account, device)
    if not accounts.is_active(connection, account.id):
        raise ClaimError("this account is being erased")
    where = (
        invitation.c.device == device,
        invitation.c.epoch == epoch,
        invitation.c.until_s > now_s,
    )
    query = sa.select(sa.func.count()).select_from(invitation).where(*where)
    if connection.execute(query).scalar_one() >= _MOST_OPEN:
        raise ClaimError("there are eight invitations to this device already: wait for them")
    people.free_slot(connection, device, epoch)
    connection.execute(
        invitation.insert().values(
            code_hash=_hash(code),
            device=device,
            epoch=epoch,
            inviter=account.id,
            until_s=now_s + INVITED_S,
        )
    )


def _join(service: Service, connection: sa.Connection, account: Account, code: bytes) -> str:
    found = _invitation(connection, code, service.now())
    if not accounts.is_active(connection, account.id):
        raise ClaimError("this account is being erased")
    if found is None:
        raise ClaimError(_NO_CODE)
    device, epoch = str(found.device), int(found.epoch)
    table = schema.person_handle
    mine = (table.c.device == device, table.c.epoch == epoch, table.c.subject == account.subject)
    if connection.execute(sa.select(sa.exists().where(*mine))).scalar_one():
        raise ClaimError("you share this device already")
    if not accounts.has_health_consent(connection, account.subject):
        raise ClaimError("without your consent to process health data nothing could be kept")
    handle = people.next_handle(connection, service.ledger, device)
    slot = people.free_slot(connection, device, epoch)
    where = {"device": device, "epoch": epoch, "handle": handle, "slot": slot}
    connection.execute(table.insert().values(**where, subject=account.subject))
    since = {"device": device, "epoch": epoch, "since_s": service.now()}
    connection.execute(membership.insert().values(**since, subject=account.subject))
    connection.execute(invitation.delete().where(invitation.c.code_hash == found.code_hash))
    people.order_people(connection, device, epoch, service.now())
    return device


def _invitation(connection: sa.Connection, code: bytes, now_s: int) -> Any:
    query = sa.select(invitation).where(
        invitation.c.code_hash == _hash(code), invitation.c.until_s > now_s
    )
    found = connection.execute(query).one_or_none()
    if found is None or claims.current_epoch(connection, found.device) != found.epoch:
        return None  # the claim that it was for is over
    if not accounts.is_active(connection, found.inviter):
        return None  # with its account, or passed on
    return found


def _end(
    service: Service,
    connection: sa.Connection,
    device: str,
    epoch: int,
    who: sa.ColumnElement[bool],
) -> bool:
    table = schema.person_handle
    where = (table.c.device == device, table.c.epoch == epoch, who)
    row = connection.execute(sa.select(table).where(*where)).one_or_none()
    if row is None:
        return False
    connection.execute(table.delete().where(*where))
    _end_offers(connection, device, epoch, row.subject)
    mine = (membership.c.device == device, membership.c.epoch == epoch)
    connection.execute(membership.delete().where(*mine, membership.c.subject == row.subject))
    connection.execute(
        former_handle.insert().values(
            device=device,
            epoch=epoch,
            handle=row.handle,
            subject=row.subject,
            ended_s=service.now(),
        )
    )
    people.order_people(connection, device, epoch, service.now())
    return True


def _end_offers(connection: sa.Connection, device: str, epoch: int, subject: bytes) -> None:
    """What they were offered by those who stay, and offered to these, stays where it is."""
    table, reading = schema.person_handle, schema.reading
    others = sa.select(table.c.subject).where(table.c.device == device, table.c.epoch == epoch)
    theirs = sa.select(reading.c.id).where(reading.c.owner.in_(others))
    own = sa.select(reading.c.id).where(reading.c.owner == subject)
    offer = reading_offer.c
    to_them = sa.and_(offer.recipient == subject, offer.reading.in_(theirs))
    of_theirs = sa.and_(offer.recipient.in_(others), offer.reading.in_(own))
    connection.execute(reading_offer.delete().where(sa.or_(to_them, of_theirs)))


def _holds(connection: sa.Connection, account: Account, device: str, epoch: int) -> bool:
    table = schema.claim
    where = (table.c.device == device, table.c.epoch == epoch, table.c.account == account.id)
    return bool(connection.execute(sa.select(sa.exists().where(*where))).scalar_one())


def _hash(code: bytes) -> bytes:
    return hashlib.sha256(b"tare/1/invitation" + code).digest()
