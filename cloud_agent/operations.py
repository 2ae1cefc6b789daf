"""The named operations of accounts, readings and erasure, for the control socket and for a
command that opens the files itself. JSON in, JSON out. What the caller is allowed to see is
decided here, by the password.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

import sqlalchemy as sa

from cloud_agent.accounts import accounts
from cloud_agent.accounts import operations as account_operations
from cloud_agent.accounts.accounts import NewAccount
from cloud_agent.accounts.asking import account_of
from cloud_agent.arguments import Arguments, files, optional_text, text
from cloud_agent.backup import operations as backup_operations
from cloud_agent.control import Operation
from cloud_agent.errors import UsageError
from cloud_agent.operation import of_technician
from cloud_agent.privacy import erasure, export, oversight_operations, partners_operations
from cloud_agent.privacy.requests import operations as request_operations
from cloud_agent.privacy.requests import record
from cloud_agent.readings import listing, references, trays, zones
from cloud_agent.readings import operations as readings_operations
from cloud_agent.service import Service
from cloud_agent.storage import schema

_MOST_REFUSED: Final = 1_000
_MOST_READINGS: Final = 1_000_000


async def account_create(service: Service, arguments: Arguments) -> Arguments:
    """Opens an account."""
    new = NewAccount(
        email=text(arguments, "email"),
        name=optional_text(arguments, "name") or "",
        password=text(arguments, "password"),
        zone=text(arguments, "zone"),
        terms_version=text(arguments, "terms_version"),
        health_consent=optional_text(arguments, "health_consent"),
        of_age=arguments.get("of_age") is True,
    )
    account = await asyncio.to_thread(accounts.create, service, new)
    return {"account": account.id.hex()}


async def account_show(service: Service, arguments: Arguments) -> Arguments:
    """What the account knows of itself."""

    def describe() -> Arguments:
        account = account_of(service, arguments, reads="account")
        described = export.describe_account(service, account)
        described.pop("texts")
        return described | {
            "devices": export.describe_devices(service, account),
            "readings_of_nobody": trays.waiting(service, account).count,
        }

    return await asyncio.to_thread(describe)


async def account_consent(service: Service, arguments: Arguments) -> Arguments:
    """Gives (`version`) or withdraws (no version) the consent to process health data."""

    def change() -> Arguments:
        account = account_of(service, arguments)
        version = optional_text(arguments, "version")
        if version is None:
            accounts.withdraw_health_consent(service, account)
        else:
            accounts.give_health_consent(service, account, version)
        return {"given": version is not None}

    return await asyncio.to_thread(change)


async def account_export(service: Service, arguments: Arguments) -> Arguments:
    """Writes the export into the data folder; the caller copies it."""

    def make() -> Arguments:
        account = account_of(service, arguments, reads="export")
        return {"path": str(export.make_export(service, account))}

    return await asyncio.to_thread(make)


async def erasure_status(service: Service, arguments: Arguments) -> Arguments:
    """How far an erasure is; whoever has its number may ask: it names nobody."""

    def status() -> Arguments:
        request = erasure.parse_request(text(arguments, "request"))
        return erasure.status(service, request, given=files(arguments, "also_scan")).as_json()

    return await asyncio.to_thread(status)


async def readings_list(service: Service, arguments: Arguments) -> Arguments:
    """The account's readings, oldest first: as JSON, or as the text of a CSV file."""

    def read() -> Arguments:
        account = account_of(service, arguments, reads="readings")
        limit = arguments.get("limit")
        if limit is not None and (not isinstance(limit, int) or not 1 <= limit <= _MOST_READINGS):
            raise UsageError(f"the limit is 1 to {_MOST_READINGS}")
        record.check_use(service, account)
        found = listing.list_readings(service.database, service.vault, account.subject, limit=limit)
        if arguments.get("form") == "csv":
            return {"csv": listing.as_csv(found)}
        waiting = trays.waiting(service, account)
        return {
            "readings": [listing.as_json(reading) for reading in found],
            "of_nobody": {"count": waiting.count, "until_s": waiting.until_s},
            "stranger_to": references.strangers_to(service, account),
        }

    return await asyncio.to_thread(read)


async def frames_refused(service: Service, arguments: Arguments) -> Arguments:
    """The latest refused messages: why, from whom and how long, never what was in them."""
    limit = arguments.get("limit", 20)
    if not isinstance(limit, int) or not 1 <= limit <= _MOST_REFUSED:
        raise UsageError(f"the limit is 1 to {_MOST_REFUSED}")
    table = schema.refused_frame
    query = sa.select(table).order_by(table.c.id.desc()).limit(limit)

    def read() -> list[dict[str, Any]]:
        with service.database.reading() as connection:
            return [_refused(row) for row in connection.execute(query)]

    refused = await asyncio.to_thread(read)
    return {"refused": refused[::-1]}


OPERATIONS: Final[dict[str, Operation]] = {
    "account.create": account_create,
    "account.show": account_show,
    "account.consent": account_consent,
    "account.export": account_export,
    "erasure.status": erasure_status,
    "readings.list": readings_list,
    "frames.refused": of_technician(frames_refused),
    **account_operations.OPERATIONS,
    **backup_operations.OPERATIONS,
    **oversight_operations.OPERATIONS,
    **partners_operations.OPERATIONS,
    **readings_operations.OPERATIONS,
    **request_operations.OPERATIONS,
}


def _refused(row: Any) -> dict[str, Any]:
    return {
        "reason": row.reason,
        "kid": row.kid.hex() if row.kid is not None else None,
        "topic": row.topic,
        "length": row.length,
        "received_utc": zones.iso_text(row.received_s, 0),
    }
