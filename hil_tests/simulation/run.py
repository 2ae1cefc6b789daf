"""One seed from beginning to end: makes the world, lets it live, heals it, checks it."""

from __future__ import annotations

import logging
import random
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from hil_tests.simulation import template as templates
from hil_tests.simulation.body import Circumstances, World
from hil_tests.simulation.broker import Broker, Weather
from hil_tests.simulation.checker import Checker
from hil_tests.simulation.cloud import Cloud
from hil_tests.simulation.device import Device
from hil_tests.simulation.history import BrokenError, History
from hil_tests.simulation.households import Home, Households
from hil_tests.simulation.keys import firmware_verifies, portable_signer, quick_signer
from hil_tests.simulation.timeline import DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS, Timeline
from hil_tests.simulation.variant import REAL, Variant

DEFAULT_DAYS = 20
# One seed in so many signs and verifies with the portable code on the device's side.
_PORTABLE_EVERY = 25
_HEALING_MS = 6 * HOUR_MS
_TEN_YEARS_S = 315_576_000
# How long an erasure waits for its devices (cloud_agent/privacy/erasure.py).
_PATIENCE_S = 30 * 86_400


@dataclass(frozen=True)
class Outcome:
    """What a seed came to. `broken`: the invariant that does not hold, empty when all do.

    `fingerprint` sums up the whole history: the same for each run of a seed.
    """

    seed: int
    days: int
    broken: str
    devices: int
    readings: int
    stored: int
    cuts: int
    boots: int
    deaths: int
    claims: int
    releases: int
    erasures: int
    full: int
    events: int
    fingerprint: str
    cpu_s: float

    @property
    def device_days(self) -> int:
        """How much life was simulated."""
        return self.devices * self.days


def run(seed: int, days: int = DEFAULT_DAYS, variant: Variant = REAL) -> Outcome:
    """Runs one seed."""
    template = templates.template()
    started_s = time.process_time()
    root = templates.copied(template)
    try:
        with _quiet_logs():
            simulation = Simulation(seed, days, variant, template, root)
            return simulation.live(started_s)
    finally:
        shutil.rmtree(root.parent, ignore_errors=True)


@contextmanager
def _quiet_logs() -> Iterator[None]:
    """The agent says much about what goes wrong here, and all of it is meant to."""
    level = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(level)


