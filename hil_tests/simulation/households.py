"""The people: who weighs themselves where, claims, joins, releases and leaves for good.

Works on the devices and the cloud as people do: by the button, by the display, by the account.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field

from cloud_agent.accounts.accounts import Account
from cloud_agent.errors import TareError
from hil_tests.simulation.cloud import Cloud
from hil_tests.simulation.device import Device
from hil_tests.simulation.history import ClaimTruth, History
from hil_tests.simulation.timeline import DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS, Timeline
from protocol import command

_MOST_PEOPLE = 3
_LAST_STEP_OF_AN_ERASURE = 8
_PEOPLE_STEP_ON = 30_000


@dataclass
class Home:
    """A device and who has it: `epoch` 0 while nobody does."""

    device: Device
    epoch: int = 0
    account: int | None = None
    wants: int | None = None
    # Handle to account, as long as both are there; a handle is never given twice.
    people: dict[int, int] = field(default_factory=dict)


class Households:
    """`busy` people until `settle_down` is called; afterwards only what is due still happens."""

    def __init__(
        self,
        *,
        timeline: Timeline,
        rng: random.Random,
        cloud: Cloud,
        history: History,
        accounts: Sequence[Account],
        devices: Sequence[Device],
    ) -> None:
        self.busy = True
        self.homes = [Home(device) for device in devices]
        self.readings = 0
        self.claims = 0
        self.releases = 0
        self.erasures = 0
        self._timeline = timeline
        self._rng = rng
        self._cloud = cloud
        self._history = history
        self._accounts = accounts
        self._weights_g = [rng.randrange(50_000, 110_000) for _ in accounts]

    def move_in(self) -> None:
        """Everyone begins to live."""
        for home in self.homes:
            home.wants = self._someone()
            # Mypy: a lambda with a default.
            self._timeline.after(self._rng.randrange(HOUR_MS), lambda home=home: self._claim(home))  # type: ignore[misc]

    def settle_down(self) -> None:
        """Nobody begins anything any more."""
        self.busy = False

    # Every day

    def weigh(self, home: Home) -> None:
        """Someone steps on, mostly one who lives there."""
        if not self.busy or self.readings >= _PEOPLE_STEP_ON:
            return
        self.readings += 1
        rng = self._rng
        grams = rng.randrange(20_000, 140_000)
        said = None
        if home.people and rng.random() < 0.8:
            handle = rng.choice(list(home.people))
            who = home.people[handle]
            self._weights_g[who] += rng.randrange(-400, 401)
            grams = self._weights_g[who]
            said = handle if rng.random() < 0.7 else None
        home.device.weigh(self.readings, grams, said)

    # Claiming

    def _claim(self, home: Home) -> None:
        """Press the button, read the code, type it; try again later until it works."""
        if home.wants is None or home.wants in self._history.erased or not self.busy:
            return
        code = home.device.press()
        if code:
            delay_ms = self._rng.randrange(10, 200) * SECOND_MS
            self._timeline.after(delay_ms, lambda: self._type_code(home, code))
        self._timeline.after(
            self._rng.randrange(HOUR_MS // 3, 4 * HOUR_MS), lambda: self._claim(home)
        )

    def _type_code(self, home: Home, code: str) -> None:
        wants = home.wants
        if wants is None or wants in self._history.erased or not self._cloud.running:
            return
        try:
            claimed = self._cloud.claim(self._accounts[wants], code)
        except TareError:
            return
        self.claims += 1
        home.account, home.epoch, home.wants = wants, claimed.epoch, None
        handle = self._cloud.handle_of(claimed, self._accounts[wants].subject)
        home.people = {handle: wants}
        truth = ClaimTruth(wants, {handle: wants})
        self._history.claims[home.device.id, claimed.epoch] = truth

    def join(self, home: Home) -> None:
        """Another adult of the household gets a handle of their own."""
        who = self._someone()
        if not self._can(home) or who is None or who in home.people.values():
            return
        if len(home.people) == _MOST_PEOPLE:
            return
        subject = self._accounts[who].subject
        handle = self._cloud.add_person(home.device.id, home.epoch, subject)
        home.people[handle] = who
        self._history.claims[home.device.id, home.epoch].people[handle] = who

    def _can(self, home: Home) -> bool:
        """Whether the account can do something for its device now."""
        return self.busy and self._cloud.running and home.epoch != 0

    # Leaving

    def release(self, home: Home) -> None:
        """The device is sold."""
        if self._can(home):
            self._release(home)

    def _release(self, home: Home) -> None:
        self.releases += 1
        self._history.claims[home.device.id, home.epoch].ended = True
        self._cloud.release(home.device.id, home.epoch)
        self._empty(home)

    def erase_handle(self, home: Home) -> None:
        """What the device still keeps of one person goes; what is stored stays."""
        if self._can(home) and home.people:
            handle = self._rng.choice(list(home.people))
            self._cloud.place(home.device.id, command.Erase(handle))

    def erase(self, *, failing: bool) -> None:
        """Someone has their account erased. `failing`: a commit fails on the way."""
        who = self._someone()
        if not self.busy or not self._cloud.running or who is None:
            return
        fails_at = self._rng.randrange(1, _LAST_STEP_OF_AN_ERASURE) if failing else 0
        try:
            self._cloud.erase(self._accounts[who], fails_at=fails_at)
        except TareError:
            self._cloud.die()
            self._cloud.start()
        if not self._cloud.service.ledger.is_owner_erased(self._accounts[who].subject):
            return
        self.erasures += 1
        self._history.erased.add(who)
        for home in self.homes:
            self._leave(home, who)

    def _leave(self, home: Home, who: int) -> None:
        if home.wants == who:
            home.wants = self._someone()
        home.people = {handle: one for handle, one in home.people.items() if one != who}
        if home.account != who:
            return
        self._history.claims[home.device.id, home.epoch].ended = True
        if home.people:
            # The claim has no account any more: whoever runs the cloud ends it for the others.
            self._release(home)
        else:
            self._empty(home)

    def _empty(self, home: Home) -> None:
        home.account, home.epoch, home.people = None, 0, {}
        home.wants = self._someone()
        delay_ms = self._rng.randrange(MINUTE_MS, DAY_MS // 4)
        self._timeline.after(delay_ms, lambda: self._claim(home))

    def _someone(self) -> int | None:
        """An account that is still there."""
        there = [n for n in range(len(self._accounts)) if n not in self._history.erased]
        return self._rng.choice(there) if there else None
