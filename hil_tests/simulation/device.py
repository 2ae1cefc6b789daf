"""The link of a device in the simulation: wake, connect, converse, back off, sleep.

Mirrors link.py around the real `sync.Conversation`, in virtual time, and watches what each
message of the cloud does to the device.
"""

from __future__ import annotations

import random
from typing import Any

from hil_tests import cores
from hil_tests.simulation.body import Body, Circumstances, World
from hil_tests.simulation.history import BrokenError, Welcome, is_command
from hil_tests.simulation.template import START_S
from hil_tests.simulation.timeline import DAY_MS, MINUTE_MS, SECOND_MS
from protocol import command, frame

AWAKE_MS: int = cores.link.AWAKE_MS
_RETRY_MS = 15 * MINUTE_MS
_ANSWER_MS = 10_050
_FIRST_BACKOFF_MS = 1_000
_LAST_BACKOFF_MS = 300_000
# Half of a welcome's slowest round trip (SPEC 7), and rounding.
_SLOWEST_S = 15 + 3


class Device(Body):
    """One device, as the broker sees it."""

    def __init__(
        self, world: World, flash: bytes, circumstances: Circumstances, rng: random.Random
    ) -> None:
        super().__init__(world, flash, circumstances, rng)
        self._connection = 0
        self._conversation: Any = None
        self._backing_off = False
        self._opening = False
        self._awake_until_ms = 0
        self._failures = 0
        self._sleeps = 0

    def press(self) -> str:
        """The button also ends a backoff: someone waits."""
        self._failures = 0
        return super().press()

    def _stop(self) -> None:
        super()._stop()
        self._awake_until_ms = 0
        self._failures = 0

    def wake(self) -> None:
        """There is something to send or to ask."""
        self._awake_until_ms = self.now_ms() + AWAKE_MS
        self._planned(AWAKE_MS + 1, self._look)
        self._planned(1, self._look)

    def _is_awake(self) -> bool:
        if self.window is not None and not self.window.left_s(self.now_ms()):
            self.window = None
        return self.now_ms() < self._awake_until_ms or self.window is not None

    def _look(self) -> None:
        if not self._is_awake():
            if self._connection:
                self._sleep()
        elif self._connection:
            self._pump()
        elif not self._backing_off and not self._opening:
            self._opening = True
            self._planned(self._rng.randrange(30, 1_500), self._open)

    def _sleep(self) -> None:
        if self.life.deep_sleep:
            self._retain(self.clock)
            self._stop()
            self._start(frame.BOOT_DEEP_SLEEP_WAKE)
        else:
            self._hang_up()
            self._plan_waking()

    def _plan_waking(self) -> None:
        """Asleep: look every 15 minutes whether to wake; what was planned before is void."""
        self._sleeps += 1
        sleep = self._sleeps
        self._planned(_RETRY_MS, lambda: self._wake_to_send(sleep))

    def _wake_to_send(self, sleep: int) -> None:
        if sleep != self._sleeps or self._is_awake() or self._connection:
            return
        if self.journal.kept or self._rng.random() < _RETRY_MS / DAY_MS:
            self.wake()
        else:
            self._plan_waking()

    def _open(self) -> None:
        self._opening = False
        if not self._is_awake():
            self._sleep()
            return
        connection = self._world.broker.connect(self)
        if connection is None:
            self._back_off()
            return
        self._connection = connection
        parts = cores.sync.Device(
            model="simulated",
            identity=self._identity,
            journal=self.journal,
            state=self.state,
            boot=self.boot_state,
            clock=self.clock,
            commands=self.commands,
        )
        self._conversation = cores.sync.Conversation(parts, self._rng.randbytes(16), _quiet)
        self._publish(self._conversation.hello(self.now_ms()))

    def _back_off(self) -> None:
        self._hang_up()
        self._failures += 1
        wait_ms = min(_FIRST_BACKOFF_MS << min(self._failures - 1, 16), _LAST_BACKOFF_MS)
        wait_ms = wait_ms // 2 + self._rng.randrange(wait_ms)
        if self.window is None:
            wait_ms = min(wait_ms, max(0, self._awake_until_ms - self.now_ms()))
        self._backing_off = True
        self._planned(wait_ms + 1, self._try_again)

    def _try_again(self) -> None:
        self._backing_off = False
        if self._is_awake():
            self._look()
        else:
            self._sleep()

    def _hang_up(self) -> None:
        connection, self._connection = self._connection, 0
        self._conversation = None
        self._opening = self._backing_off = False
        if connection:
            self._world.broker.disconnect(self, connection)

    def _pump(self) -> None:
        conversation = self._conversation
        conversation.window = self.window
        try:
            message = conversation.next_message(self.now_ms())
            while message is not None:
                self._publish(message)
                message = conversation.next_message(self.now_ms())
        except cores.errors.FirmwareError:
            self._failures = 0 if conversation.welcomed else self._failures
            self._back_off()

    def _publish(self, message: bytes) -> None:
        self._world.history.published(self.id, message)
        self._world.broker.publish(self, self._connection, message)
        self._planned(_ANSWER_MS, self._look)

    # What the broker does

    def arrived(self, connection: int, payload: bytes) -> None:
        """A message of the cloud, or something that looks like one."""
        if self._on and connection == self._connection:
            self._guarded(lambda: self._receive(payload))

    def acknowledged(self, connection: int, payload: bytes) -> None:
        """A PUBACK: it settles nothing, so the real device does nothing with it."""
        act = self._world.variant.puback
        if act is not None and self._on and connection == self._connection:
            self._guarded(lambda: act(self, payload))

    def disconnected(self, connection: int) -> None:
        """The broker has gone."""
        if self._on and connection == self._connection:
            self._connection = 0
            self._back_off()

    def _receive(self, payload: bytes) -> None:
        order = None
        if is_command(payload) and self._conversation.welcomed:
            order = self._about_to_obey(payload)
        zero_s = self.clock.zero_s
        try:
            outcome = self._conversation.receive(payload, self.now_ms())
        except cores.nor.PowerCutError:
            if self.clock.zero_s != zero_s:
                self._learnt_time()
            raise
        self._attempt = None
        if outcome == cores.sync.IGNORED:
            return
        self._retain(self.clock)
        world, now_ms = self._world, self._timeline.now_ms
        if outcome == cores.sync.WELCOME:
            self._failures = 0
            self._learnt_time()
        elif outcome == cores.sync.COMMAND and order is not None:
            self.window = None if self.state.claim_epoch else self.window
            world.history.obeyed(self.id, order.counter, now_ms, world.cloud.jump_s)
            world.history.carried_out(self.id, order.encode(), now_ms)
            self.wake()
        self._pump()

    def _learnt_time(self) -> None:
        world, at_ms = self._world, self._timeline.now_ms
        error_s = self.clock.wall(self.now_ms()) - START_S - at_ms // SECOND_MS
        steady = at_ms > world.cloud.jumped_ms + MINUTE_MS
        if steady and abs(error_s - world.cloud.jump_s) > _SLOWEST_S:
            raise BrokenError(f"a welcome made a clock wrong by {error_s} s")
        world.history.of(self.id).welcomes.append(Welcome(at_ms, error_s))

    def _about_to_obey(self, payload: bytes) -> command.Command | None:
        """Remember how things are, should the power go while a command is carried out."""
        try:
            order = command.Command.parse(cores.sync.envelope.parse_sign1(payload).payload)
        except cores.sync.ProtocolError:
            return None
        if order.counter > self.state.command_counter:
            self._attempt = (order.counter, self._picture())
        return order


def _quiet(_line: str) -> None:
    """Takes the log: what is in it is proved elsewhere."""
