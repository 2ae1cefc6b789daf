"""Named operations for what people change of their readings. JSON in, JSON out."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Final

from cloud_agent.accounts.asking import account_of
from cloud_agent.arguments import Arguments, octets, optional_text, text
from cloud_agent.errors import UsageError
from cloud_agent.operation import in_thread
from cloud_agent.privacy.requests import record
from cloud_agent.readings import changes, listing, passing, references, zones
from cloud_agent.readings.values import Content
from protocol import reading as wire

if TYPE_CHECKING:
    from cloud_agent.accounts.accounts import Account
    from cloud_agent.control import Operation
    from cloud_agent.service import Service

Do = Callable[["Service", "Account", Arguments], Arguments]


def add(service: Service, account: Account, arguments: Arguments) -> Arguments:
    """An entry by hand."""
    content = _content(arguments)
    if content is None:
        raise UsageError("an entry has a weight, or a blood pressure with its pulse")
    given = optional_text(arguments, "taken")
    taken_s = service.now() if given is None else _time(account, given)
    row = changes.add(service, account, taken_s, content)
    references.introduce(service, account)
    return {"id": row.hex()}


def correct(service: Service, account: Account, arguments: Arguments) -> Arguments:
    """Other values, or another time."""
    given = optional_text(arguments, "taken")
    taken_s = None if given is None else _time(account, given)
    content = _content(arguments)
    if taken_s is None and content is None:
        raise UsageError("nothing is said to correct")
    changes.correct(service, account, octets(arguments, "id"), content=content, taken_s=taken_s)
    return {}


def mark_error(service: Service, account: Account, arguments: Arguments) -> Arguments:
    """It is none of theirs, or it is after all."""
    is_error = arguments.get("is_error") is not False
    changes.mark_error(service, account, octets(arguments, "id"), is_error=is_error)
    return {}


def remove(service: Service, account: Account, arguments: Arguments) -> Arguments:
    """Deletes it for good."""
    changes.remove(service, account, octets(arguments, "id"))
    return {}


def history(service: Service, account: Account, arguments: Arguments) -> Arguments:
    """What it was before."""
    found = changes.history(service, account, octets(arguments, "id"))
    return {"revisions": [as_json(each) for each in found]}


def tray(service: Service, account: Account, _arguments: Arguments) -> Arguments:
    """What waits in trays and fits, what is offered, and how many fit nobody here."""
    found = passing.look(service, account)
    return {
        "fitting": [listing.as_json(each) for each in found.fitting],
        "others": found.others,
        "offered": [
            {
                "id": reading.hex(),
                "taken": zones.iso_text(taken_s, zones.offset_s(account.zone, taken_s)),
            }
            for reading, taken_s in passing.offers(service, account)
        ],
    }


def take(service: Service, account: Account, arguments: Arguments) -> Arguments:
    """Takes one out of a tray, or what was offered."""
    reading = octets(arguments, "id")
    offered = {each for each, _ in passing.offers(service, account)}
    move = passing.accept if reading in offered else passing.take
    row = move(service, account, reading)
    references.introduce(service, account)
    return {"id": row.hex()}


def decline(service: Service, account: Account, arguments: Arguments) -> Arguments:
    """Leaves with another what they offer."""
    passing.decline(service, account, octets(arguments, "id"))
    return {}


def offer(service: Service, account: Account, arguments: Arguments) -> Arguments:
    """Offers one of one's own to another of the device."""
    slot = arguments.get("slot")
    if not isinstance(slot, int):
        raise UsageError("slot is the number on the display")
    device = text(arguments, "device")
    passing.offer(service, account, octets(arguments, "id"), device, slot)
    return {}


def as_json(revision: changes.Revision) -> Arguments:
    """What a reading was before a correction."""
    return {
        "revision": revision.revision,
        "status": revision.status,
        "taken_utc": zones.iso_text(revision.taken_s, 0),
        "changed_utc": zones.iso_text(revision.changed_s, 0),
        "values": revision.content.texts(),
    }


def _operation(do: Do, *, reads: str | None = None, uses: bool = False) -> Operation:
    """For the person who asks; what of theirs is read is written down. `uses`: not while they
    want their readings kept and not used.
    """

    def as_person(service: Service, arguments: Arguments) -> Arguments:
        account = account_of(service, arguments, reads=reads)
        if uses:
            record.check_use(service, account)
        return do(service, account, arguments)

    as_person.__doc__ = do.__doc__
    return in_thread(as_person)


OPERATIONS: Final[dict[str, Operation]] = {
    "readings.add": _operation(add),
    "readings.correct": _operation(correct),
    "readings.error": _operation(mark_error),
    "readings.remove": _operation(remove),
    "readings.history": _operation(history, reads="readings", uses=True),
    "readings.tray": _operation(tray, reads="readings", uses=True),
    "readings.take": _operation(take, uses=True),
    "readings.decline": _operation(decline),
    "readings.offer": _operation(offer, uses=True),
}


def _content(arguments: Arguments) -> Content | None:
    """`weight` in kg, or `pressure` as SYSTOLIC/DIASTOLIC in mmHg with `pulse` a minute."""
    weight, pressure = optional_text(arguments, "weight"), optional_text(arguments, "pressure")
    if weight is not None and pressure is not None:
        raise UsageError("a weight or a blood pressure, not both in one entry")
    if weight is not None:
        return changes.entry(wire.KIND_WEIGHT, [_scaled(weight, 1_000)])
    if pressure is None:
        return None
    systolic, _, diastolic = pressure.partition("/")
    high, low = _scaled(systolic, 10), _scaled(diastolic, 10)
    pulse = _scaled(text(arguments, "pulse"), 10)
    # No cuff has measured a mean: a third of the way up from the lower value.
    return changes.entry(wire.KIND_BLOOD_PRESSURE, [high, low, low + (high - low) // 3, pulse])


def _scaled(given: str, divisor: int) -> int:
    """A decimal number in units of `1 / divisor`, exactly. Raises `UsageError`."""
    whole, point, rest = given.strip().replace(",", ".").partition(".")
    digits = len(str(divisor)) - 1
    plain = whole.isascii() and whole.isdigit() and len(whole) <= _MOST_DIGITS
    fine = not point or (rest.isascii() and rest.isdigit() and len(rest) <= digits)
    if not plain or not fine:
        raise UsageError(f"{given!r} is no number with at most {digits} decimals")
    return int(whole) * divisor + int((rest or "0").ljust(digits, "0"))


_MOST_DIGITS: Final = 4


def _time(account: Account, given: str) -> int:
    """A moment: RFC 3339, or a local time in the zone of the account."""
    try:
        moment = datetime.fromisoformat(given)
    except ValueError as error:
        raise UsageError("a time is written YYYY-MM-DDTHH:MM, with or without an offset") from error
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=zones.zone_of(account.zone))
    return int(moment.timestamp())
