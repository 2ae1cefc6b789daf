"""Renewing what a device trusts, and what it is trusted by (SPEC 6.7), on the operator's word.

A MAC key is agreed on: our ephemeral private key waits, wrapped, for the device's receipt, and dies
in the transaction that stores it. Everything else is an order that the device obeys or not.
"""

from __future__ import annotations

import logging

import sqlalchemy as sa
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from cloud_agent.devices import outbox
from cloud_agent.devices.enrolment import MAC_KEY_LABEL
from cloud_agent.devices.errors import (
    PublicKeyError,
    RenewalError,
    UnknownDeviceError,
)
from cloud_agent.devices.pki import Authority, public_key
from cloud_agent.devices.signing import raw_public_key
from cloud_agent.privacy.vault import Vault
from cloud_agent.service import Service
from cloud_agent.storage import schema
from protocol import cbor, command, enrolment, topics, trust

_log = logging.getLogger(__name__)
_EPHEMERAL_LABEL = "mac_renewal.private_key"
_PARTS = {
    trust.CERTIFICATE: "certificate",
    trust.AUTHORITY: "authority",
    trust.COMMAND_KEY: "command key",
    trust.MAC_KEY: "MAC key",
    trust.ADDRESS: "address",
}


async def renew_mac_key(service: Service, device: str) -> None:
    """Orders a MAC key of the next generation; it counts once the device's receipt is here.

    Raises UnknownDeviceError, and RenewalError while another renewal of it waits.
    """
    now_s = service.now()
    await service.writer.run(lambda c: _order_mac_key(c, service.vault, device, now_s))
    service.announce_orders(device)


async def renew_certificate(service: Service, authority: Authority, device: str) -> None:
    """Orders the device to use a certificate that is issued now, for the TLS key that it has.

    Raises UnknownDeviceError, and RenewalError while another renewal of it waits.
    """
    now_s = service.now()

    def place(connection: sa.Connection) -> None:
        tls_key, _ = _enrolled(connection, device)
        issued = authority.issue_device(device, tls_key)
        _place(connection, device, trust.certificate(issued), now_s)

    await service.writer.run(place)
    service.announce_orders(device)


async def move(service: Service, device: str, host: str, port: int) -> None:
    """Orders the device to look for its broker there. It tries three times, and comes back where
    it is not welcomed: an order that is done says that it was tried.

    Raises UnknownDeviceError, MessageError for what is no address, and RenewalError while another
    move of it waits.
    """
    order = trust.address(host, port, enrolment.SERVER_NAME)
    now_s = service.now()

    def place(connection: sa.Connection) -> None:
        _enrolled(connection, device)
        _place(connection, device, order, now_s)

    await service.writer.run(place)
    service.announce_orders(device)


def settle(connection: sa.Connection, vault: Vault, device: str, order: outbox.Settled) -> None:
    """Takes what the device's receipt gives back. For a MAC key: from now on we seal with it.

    Within the transaction that stores the receipt. Without a usable key in the receipt the old
    one stays, which the device takes until it is welcomed under the new one.
    """
    waiting, table = schema.mac_renewal, schema.device
    row = connection.execute(sa.select(waiting).where(waiting.c.command == order.number)).first()
    if row is None:
        return
    connection.execute(waiting.delete().where(waiting.c.command == order.number))
    if not order.done:
        return
    before = connection.execute(
        sa.select(table.c.mac_key, table.c.mac_generation).where(table.c.id == device)
    ).one()
    try:
        given = public_key(order.detail)
    except PublicKeyError:
        _log.error("ALARM device %s: its receipt for a new MAC key holds no key", device)
        return
    private = serialization.load_der_private_key(
        vault.unwrap(_EPHEMERAL_LABEL, device, row.private_key), password=None
    )
    if not isinstance(private, ec.EllipticCurvePrivateKey) or (
        row.generation != before.mac_generation + 1
    ):
        _log.error("ALARM device %s: a new MAC key does not follow the present one", device)
        return
    shared_x = private.exchange(ec.ECDH(), given)
    present = vault.unwrap(MAC_KEY_LABEL, device, before.mac_key)
    key = enrolment.mac_key(shared_x, present, topics.kid_of(device), row.generation)
    connection.execute(
        table.update()
        .where(table.c.id == device)
        .values(mac_key=vault.wrap(MAC_KEY_LABEL, device, key), mac_generation=row.generation)
    )


def _order_mac_key(connection: sa.Connection, vault: Vault, device: str, now_s: int) -> None:
    _, present = _enrolled(connection, device)
    private = ec.generate_private_key(ec.SECP256R1())
    generation = present + 1
    order = trust.mac_key(generation, raw_public_key(private.public_key()))
    number = _place(connection, device, order, now_s)
    raw = private.private_bytes(
        serialization.Encoding.DER,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    values = {
        "command": number,
        "device": device,
        "generation": generation,
        "private_key": vault.wrap(_EPHEMERAL_LABEL, device, raw),
    }
    connection.execute(schema.mac_renewal.insert().values(**values))


def _enrolled(connection: sa.Connection, device: str) -> tuple[bytes, int]:
    """The device's TLS key and the generation of its MAC key."""
    table = schema.device
    query = sa.select(table.c.tls_key, table.c.mac_generation).where(
        table.c.id == device, table.c.state == "enrolled"
    )
    row = connection.execute(query).first()
    if row is None:
        raise UnknownDeviceError(f"no device {device} is enrolled here")
    return row.tls_key, row.mac_generation


def _place(connection: sa.Connection, device: str, order: trust.Trust, now_s: int) -> int:
    table = schema.command_outbox
    query = sa.select(table.c.arguments).where(
        table.c.device == device, table.c.state == "waiting", table.c.verb == command.VERB_TRUST
    )
    for arguments in connection.execute(query).scalars():
        decoded = cbor.decode(arguments)
        if isinstance(decoded, list) and decoded[:1] == [order.part]:
            raise RenewalError(
                f"a new {_PARTS[order.part]} waits for device {device} already:"
                " it comes with its next hello"
            )
    return outbox.place(connection, device, order, now_s)
