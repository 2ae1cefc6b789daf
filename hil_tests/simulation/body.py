"""A device in the simulation: the firmware's cores on NOR flash, and a person in front of it.

Mirrors what app.py does with the cores at a start and at a weigh-in, in virtual time. The power
may go at any moment, in the middle of any flash operation as well.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hil_tests import cores
from hil_tests.simulation.broker import Broker
from hil_tests.simulation.cloud import Cloud
from hil_tests.simulation.history import BrokenError, History, Weighing
from hil_tests.simulation.keys import MakeSigner
from hil_tests.simulation.timeline import DAY_MS, SECOND_MS, Timeline
from hil_tests.simulation.variant import Variant
from protocol import claim_code, frame, reading

_WINDOW_MS = 600_000
# A start that is cut ends within so many flash operations.
_LONGEST_LIFE = 400


@dataclass
class Circumstances:
    """What one device lives with. `drift_ppm`: of its clock. `cuts`: power cuts a start, as the
    share of starts that end inside a flash operation. `deep_sleep`: each sleep is a reset.
    """

    journal_sectors: int
    drift_ppm: int
    cuts: float
    deep_sleep: bool


@dataclass(frozen=True)
class World:
    """What all devices share."""

    timeline: Timeline
    broker: Broker
    cloud: Cloud
    history: History
    variant: Variant
    make_signer: MakeSigner


class Body:
    """What of a device is not its link. Off until `power_on`."""

    def __init__(
        self, world: World, flash: bytes, circumstances: Circumstances, rng: random.Random
    ) -> None:
        self.life = circumstances
        self.window: Any = None
        self.code = ""
        self.cut_count = 0
        self.boots = 0
        self._world = world
        self._timeline = world.timeline
        self._rng = rng
        self._memory = cores.nor.Memory(len(flash), flash)
        store = cores.identity.IdentityStore(cores.nor.Nor(self._memory), world.make_signer)
        self._identity: Any = store.load()
        self.id: str = self._identity.device_id
        self._on = False
        self._born_ms = 0
        self._retained = b""
        # A number that only this run of the device has: what was planned before it is void.
        self._run = 0
        self._attempt: tuple[int, object] | None = None

    # Power

    @property
    def on(self) -> bool:
        """Whether it has power."""
        return self._on

    def power_on(self) -> None:
        """Batteries are in: the clock begins anew."""
        if not self._on:
            self._born_ms, self._retained = self._timeline.now_ms, b""
            self._start(frame.BOOT_POWER_ON)

    def power_off(self) -> None:
        """Between two flash operations."""
        self._stop()
        self._retained = b""

    def reset(self) -> None:
        """A watchdog, or the console: the retained memory survives."""
        if self._on:
            self._stop()
            self._start(frame.BOOT_RESET)

    def _stop(self) -> None:
        self._on = False
        self._run += 1
        self._hang_up()
        self.window = None

    def _start(self, reason: int) -> None:
        self._on = True
        self.boots += 1
        self._guarded(lambda: self._boot(reason))

    def _boot(self, reason: int) -> None:
        cut_at = 0
        if self._rng.random() < self.life.cuts:
            # Early cuts are the interesting ones: the first operations are the start itself.
            cut_at = 1 + int(_LONGEST_LIFE ** self._rng.random())
        flash = cores.nor.Nor(self._memory, cut_at, self._rng.choice(cores.nor.TEARS))
        variant = self._world.variant
        self.journal = variant.journal(flash, cores.flash.JOURNAL_FIRST, self.life.journal_sectors)
        self.state = cores.state.State(flash)
        self._check_after_start()
        self.boot_state = cores.state.BootState(flash)
        self.clock = self._count_start(reason)
        settings = cores.settings.Settings(cores.memory_folder.MemoryFolder(), str)
        self.commands = variant.commands(self.state, self.journal, settings, None)
        pending = self.state.pending
        self.commands.finish()
        if pending is not None:
            self._world.history.carried_out(self.id, pending, self._timeline.now_ms)
        if reason == frame.BOOT_DEEP_SLEEP_WAKE:
            self._plan_waking()
        else:
            self.wake()

    def _count_start(self, reason: int) -> Any:
        boot, now_ms = self.boot_state, self.now_ms()
        kept = cores.retained.unpack(self._retained)
        running = None
        if kept is not None:
            running = cores.clock.continued(kept.clock, boot.clock_epoch, now_ms)
        boot.counter += 1
        boot.reason = reason
        woken = running is not None and reason == frame.BOOT_DEEP_SLEEP_WAKE
        if running is None:
            boot.clock_epoch += 1
            running = cores.clock.Clock(boot.clock_epoch, now_ms)
        if not woken:
            boot.save()
        self._retain(running)
        return running

    def _retain(self, clock: Any) -> None:
        self._retained = cores.retained.Retained(clock.item(), 0, self.now_ms()).pack()

    def _check_after_start(self) -> None:
        self._world.history.booted(self.id, self.journal.next_sequence)
        attempt, self._attempt = self._attempt, None
        if attempt is None:
            return
        counter, before = attempt
        if self.state.command_counter < counter and self._picture() != before:
            raise BrokenError(f"command {counter} had an effect before its counter was stored")

    def _guarded(self, action: Callable[[], None]) -> None:
        """Runs what may end in a power cut; afterwards someone changes the batteries."""
        try:
            action()
        except cores.nor.PowerCutError:
            self.cut_count += 1
            self._stop()
            self._retained = b""
            self._timeline.after(self._rng.randrange(5 * SECOND_MS, DAY_MS // 8), self.power_on)

    def now_ms(self) -> int:
        """Its own monotonic clock, which drifts."""
        passed_ms = self._timeline.now_ms - self._born_ms
        return passed_ms * (1_000_000 + self.life.drift_ppm) // 1_000_000

    # People in front of it

    def weigh(self, number: int, grams: int, said: int | None) -> None:
        """Someone steps on it. `said`: the handle they chose, where they were asked."""
        if self._on and self.state.claim_epoch:
            self._guarded(lambda: self._record(number, grams, said))

    def _record(self, number: int, grams: int, said: int | None) -> None:
        handle, attribution = self._whose(grams, said)
        epoch = self.state.claim_epoch
        now_ms = self.now_ms()
        wall = self.clock.wall(now_ms)
        record = reading.weight(
            self.clock.seconds(now_ms) if wall is None else wall,
            grams,
            number,
            since_epoch=wall is None,
            attribution=attribution,
            flags=reading.FLAG_ZERO_CORRECTED if number % 5 == 0 else 0,
        )
        weighing = Weighing(number, self.id, epoch, handle, grams, self._timeline.now_ms)
        history = self._world.history
        history.weighed(weighing)
        try:
            sequence = self.journal.append_reading(epoch, handle, self.clock.epoch, record.item())
        except cores.errors.JournalFullError:
            history.full += 1
            del history.weighings[number]
            self.wake()
            return
        history.saved(weighing, sequence)
        if cores.people.learn(self.state.people, handle, grams):
            self.state.save()
        self.wake()

    def _whose(self, grams: int, said: int | None) -> tuple[int, int]:
        if said in {person.handle for person in self.state.people}:
            return said or 0, reading.ATTRIBUTION_SAID
        handle = cores.people.recognise(self.state.people, grams)
        attribution = reading.ATTRIBUTION_RECOGNISED if handle else reading.ATTRIBUTION_UNKNOWN
        return handle, attribution

    def press(self) -> str:
        """The button; returns the code on the display, empty when there is none."""
        if not self._on:
            return ""
        if self.state.claim_epoch == 0:
            code = self._rng.randbytes(10)
            self.window = cores.sync.ClaimWindow(code, self.now_ms() + _WINDOW_MS)
            self.code = claim_code.to_text(code)
        self.wake()
        return self.code if self.window is not None else ""

    def _planned(self, delay_ms: int, action: Callable[[], None]) -> None:
        """Later, unless the device has started anew by then."""
        run = self._run

        def act() -> None:
            if self._on and run == self._run:
                self._guarded(action)

        self._timeline.after(delay_ms, act)

    def _picture(self) -> object:
        """What an order could change: claim, people, and what kind of records are kept."""
        kinds = []
        start = self.journal.oldest
        while (batch := self.journal.batch(start)) is not None:
            kinds += [
                (batch.kind == cores.journal.VOID, batch.first + n) for n in range(batch.count)
            ]
            start = batch.last + 1
        people = [(person.handle, person.slot) for person in self.state.people]
        return self.state.claim_epoch, people, kinds

    # What the link is for

    def wake(self) -> None:
        """There is something to send or to ask."""
        raise NotImplementedError

    def _hang_up(self) -> None:
        """The connection is gone, and every plan to have one."""
        raise NotImplementedError

    def _plan_waking(self) -> None:
        """Asleep: wake when there is something to send."""
        raise NotImplementedError
