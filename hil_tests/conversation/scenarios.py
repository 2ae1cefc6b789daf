"""Which events a search has, and how many of each: for every run, and for a long one."""

from __future__ import annotations

from dataclasses import dataclass

from hil_tests.conversation.cloud import Cloud, Durable, Order
from hil_tests.conversation.device import Device
from hil_tests.conversation.search import Budget
from protocol import command

_FIRST_CLAIM = Durable(claims=frozenset({(1, True)}), last_epoch=1)
_ERASE_ONE = Order(command.VERB_ERASE, (1,))
_ERASE_OTHER = Order(command.VERB_ERASE, (2,))
_ERASE_ALL = Order(command.VERB_ERASE, ())
_RELEASE = Order(command.VERB_RELEASE, ())


@dataclass(frozen=True)
class Scenario:
    """A beginning and its bounds."""

    name: str
    claimed: bool
    known: bool
    short: Budget
    long: Budget

    def start(self, *, long: bool = False, has_floor: bool = True) -> tuple[Device, Cloud, Budget]:
        """Return the sides as they begin, and the bounds."""
        device = Device()
        if self.claimed:
            device.claim(1)
        durable = _FIRST_CLAIM if self.claimed and self.known else Durable()
        return device, Cloud(durable, has_floor=has_floor), self.long if long else self.short


SCENARIOS = (
    Scenario(
        "readings of two people, and power cuts",
        claimed=True,
        known=True,
        short=Budget(people=(1, 2), connections=2, cuts=1),
        long=Budget(people=(1, 1, 2), connections=3, cuts=2),
    ),
    Scenario(
        "a restored cloud",
        claimed=True,
        known=True,
        short=Budget(people=(1, 2), connections=2, backups=1, restores=1),
        long=Budget(people=(1, 2), connections=2, cuts=1, backups=1, restores=1),
    ),
    Scenario(
        "claiming, and a cloud that restarts",
        claimed=False,
        known=True,
        short=Budget(
            people=(1,), connections=1, cuts=1, restarts=1, presses=1, claims=1, rendered=2
        ),
        long=Budget(people=(1,), connections=2, restarts=1, presses=1, claims=1, rendered=2),
    ),
    Scenario(
        "a claim that the cloud does not know (any more)",
        claimed=True,
        known=False,
        short=Budget(people=(1, 2), connections=2, cuts=1),
        long=Budget(people=(1, 2, 1), connections=3, cuts=1),
    ),
    Scenario(
        "erasing a person, and power cuts",
        claimed=True,
        known=True,
        short=Budget(people=(1, 2), connections=1, cuts=1, orders=(_ERASE_ONE,), rendered=1),
        long=Budget(people=(1, 2), connections=2, cuts=1, orders=(_ERASE_ONE,), rendered=2),
    ),
    Scenario(
        "erasures around a restore",
        claimed=True,
        known=True,
        short=Budget(
            connections=1, backups=1, restores=1, orders=(_ERASE_OTHER, _ERASE_ONE), rendered=1
        ),
        long=Budget(
            people=(1,), connections=1, backups=1, restores=1, orders=(_ERASE_OTHER, _ERASE_ONE),
            rendered=2,
        ),
    ),
    Scenario(
        "release, and power cuts",
        claimed=True,
        known=True,
        short=Budget(people=(1,), connections=2, cuts=1, orders=(_RELEASE,), rendered=1),
        long=Budget(people=(1, 2), connections=2, cuts=1, orders=(_RELEASE,), rendered=2),
    ),
)  # fmt: skip
