"""Judges verified records one by one and moves the cursor (SPEC 8). Touches nothing: what the
cloud knows comes in as arguments, what it must do goes out as a `Judgement`.

A record of a readings frame, in this order:
1. erased (tombstone of the handle or claim)        drop 1
2. claim epoch 0, or ended                          drop 2
3. claim epoch not known yet                        hold 16
4. kind not known yet                               hold 18; values out of range: drop 3
5. consent withdrawn                                drop 4
6. sequence seen: same content                      settled again; other content: hold 17
7. else                                             store
Receipts and voids know no person: only 6 and 7. A void changes nothing that was stored; what
comes after it is from before it, and was erased.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum

from protocol import answer, frame, reading

SETTLED_AS_STORED = 0


class ClaimState(Enum):
    """What the cloud knows of a claim epoch."""

    OPEN = "open"
    ENDED = "ended"
    UNKNOWN = "unknown"


class Verdict(Enum):
    """What becomes of a record. DUPLICATE and DROP are settled, HOLD is not."""

    STORE = "store"
    DUPLICATE = "duplicate"
    DROP = "drop"
    HOLD = "hold"


@dataclass(frozen=True, slots=True)
class Origin:
    """What the cloud knows about the claim epoch and handle of a frame."""

    claim: ClaimState
    erased: bool
    consent: bool


@dataclass(frozen=True, slots=True)
class Seen:
    """A settled sequence: 0 (stored) or the reason of a drop; whether content is the same.

    `same` is None where nothing is left to compare: the person's key is gone.
    """

    outcome: int
    same: Callable[[bytes], bool] | None = None


@dataclass(frozen=True, slots=True)
class Judged:
    """One record: `reason` is 0 unless it is dropped or held. `index`: its place in the frame."""

    index: int
    sequence: int
    verdict: Verdict
    reason: int = 0


@dataclass(frozen=True, slots=True)
class Judgement:
    """All records of a frame, the cursor after it, and the gap noted before it."""

    records: list[Judged]
    cursor: int
    gap: tuple[int, int] | None = None
    alarms: list[int] = field(default_factory=list)

    @property
    def ack(self) -> answer.Ack:
        """What the device is told. A fork below the cursor cannot be told: it is settled."""
        refusals = [
            (record.sequence, record.reason)
            for record in self.records
            if record.verdict is Verdict.DROP
            or (record.verdict is Verdict.HOLD and record.sequence > self.cursor)
        ]
        return answer.Ack(settled=self.cursor, refusals=refusals[: answer.MAX_REFUSALS])


def judge_readings(
    message: frame.Readings, cursor: int, origin: Origin, seen: Mapping[int, Seen]
) -> Judgement:
    """Judges a readings frame of a device whose cursor is `cursor`."""

    def one(index: int, sequence: int) -> Judged:
        reason = _refusal(message, index, origin)
        if reason is not None:
            verdict = Verdict.HOLD if answer.is_hold(reason) else Verdict.DROP
            return Judged(index, sequence, verdict, reason)
        return _against(seen.get(sequence), index, sequence, lambda: message.content(index))

    return _judge(message.oldest, message.first, message.last, cursor, one)


def judge_receipts(message: frame.Receipts, cursor: int, seen: Mapping[int, Seen]) -> Judgement:
    """Judges a frame of receipts."""

    def one(index: int, sequence: int) -> Judged:
        return _against(seen.get(sequence), index, sequence, lambda: message.content(index))

    return _judge(message.oldest, message.first, message.last, cursor, one)


def judge_voids(message: frame.Voids, cursor: int, seen: Mapping[int, Seen]) -> Judgement:
    """Judges voids: whatever was settled stays as it is."""

    def one(index: int, sequence: int) -> Judged:
        verdict = Verdict.DUPLICATE if sequence in seen else Verdict.STORE
        return Judged(index, sequence, verdict)

    return _judge(message.oldest, message.first, message.last, cursor, one)


def _refusal(message: frame.Readings, index: int, origin: Origin) -> int | None:
    """Rules 1 to 5: the reason, or None."""
    if origin.erased:
        return answer.DROP_ERASED
    if message.claim_epoch == 0 or origin.claim is ClaimState.ENDED:
        return answer.DROP_CLAIM_ENDED
    if origin.claim is ClaimState.UNKNOWN:
        return answer.HOLD_CLAIM_UNKNOWN
    verdict = message.judge(index)
    if verdict == reading.UNKNOWN_KIND:
        return answer.HOLD_KIND_UNKNOWN
    if verdict != reading.FINE:
        return answer.DROP_OUT_OF_RANGE
    return None if origin.consent else answer.DROP_CONSENT_WITHDRAWN


def _against(seen: Seen | None, index: int, sequence: int, content: Callable[[], bytes]) -> Judged:
    """Rules 6 and 7."""
    if seen is None:
        return Judged(index, sequence, Verdict.STORE)
    if seen.outcome != SETTLED_AS_STORED:
        return Judged(index, sequence, Verdict.DROP, seen.outcome)
    if seen.same is not None and not seen.same(content()):
        return Judged(index, sequence, Verdict.HOLD, answer.HOLD_FORK)
    return Judged(index, sequence, Verdict.DUPLICATE)


def _judge(
    oldest: int, first: int, last: int, cursor: int, one: Callable[[int, int], Judged]
) -> Judgement:
    gap = None
    if oldest > cursor + 1:
        # `first` is never below `oldest`: what lies before it was lost, or given up (SPEC 8.3).
        gap, cursor = (cursor + 1, oldest - 1), oldest - 1
    records = [one(index, sequence) for index, sequence in enumerate(range(first, last + 1))]
    if first <= cursor + 1:
        held = [record.sequence for record in records if record.verdict is Verdict.HOLD]
        cursor = max(cursor, min(held) - 1 if held else last)
    alarms = [record.sequence for record in records if record.reason == answer.HOLD_FORK]
    return Judgement(records, cursor, gap, alarms)
