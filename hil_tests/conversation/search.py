"""Tries every order of events, breadth first, until nothing new is found within the bounds.

The network is a set: what was once sent may arrive at any time, in any order, again and again, or
never. So loss, delay, repetition, reordering and what a broker keeps for later are all in it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from hil_tests.conversation.cloud import Cloud
from hil_tests.conversation.device import Device
from hil_tests.conversation.steps import Event, Name, Numbers, Steps, hears


@dataclass(frozen=True)
class Budget:
    """How often each thing may happen at most; `people` are the handles of the weigh-ins."""

    people: tuple[int, ...] = ()
    connections: int = 2
    cuts: int = 0
    restarts: int = 0
    backups: int = 0
    restores: int = 0
    presses: int = 0
    claims: int = 0
    orders: tuple[Any, ...] = ()
    rendered: int = 4

    def less(self, name: str) -> Budget:
        """Return what is left after one of these."""
        value: Any = getattr(self, name)
        changed: dict[str, Any] = {name: value[1:] if isinstance(value, tuple) else value - 1}
        return replace(self, **changed)


@dataclass(frozen=True, slots=True)
class State:
    """Numbers of the parts, see `Search`; `up` and `down` are sets of messages as bits."""

    device: int
    cloud: int
    backup: int
    up: int
    down: int
    left: Budget


class ViolationError(AssertionError):
    """An invariant does not hold; the text ends with the events that led there."""


@dataclass
class Report:
    """What was searched."""

    states: int = 0
    events: int = 0
    depth: int = 0
    device_states: int = 0
    cloud_states: int = 0
    fair_runs: int = 0
    complete: bool = True


#: What is wrong with a pair of sides, or None; the second, with the end of a fair run from there.
Check = Callable[[Device, Cloud], str | None]
Fair = Callable[[Steps, int, int], str | None]


class Search:
    """One search. `check` says what is wrong with a state, or None."""

    def __init__(self, device: Device, cloud: Cloud, budget: Budget) -> None:
        self.steps = Steps()
        self._backups = Numbers()
        self._seen: dict[State, tuple[State, str] | None] = {}
        first = self.steps.of_device(device), self.steps.of_cloud(cloud)
        self.start = State(*first, self._backups.of(None, None), 0, 0, budget)
        self.report = Report()

    def run(self, check: Check, fair: Fair, most: int | None = None) -> Report:
        """Search; raise ViolationError at the first state where something is wrong."""
        queue = deque([(self.start, 0)])
        self._seen[self.start] = None
        checked: set[tuple[int, int]] = set()
        while queue:
            state, depth = queue.popleft()
            self.report.depth = max(self.report.depth, depth)
            if (state.device, state.cloud) not in checked:
                checked.add((state.device, state.cloud))
                self._check(state, check, fair)
            for name, following in self._events(state):
                self.report.events += 1
                if following in self._seen:
                    continue
                if most is not None and len(self._seen) >= most:
                    self.report.complete = False
                    break
                self._seen[following] = (state, name)
                queue.append((following, depth + 1))
        self.report.states = len(self._seen)
        self.report.device_states = len(self.steps.devices.things)
        self.report.cloud_states = len(self.steps.clouds.things)
        self.report.fair_runs = len(checked)
        return self.report

    def _path(self, state: State) -> str:
        names: list[str] = []
        before = self._seen[state]
        while before is not None:
            names.append(before[1])
            before = self._seen[before[0]]
        return ", ".join(names[::-1])

    def _check(self, state: State, check: Check, fair: Fair) -> None:
        wrong = check(self.steps.device(state.device), self.steps.cloud(state.cloud))
        wrong = wrong or fair(self.steps, state.device, state.cloud)
        if wrong is not None:
            raise ViolationError(f"{wrong}: {self._path(state)}")

    # Events

    def _events(self, state: State) -> Iterator[tuple[str, State]]:
        for name, event, left, can_be_cut in self._device_events(state):
            yield from self._by_device(state, name, event, left, can_be_cut=can_be_cut)
        yield from self._cloud_events(state)
        yield from self._people_events(state)

    def _device_events(self, state: State) -> Iterator[tuple[Name, Event, Budget, bool]]:
        device, left = self.steps.device(state.device), state.left
        if left.people and device.state.claim_epoch:
            handle = left.people[0]
            yield ("weigh", handle), lambda each: each.weigh(handle), left.less("people"), True
        if left.presses and not device.state.claim_epoch:
            yield ("press",), lambda each: each.press(), left.less("presses"), False
        if left.cuts:
            yield ("power cut",), lambda each: each.boot(), left.less("cuts"), False
        if device.conversation is not None:
            yield from self._talk_events(state, device)
        elif left.connections:
            number = device.connection + 1
            connect = ("connect", number)
            yield connect, lambda each: each.connect(number), left.less("connections"), True

    def _talk_events(
        self, state: State, device: Device
    ) -> Iterator[tuple[Name, Event, Budget, bool]]:
        if device.welcomed and device.quiet:
            yield ("speak",), lambda each: each.speak(), state.left, True
        for at, message in self.steps.members(state.down):
            yield ("receive", at), hears(message), state.left, True
        yield ("link lost",), lambda each: each.drop_link(), state.left, False

    def _by_device(
        self, state: State, name: Name, event: Event, left: Budget, *, can_be_cut: bool
    ) -> Iterator[tuple[str, State]]:
        device, sent = self.steps.by_device(state.device, name, event)
        if sent and self.steps.conflicts[sent.bit_length() - 1] & state.up:
            raise ViolationError(f"a sequence was used twice: {self._path(state)}, {name}")
        yield str(name), replace(state, device=device, up=state.up | sent, left=left)
        if can_be_cut and left.cuts:
            for torn in self.steps.by_cut_device(state.device, name, event):
                yield f"{name} cut", replace(state, device=torn, left=left.less("cuts"))

    def _cloud_events(self, state: State) -> Iterator[tuple[str, State]]:
        for at, _ in self.steps.members(state.up):
            cloud, answers = self.steps.by_cloud(state.cloud, at)
            if self.steps.cloud(cloud).given <= state.left.rendered:
                down = state.down
                for number in answers:
                    down |= 1 << number
                yield f"cloud takes {at}", replace(state, cloud=cloud, down=down)

    def _people_events(self, state: State) -> Iterator[tuple[str, State]]:
        cloud, left = self.steps.cloud(state.cloud), state.left
        number = self.steps.of_cloud
        if left.restarts and cloud.greeted is not None:
            restarted = number(cloud.restarted())
            yield "cloud restarts", replace(state, cloud=restarted, left=left.less("restarts"))
        if left.backups:
            backup = self._backups.of(cloud.durable, cloud.durable)
            yield "backup", replace(state, backup=backup, left=left.less("backups"))
        stored = self._backups.things[state.backup]
        if left.restores and stored is not None:
            put_back = number(cloud.restored(stored))
            yield "restore", replace(state, cloud=put_back, left=left.less("restores"))
        if left.claims and cloud.durable.window:
            yield from self._placed(state, cloud.claimed(), left.less("claims"), "claim")
        if left.orders:
            ordered = cloud.ordered(left.orders[0])
            yield from self._placed(state, ordered, left.less("orders"), "order")

    def _placed(
        self, state: State, cloud: Cloud, left: Budget, name: str
    ) -> Iterator[tuple[str, State]]:
        """An order is sent at once when the device has spoken to this process, else at a hello."""
        yield name, replace(state, cloud=self.steps.of_cloud(cloud), left=left)
        if cloud.greeted is not None:
            rendered, sent = cloud.orders()
            if rendered.given <= left.rendered:
                down = state.down | self.steps.bits(sent)
                changed = self.steps.of_cloud(rendered)
                yield f"{name}, sent", replace(state, cloud=changed, down=down, left=left)
