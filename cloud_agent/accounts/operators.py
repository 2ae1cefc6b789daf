"""People who run the service, each with the least rights that their work needs.

A clerk answers letters; privacy looks after breaches and may do what a clerk does; a technician
enrols and lists devices, makes backups, stops the broker, and sees no person. While there is no
operator, whoever may use the data folder's control socket (its owner, on their own machine) is
all of them, under the name `local`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from cloud_agent.accounts import passwords
from cloud_agent.arguments import Arguments, optional_text
from cloud_agent.errors import NotFoundError, RefusedError, UsageError
from cloud_agent.privacy.keystore import Operator

if TYPE_CHECKING:
    from cloud_agent.service import Service

LOCAL: Final = "local"
_MAX_NAME: Final = 40
_WRONG: Final = "the operator or the password is wrong"


class Role(StrEnum):
    """What somebody works on."""

    CLERK = "clerk"
    PRIVACY = "privacy"
    TECHNICIAN = "technician"


#: What each may do: the roles whose work it includes.
_INCLUDES: Final = {
    Role.CLERK: {Role.CLERK},
    Role.PRIVACY: {Role.PRIVACY, Role.CLERK},
    Role.TECHNICIAN: {Role.TECHNICIAN},
}


@dataclass(frozen=True, slots=True)
class Colleague:
    """An operator as others may see them."""

    name: str
    role: str


def operator_of(service: Service, arguments: Arguments, role: Role) -> str:
    """The name of the operator that `operator` and `operator_password` of the arguments prove,
    who may do what `role` does. Raises `RefusedError`.
    """
    name = optional_text(arguments, "operator")
    if name is None:
        if service.vault.store.operators():
            raise RefusedError("this is for operators: give --operator, or TARE_OPERATOR")
        return LOCAL
    password = optional_text(arguments, "operator_password") or ""
    who = name.encode()
    service.attempts.begin(who, "operator", service.now())
    known = service.vault.store.operator(name)
    if not passwords.verify(None if known is None else known.password_hash, password):
        raise RefusedError(_WRONG)
    if known is None:
        raise RefusedError(_WRONG)
    service.attempts.succeeded(who, "operator")
    if role not in _INCLUDES[Role(known.role)]:
        raise RefusedError(f"this is for the role {role}, and {name} is {known.role}")
    return name


def add(service: Service, name: str, role: Role, password: str) -> None:
    """A new operator. Raises `UsageError` (name, password) and `RefusedError` (name taken)."""
    if not name.isidentifier() or len(name) > _MAX_NAME or name == LOCAL:
        raise UsageError("the name of an operator is a word of letters, digits and _")
    passwords.check(password, personal=name)
    service.vault.store.add_operator(Operator(name, role.value, passwords.hash_password(password)))


def remove(service: Service, name: str) -> None:
    """They do not work here any more. Raises `NotFoundError`."""
    if not service.vault.store.remove_operator(name):
        raise NotFoundError(f"there is no operator {name}")


def colleagues(service: Service) -> list[Colleague]:
    """All operators, by name."""
    return [Colleague(each.name, each.role) for each in service.vault.store.operators()]
