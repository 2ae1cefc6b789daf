"""Systems with one known fault each: the simulation is worth something only if it finds them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import sqlalchemy as sa

from cloud_agent.ingest.handlers import Handled
from cloud_agent.ingest.judge import ClaimState, Judgement, Origin, Seen, judge_readings
from cloud_agent.ingest.link import Delivery
from cloud_agent.ingest.pipeline import Pipeline
from cloud_agent.ingest.verify import Refused, Verified
from hil_tests import cores
from hil_tests.simulation.device import Device
from hil_tests.simulation.variant import Variant
from protocol import frame


class _AcksBeforeCommit(Pipeline):
    """Answers leave while the transaction may still fail."""

    def _apply(
        self,
        connection: sa.Connection,
        batch: Sequence[Delivery],
        outcomes: Sequence[Verified | Refused],
    ) -> list[Handled]:
        handled = super()._apply(connection, batch, outcomes)
        for done in handled:
            self._send(done.outgoing)
        return [replace(done, outgoing=[]) for done in handled]


def _trims_on_puback(device: Device, payload: bytes) -> None:
    """Believes that what the broker has is stored."""
    message = frame.parse(cores.sync.envelope.parse_sign1(payload).payload)
    if isinstance(message, frame.Readings | frame.Receipts | frame.Voids):
        device.journal.trim(message.last)


def _moves_over_holds(
    message: frame.Readings, cursor: int, origin: Origin, seen: Mapping[int, Seen]
) -> Judgement:
    """Settles a whole frame, the held records in it as well."""
    judged = judge_readings(message, cursor, origin, seen)
    return replace(judged, cursor=max(judged.cursor, message.last))


def _brings_the_erased_back(
    message: frame.Readings, cursor: int, origin: Origin, seen: Mapping[int, Seen]
) -> Judgement:
    """Knows no tombstones and no ends of claims."""
    origin = replace(origin, erased=False, consent=True)
    if origin.claim is ClaimState.ENDED:
        origin = replace(origin, claim=ClaimState.OPEN)
    return judge_readings(message, cursor, origin, seen)


class _CounterAfterTheAct(cores.commands.Commands):  # type: ignore[misc] # the cores come as Any
    """Stores a command's counter only when it has had its effect."""

    def obey(self, order: Any, now_s: int) -> bool:
        """As the real one, in the wrong order."""
        if order.counter <= self._state.command_counter or now_s >= order.expires_s:
            return False
        done = self._act(order)
        self._state.save_without_trace()
        self._state.command_counter = order.counter
        self._journal.append_receipt([order.counter, order.verb, *done])
        self._state.save()
        return True


class _ObeysTheExpired(cores.commands.Commands):  # type: ignore[misc] # the cores come as Any
    """Asks no clock."""

    def obey(self, order: Any, now_s: int) -> bool:
        """As the real one, at any time."""
        obeyed: bool = super().obey(order, min(now_s, order.expires_s - 1))
        return obeyed


class _ForgetsTheSequence(cores.journal.Journal):  # type: ignore[misc] # the cores come as Any
    """Counts what it finds at a start instead of going on behind what was given."""

    oldest: int
    next_sequence: int

    def _recover(self) -> None:
        super()._recover()
        if not self.kept and self.next_sequence > 1:
            self.next_sequence = self.oldest = self.oldest - 1


class _SavesInMemory(cores.journal.Journal):  # type: ignore[misc] # the cores come as Any
    """Calls a reading saved before it is in flash, and writes it with the next one."""

    next_sequence: int
    _late: tuple[Any, ...] | None = None

    def append_reading(self, *reading: Any) -> int:
        """As the real one, one reading late."""
        late, self._late = self._late, reading
        if late is not None:
            super().append_reading(*late)
        sequence: int = self.next_sequence
        return sequence


MUTATIONS = (
    Variant("acks before the commit", pipeline=_AcksBeforeCommit),
    Variant("trims on PUBACK", puback=_trims_on_puback),
    Variant("moves the cursor over a hold", judge_readings=_moves_over_holds),
    Variant("stores the counter after the act", commands=_CounterAfterTheAct),
    Variant("obeys what has expired", commands=_ObeysTheExpired),
    Variant("brings the erased back", judge_readings=_brings_the_erased_back),
    Variant("forgets its sequence at a start", journal=_ForgetsTheSequence),
    Variant("calls saved what is in memory", journal=_SavesInMemory),
)
