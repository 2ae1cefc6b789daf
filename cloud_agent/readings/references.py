"""By which weight a device knows a person whom it has never weighed: their own last one.

A device learns of the people on it by weighing them (SPEC 6.6). Who comes to a shared one is told
apart only by a weight that they gave themselves: typed in, taken out of the tray, or measured on
another scale. It goes into the order and is not kept there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from cloud_agent.accounts.accounts import has_health_consent
from cloud_agent.devices import claims, people
from cloud_agent.privacy.requests.record import is_restricted
from cloud_agent.privacy.vault import Purpose, Vault
from cloud_agent.readings import changes, values
from cloud_agent.storage import schema
from protocol import reading as wire

if TYPE_CHECKING:
    from cloud_agent.accounts.accounts import Account
    from cloud_agent.service import Service

WEIGHTS: Final = (wire.KIND_WEIGHT, wire.KIND_WEIGHT_IMPEDANCE)
KNOWN: Final = ("sure", "asked")
_LATEST: Final = 20


def of_device(connection: sa.Connection, vault: Vault, device: str) -> dict[int, int]:
    """The weights in g, by handle, of people on the device whom it cannot know yet. Raises
    `KeyGoneError`, `CiphertextError`.
    """
    table = schema.person_handle
    epoch = claims.current_epoch(connection, device)
    where = (table.c.device == device, table.c.epoch == epoch)
    found = {}
    for row in connection.execute(sa.select(table).where(*where)).all():
        grams = _unlearnt(connection, vault, row)
        if grams is not None:
            found[int(row.handle)] = grams
    return found


def introduce(service: Service, account: Account) -> None:
    """The account has a weight: shared devices that cannot know its person yet are told."""

    def order(connection: sa.Connection) -> list[str]:
        told = []
        for row in connection.execute(_places_of(account.subject)).all():
            if _unlearnt(connection, service.vault, row) is not None:
                people.order_people(connection, row.device, row.epoch, service.now())
                told.append(str(row.device))
        return told

    for device in service.writer.call(order):
        service.announce_orders(device)


def strangers_to(service: Service, account: Account) -> list[str]:
    """The shared devices that cannot tell this person from the others: they know no weight."""
    handle = schema.person_handle
    found = []
    with service.database.reading() as connection:
        for row in connection.execute(_places_of(account.subject)).all():
            place = (handle.c.device == row.device, handle.c.epoch == row.epoch)
            people_there = sa.select(sa.func.count()).select_from(handle).where(*place)
            if (
                connection.execute(people_there).scalar_one() > 1
                and not is_known(connection, row.device, row.epoch, account.subject)
                and _unlearnt(connection, service.vault, row) is None
            ):
                found.append(str(row.device))
    return found


def _places_of(subject: bytes) -> sa.Select[Any]:
    handle, claim = schema.person_handle, schema.claim
    same = sa.and_(claim.c.device == handle.c.device, claim.c.epoch == handle.c.epoch)
    where = (handle.c.subject == subject, claim.c.until_s.is_(None))
    return sa.select(handle).join(claim, same).where(*where)


def is_known(connection: sa.Connection, device: str, epoch: int, subject: bytes) -> bool:
    """Whether the device has recognised them under this claim, and so has learnt their weight."""
    table = schema.reading
    where = (
        table.c.device == device,
        table.c.claim_epoch == epoch,
        table.c.owner == subject,
        table.c.source == "device",
        table.c.attribution.in_(KNOWN),
    )
    return bool(connection.execute(sa.select(sa.exists().where(*where))).scalar_one())


def _unlearnt(connection: sa.Connection, vault: Vault, row: Any) -> int | None:
    subject = bytes(row.subject)
    if is_known(connection, row.device, row.epoch, subject):
        return None
    if not has_health_consent(connection, subject) or is_restricted(connection, subject):
        return None
    table = schema.reading
    query = (
        sa.select(table.c.id, table.c.ciphertext)
        .where(table.c.owner == subject, table.c.status != changes.IN_ERROR)
        .order_by(table.c.taken_s.desc(), table.c.change.desc())
        .limit(_LATEST)
    )
    for each in connection.execute(query):
        plaintext = vault.decrypt(subject, Purpose.HEALTH, "reading", each.id, each.ciphertext)
        content = values.decode(plaintext)
        if content.kind in WEIGHTS:
            return content.values[0]
    return None
