"""Who asks: the one place where an operation learns whose account it works on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cloud_agent.accounts import accounts
from cloud_agent.accounts.accounts import Account
from cloud_agent.arguments import Arguments, text

if TYPE_CHECKING:
    from cloud_agent.service import Service


def account_of(service: Service, arguments: Arguments) -> Account:
    """The account that `email` and `password` of the arguments prove. Raises `RefusedError`."""
    return accounts.authenticate(service, text(arguments, "email"), text(arguments, "password"))
