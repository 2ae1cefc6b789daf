"""How an operator finds a person: by exactly what the person wrote to us, never by a part of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa

from cloud_agent.accounts import accounts, emails
from cloud_agent.arguments import Arguments, optional_text, text
from cloud_agent.errors import NotFoundError
from cloud_agent.storage import schema

if TYPE_CHECKING:
    from cloud_agent.service import Service


def sought(service: Service, arguments: Arguments) -> bytes:
    """The subject with the `email`, or the one who holds the `device`. Raises `NotFoundError`."""
    device = optional_text(arguments, "device")
    if device is not None:
        holder = accounts.by_id(service.database, _holder(service, device))
        if holder is None:
            raise NotFoundError("nobody holds a device with this id")
        return holder.subject
    vault = service.vault
    address = emails.normalise(text(arguments, "email"))
    credential = vault.store.credential_by_email(vault.email_hmac(address))
    if credential is None:
        raise NotFoundError("no account has this address")
    return credential.subject


def _holder(service: Service, device: str) -> bytes:
    claim = schema.claim
    query = sa.select(claim.c.account).where(claim.c.device == device, claim.c.until_s.is_(None))
    with service.database.reading() as connection:
        return connection.execute(query).scalar_one_or_none() or b""