class Simulation:
    """One seed's world."""

    def __init__(
        self, seed: int, days: int, variant: Variant, template: templates.Template, root: Path
    ) -> None:
        self._seed = seed
        self._days = days
        self._rng = self._draw("world")
        self._portable = seed % _PORTABLE_EVERY == 0
        self.timeline = Timeline()
        self.history = History()
        self.weather = Weather()
        self.broker = Broker(self.timeline, self._draw("broker"), self.weather)
        self.cloud = Cloud(root, self.timeline, self._draw("cloud"), variant)
        self.broker.agent = self.cloud.arrived
        self.cloud.answer = self._answer
        self._held = False
        self._leapt = False
        world = World(
            timeline=self.timeline,
            broker=self.broker,
            cloud=self.cloud,
            history=self.history,
            variant=variant,
            make_signer=portable_signer if self._portable else quick_signer,
        )
        count = self._rng.randrange(1, len(template.flashes) + 1)
        self.devices = [
            Device(world, flash, self._circumstances(), self._draw(f"device {number}"))
            for number, flash in enumerate(template.flashes[:count])
        ]
        self._accounts = template.accounts[: self._rng.randrange(2, len(template.accounts) + 1)]
        self.households = Households(
            timeline=self.timeline,
            rng=self._draw("people"),
            cloud=self.cloud,
            history=self.history,
            accounts=self._accounts,
            devices=self.devices,
        )

    def live(self, started_s: float) -> Outcome:
        """Lives, heals and is checked."""
        broken, stored = "", 0
        with firmware_verifies(portable=self._portable), self.cloud.patched():
            try:
                self._begin()
                self.timeline.run_until(self._days * DAY_MS)
                self._heal()
                self.timeline.run_until(self._days * DAY_MS + _HEALING_MS)
                self.cloud.carry_on()
                stored = Checker(
                    self.cloud.service,
                    self.history,
                    self._accounts,
                    self.devices,
                    held=self._held,
                    leapt=self._leapt,
                ).check()
            except BrokenError as error:
                broken = str(error)
            except Exception as error:
                error.add_note(f"simulation: --seed {self._seed} --days {self._days}")
                raise
            finally:
                self.cloud.close()
        return self._outcome(broken, stored, time.process_time() - started_s)

    def _outcome(self, broken: str, stored: int, cpu_s: float) -> Outcome:
        people = self.households
        return Outcome(
            seed=self._seed,
            days=self._days,
            broken=broken,
            devices=len(self.devices),
            readings=self.history.saved_count,
            stored=stored,
            cuts=sum(device.cut_count for device in self.devices),
            boots=sum(device.boots for device in self.devices),
            deaths=self.cloud.died,
            claims=people.claims,
            releases=people.releases,
            erasures=people.erasures,
            full=self.history.full,
            events=self.timeline.events,
            fingerprint=self.history.fingerprint,
            cpu_s=cpu_s,
        )

    def _draw(self, name: str) -> random.Random:
        """A stream of its own for each part, so that one more draw here changes nothing there."""
        return random.Random(f"{self._seed} {name}")  # noqa: S311 # to be repeated

    def _answer(self, topic: str, payload: bytes) -> None:
        cloud = self.cloud
        self.history.answered(topic, payload, self.timeline.now_ms, cloud.jump_s)
        self.broker.answer(topic, payload)

    # What may happen

    def _circumstances(self) -> Circumstances:
        rng = self._rng
        return Circumstances(
            journal_sectors=rng.choice((3, 4, 6, 10)),
            drift_ppm=rng.randrange(-60, 61),
            cuts=rng.choice((0.0, 0.2, 0.6)),
            deep_sleep=rng.random() < 0.3,
        )

    def _begin(self) -> None:
        rng = self._rng
        for name, worst in _WEATHER.items():
            setattr(self.weather, name, rng.choice((0.0, worst / 5, worst)))
        self.cloud.start()
        self.cloud.trouble = rng.choice((0.0, 0.002, 0.01))
        for device in self.devices:
            device.power_on()
        self.households.move_in()
        for home in self.households.homes:
            self._plan_home(home)
        self._plan_outages()
        self._plan_clock()
        self._plan_people()

    def _plan_home(self, home: Home) -> None:
        rng, timeline = self._rng, self.timeline
        for _ in range(self._days * rng.choice((1, 1, 2, 3))):
            timeline.at(self._some_time_ms(), lambda: self.households.weigh(home))
        if rng.random() < 0.1:
            self._plan_crowd(home)
        for _ in range(rng.randrange(1 + self._days // 2)):
            when_ms = self._some_time_ms()
            timeline.at(when_ms, rng.choice((home.device.power_off, home.device.reset)))
            timeline.at(when_ms + rng.randrange(MINUTE_MS, DAY_MS // 4), home.device.power_on)

    def _plan_crowd(self, home: Home) -> None:
        """Very many in a row, and mostly no network: the journal of a small device fills."""
        rng, start_ms = self._rng, self._some_time_ms()
        count = rng.randrange(200, 600)
        for number in range(count):
            when_ms = start_ms + number * 40 * SECOND_MS
            self.timeline.at(when_ms, lambda: self.households.weigh(home))
        if rng.random() < 0.7:
            self.timeline.at(start_ms, self.broker.stop)
            self.timeline.at(start_ms + count * 40 * SECOND_MS, self.broker.start)

    def _plan_outages(self) -> None:
        rng, timeline = self._rng, self.timeline
        for stop, start in (
            (self.broker.stop, self.broker.start),
            (self.cloud.die, self.cloud.start),
        ):
            for _ in range(rng.randrange(0, 4)):
                when_ms = self._some_time_ms()
                timeline.at(when_ms, stop)
                longest_ms = rng.choice((MINUTE_MS, HOUR_MS, 2 * DAY_MS))
                timeline.at(when_ms + rng.randrange(SECOND_MS, longest_ms), start)
        if rng.random() < 0.2:
            self._held = True
            timeline.at(self._some_time_ms(), lambda: setattr(self.cloud, "old", True))

    def _plan_clock(self) -> None:
        rng = self._rng
        for _ in range(rng.choice((0, 0, 0, 1, 2))):
            most_s = rng.choice((60, 7_200, _TEN_YEARS_S))
            when_ms, jump_s = self._some_time_ms(), rng.randrange(-most_s, most_s)
            self._leapt |= abs(jump_s) > _PATIENCE_S
            # Mypy: a lambda with a default.
            self.timeline.at(when_ms, lambda jump_s=jump_s: self.cloud.set_clock(jump_s))  # type: ignore[misc]
            back_ms = when_ms + rng.randrange(MINUTE_MS, DAY_MS)
            self.timeline.at(back_ms, lambda: self.cloud.set_clock(0))

    def _plan_people(self) -> None:
        rng, people, timeline = self._rng, self.households, self.timeline
        for home in people.homes:
            for act, share in (
                (people.join, 0.4),
                (people.release, 0.4),
                (people.erase_handle, 0.3),
            ):
                if rng.random() < share:
                    timeline.at(
                        self._some_time_ms(),
                        # Mypy: a lambda with a default.
                        lambda act=act, home=home: act(home),  # type: ignore[misc]
                    )
        for _ in range(rng.choice((0, 0, 0, 1, 1, 2))):
            failing = rng.random() < 0.3
            timeline.at(
                self._some_time_ms(),
                # Mypy: a lambda with a default.
                lambda failing=failing: people.erase(failing=failing),  # type: ignore[misc]
            )
        for day in range(self._days):
            timeline.at(day * DAY_MS + HOUR_MS, self._carry_on)

    def _carry_on(self) -> None:
        if self.cloud.running:
            self.cloud.carry_on()

    def _some_time_ms(self) -> int:
        return self._rng.randrange(self._days * DAY_MS)

    # And how it ends well

    def _heal(self) -> None:
        self.weather.clear()
        self.households.settle_down()
        self.cloud.trouble = 0.0
        self.cloud.old = False
        self.cloud.set_clock(0)
        self.broker.start()
        self.cloud.start()
        for number, device in enumerate(self.devices):
            device.life = replace(device.life, cuts=0.0)
            # A start takes the planned power cut of the last one away.
            device.reset()
            device.power_on()
            for again in range(1, _HEALING_MS // HOUR_MS):
                self.timeline.after(again * HOUR_MS + number * SECOND_MS, device.wake)


_WEATHER = {
    "lost": 0.15,
    "doubled": 0.2,
    "late": 0.03,
    "withheld": 0.1,
    "overtaken": 0.2,
    "damaged": 0.05,
    "shown_again": 0.1,
    "refused": 0.2,
}
