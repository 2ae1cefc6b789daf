"""Named operations of oversight: who read what, operators, breaches. JSON in, JSON out."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Final

from cloud_agent.accounts import operators
from cloud_agent.accounts.asking import account_of
from cloud_agent.accounts.operators import Role, operator_of
from cloud_agent.arguments import Arguments, optional_text, text
from cloud_agent.errors import RefusedError, UsageError
from cloud_agent.operation import in_thread
from cloud_agent.privacy import access_log, breaches
from cloud_agent.readings.zones import iso_text

if TYPE_CHECKING:
    from cloud_agent.control import Operation
    from cloud_agent.service import Service


def accesses(service: Service, arguments: Arguments) -> Arguments:
    """Who read the data of the person who asks."""
    account = account_of(service, arguments)
    return {
        "accesses": [
            {
                "at_utc": iso_text(each.at_s, 0),
                "who": "you" if each.actor_kind == "person" else f"operator {each.actor}",
                "what": each.what,
                "reason": each.reason,
            }
            for each in access_log.of_person(service, account.subject)
        ]
    }


def operator_add(service: Service, arguments: Arguments) -> Arguments:
    """A new operator."""
    operator_of(service, arguments, Role.PRIVACY)
    role = text(arguments, "role")
    if role not in list(Role):
        raise UsageError(f"a role is one of {', '.join(Role)}")
    others = operators.colleagues(service)
    if role != Role.PRIVACY and Role.PRIVACY not in {each.role for each in others}:
        raise RefusedError("the first operator has the role privacy: only they appoint others")
    operators.add(service, text(arguments, "name"), Role(role), text(arguments, "new_password"))
    return {}


def operator_remove(service: Service, arguments: Arguments) -> Arguments:
    """They do not work here any more."""
    operator_of(service, arguments, Role.PRIVACY)
    name = text(arguments, "name")
    left = [each.role for each in operators.colleagues(service) if each.name != name]
    if left and Role.PRIVACY not in left:
        raise RefusedError("one operator with the role privacy has to stay: only they appoint")
    operators.remove(service, name)
    return {}


def operator_list(service: Service, _arguments: Arguments) -> Arguments:
    """All operators."""
    return {"operators": [asdict(each) for each in operators.colleagues(service)]}


def breach_open(service: Service, arguments: Arguments) -> Arguments:
    """A breach was noticed."""
    operator_of(service, arguments, Role.PRIVACY)
    noticed_s = arguments.get("noticed_s", service.now())
    if not isinstance(noticed_s, int):
        raise UsageError("noticed_s is a time")
    return {"breach": breaches.begin(service, text(arguments, "what"), noticed_s)}


def breach_affected(service: Service, arguments: Arguments) -> Arguments:
    """Whose data were read in a time; with `tell`, they are written to."""
    operator_of(service, arguments, Role.PRIVACY)
    from_s, until_s = arguments.get("from_s"), arguments.get("until_s")
    if not isinstance(from_s, int) or not isinstance(until_s, int):
        raise UsageError("from_s and until_s are times")
    found = breaches.affected(service, from_s, until_s, optional_text(arguments, "actor"))
    told = None
    letter = optional_text(arguments, "tell")
    if letter is not None:
        told = breaches.tell_people(service, _number(arguments), found, letter)
    accounts = [each.hex() for each in found.accounts]
    return {"accounts": accounts, "erased_since": found.erased, "told": told}


def breach_told(service: Service, arguments: Arguments) -> Arguments:
    """The authority knows."""
    operator_of(service, arguments, Role.PRIVACY)
    breaches.authority_was_told(service, _number(arguments))
    return {}


def breach_close(service: Service, arguments: Arguments) -> Arguments:
    """Ends the record."""
    operator_of(service, arguments, Role.PRIVACY)
    breaches.close(service, _number(arguments), optional_text(arguments, "reason"))
    return {}


def breach_list(service: Service, arguments: Arguments) -> Arguments:
    """All breaches."""
    operator_of(service, arguments, Role.PRIVACY)
    return {
        "breaches": [
            asdict(each) | {"due_utc": iso_text(each.due_s, 0)}
            for each in breaches.list_breaches(service)
        ]
    }


def _number(arguments: Arguments) -> int:
    number = arguments.get("breach")
    if not isinstance(number, int):
        raise UsageError("breach is the number of one")
    return number


OPERATIONS: Final[dict[str, Operation]] = {
    "account.accesses": in_thread(accesses),
    "operator.add": in_thread(operator_add),
    "operator.remove": in_thread(operator_remove),
    "operator.list": in_thread(operator_list),
    "breach.open": in_thread(breach_open),
    "breach.affected": in_thread(breach_affected),
    "breach.told": in_thread(breach_told),
    "breach.close": in_thread(breach_close),
    "breach.list": in_thread(breach_list),
}
