"""Named operations for signing in, and for what people change of their account. JSON in and out."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from cloud_agent.accounts import accounts, changes, sessions
from cloud_agent.accounts.asking import account_of
from cloud_agent.arguments import Arguments, optional_text, text
from cloud_agent.errors import UsageError
from cloud_agent.readings.zones import iso_text

if TYPE_CHECKING:
    from cloud_agent.control import Operation
    from cloud_agent.service import Service


async def sign_in(service: Service, arguments: Arguments) -> Arguments:
    """A session for an address and its password."""

    def begin() -> Arguments:
        email, password = text(arguments, "email"), text(arguments, "password")
        account = accounts.authenticate(service, email, password)
        return {"session": sessions.sign_in(service, account)}

    return await asyncio.to_thread(begin)


async def sign_out(service: Service, arguments: Arguments) -> Arguments:
    """Ends one session (`session`), or all of an account (`everywhere`)."""

    def end() -> Arguments:
        if arguments.get("everywhere") is True:
            sessions.sign_out_everywhere(service, account_of(service, arguments))
        else:
            sessions.sign_out(service, text(arguments, "session"))
        return {}

    return await asyncio.to_thread(end)


async def list_sessions(service: Service, arguments: Arguments) -> Arguments:
    """Where the account is signed in."""

    def read() -> Arguments:
        found = sessions.list_sessions(service, account_of(service, arguments))
        return {
            "sessions": [
                {
                    "id": each.id,
                    "since_utc": iso_text(each.since_s, 0),
                    "until_utc": iso_text(each.until_s, 0),
                }
                for each in found
            ]
        }

    return await asyncio.to_thread(read)


async def change(service: Service, arguments: Arguments) -> Arguments:
    """Another name, zone or address; of several each that is given."""

    def do() -> Arguments:
        name, zone = optional_text(arguments, "name"), optional_text(arguments, "zone")
        address = optional_text(arguments, "new_email")
        if name is None and zone is None and address is None:
            raise UsageError("nothing is said to change")
        account = account_of(service, arguments, fresh=address is not None)
        if zone is not None:
            changes.change_zone(service, account, zone)
        if name is not None:
            changes.change_name(service, account, name)
        if address is not None:
            changes.ask_for_address(service, account, address)
        return {"confirm_at_new_address": address is not None}

    return await asyncio.to_thread(do)


async def confirm_address(service: Service, arguments: Arguments) -> Arguments:
    """The link in the letter to a new address."""
    await asyncio.to_thread(changes.confirm_address, service, text(arguments, "token"))
    return {}


async def password(service: Service, arguments: Arguments) -> Arguments:
    """A new password, by the old one."""

    def do() -> Arguments:
        account = account_of(service, arguments, fresh=True)
        changes.change_password(service, account, text(arguments, "new_password"))
        return {}

    return await asyncio.to_thread(do)


async def ask_for_recovery(service: Service, arguments: Arguments) -> Arguments:
    """A letter with a link, if the address has an account; the answer is the same if not."""
    await asyncio.to_thread(changes.ask_for_recovery, service, text(arguments, "email"))
    return {}


async def recover(service: Service, arguments: Arguments) -> Arguments:
    """The link in that letter, with a new password."""
    token, new = text(arguments, "token"), text(arguments, "new_password")
    await asyncio.to_thread(changes.recover, service, token, new)
    return {}


OPERATIONS: Final[dict[str, Operation]] = {
    "account.sign-in": sign_in,
    "account.sign-out": sign_out,
    "account.sessions": list_sessions,
    "account.change": change,
    "account.confirm-address": confirm_address,
    "account.password": password,
    "account.ask-for-recovery": ask_for_recovery,
    "account.recover": recover,
}
