"""Judging: the order of the rules, and a model of device and cloud in which messages are lost,
doubled, reordered, and the cloud is put back to an earlier state.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from cloud_agent.ingest.judge import (
    ClaimState,
    Judgement,
    Origin,
    Seen,
    Verdict,
    judge_readings,
    judge_receipts,
    judge_voids,
)
from cloud_agent.tests.ingest.device import NOW_S, weight
from protocol import answer, frame, reading

FINE = Origin(claim=ClaimState.OPEN, erased=False, consent=True)
BAD = reading.Reading(NOW_S, 1 | 1 << 5, [0])
NEWER = reading.Reading(NOW_S, 15 | 1 << 5, [1])


def readings(
    first: int, *records: reading.Reading, oldest: int | None = None, epoch: int = 1
) -> frame.Readings:
    return frame.Readings(
        oldest=first if oldest is None else oldest,
        first=first,
        claim_epoch=epoch,
        handle=1,
        clock=frame.Clock(1),
        records=records,
    )


def same(_content: bytes) -> bool:
    return True


def other(_content: bytes) -> bool:
    return False


def reasons(judgement: Judgement) -> list[int]:
    return [record.reason for record in judgement.records]


@pytest.mark.parametrize(
    ("origin", "epoch", "record", "seen", "reason"),
    [
        (FINE, 1, weight(70_000), None, 0),
        (replace(FINE, erased=True), 1, weight(70_000), None, answer.DROP_ERASED),
        (FINE, 0, weight(70_000), None, answer.DROP_CLAIM_ENDED),
        (replace(FINE, claim=ClaimState.ENDED), 1, weight(1), None, answer.DROP_CLAIM_ENDED),
        (replace(FINE, claim=ClaimState.UNKNOWN), 1, weight(1), None, answer.HOLD_CLAIM_UNKNOWN),
        (FINE, 1, BAD, None, answer.DROP_OUT_OF_RANGE),
        (FINE, 1, NEWER, None, answer.HOLD_KIND_UNKNOWN),
        (replace(FINE, consent=False), 1, weight(1), None, answer.DROP_CONSENT_WITHDRAWN),
        (FINE, 1, weight(1), Seen(0, same), 0),
        (FINE, 1, weight(1), Seen(0, other), answer.HOLD_FORK),
        (FINE, 1, weight(1), Seen(0, None), 0),  # nothing is left to compare with
        (FINE, 1, weight(1), Seen(answer.DROP_ERASED), answer.DROP_ERASED),
    ],
)
def test_one_record(
    origin: Origin, epoch: int, record: reading.Reading, seen: Seen | None, reason: int
) -> None:
    known = {} if seen is None else {1: seen}
    assert reasons(judge_readings(readings(1, record, epoch=epoch), 0, origin, known)) == [reason]


def test_order_of_the_rules() -> None:
    """Each origin breaks one rule less than the one before; the record breaks the last two."""
    worst = Origin(claim=ClaimState.ENDED, erased=True, consent=False)
    steps = [
        (worst, answer.DROP_ERASED),
        (replace(worst, erased=False), answer.DROP_CLAIM_ENDED),
        (replace(worst, erased=False, claim=ClaimState.UNKNOWN), answer.HOLD_CLAIM_UNKNOWN),
        (replace(worst, erased=False, claim=ClaimState.OPEN), answer.DROP_OUT_OF_RANGE),
    ]
    for origin, reason in steps:
        assert reasons(judge_readings(readings(1, BAD), 0, origin, {1: Seen(0, other)})) == [reason]
    no_consent = Origin(claim=ClaimState.OPEN, erased=False, consent=False)
    judged = judge_readings(readings(1, weight(1)), 0, no_consent, {1: Seen(0, other)})
    assert reasons(judged) == [answer.DROP_CONSENT_WITHDRAWN]


def test_cursor_stops_before_the_first_held_record() -> None:
    judgement = judge_readings(readings(1, weight(1), NEWER, weight(2), BAD), 0, FINE, {})
    assert judgement.cursor == 1
    assert judgement.ack.refusals == [
        (2, answer.HOLD_KIND_UNKNOWN),
        (4, answer.DROP_OUT_OF_RANGE),
    ]


def test_cursor_waits_for_what_is_still_to_come() -> None:
    judgement = judge_readings(readings(5, weight(1), oldest=3), 2, FINE, {})
    assert (judgement.cursor, judgement.gap) == (2, None)
    assert judgement.records[0].verdict is Verdict.STORE


def test_gap_is_what_the_device_does_not_keep_any_more() -> None:
    judgement = judge_readings(readings(8, weight(1), oldest=5), 2, FINE, {})
    assert (judgement.cursor, judgement.gap) == (4, (3, 4))


def test_cursor_never_goes_back() -> None:
    judgement = judge_readings(readings(1, weight(1)), 9, FINE, {1: Seen(0, same)})
    assert judgement.cursor == 9


def test_fork_below_the_cursor_is_an_alarm_that_the_ack_cannot_tell() -> None:
    judgement = judge_readings(readings(1, weight(1)), 9, FINE, {1: Seen(0, other)})
    assert judgement.alarms == [1]
    assert (judgement.ack.settled, judgement.ack.refusals) == (9, [])


def test_receipts_and_voids() -> None:
    receipts = frame.Receipts(oldest=1, first=1, receipts=[frame.Receipt(1, 1, 0)] * 2)
    judged = judge_receipts(receipts, 0, {1: Seen(0, same)})
    assert [r.verdict for r in judged.records] == [Verdict.DUPLICATE, Verdict.STORE]
    voids = frame.Voids(oldest=1, first=1, count=3)
    judged = judge_voids(voids, 0, {2: Seen(0, same)})
    assert [r.verdict for r in judged.records] == [Verdict.STORE, Verdict.DUPLICATE, Verdict.STORE]
    assert judged.cursor == 3


@given(st.integers(0, 50), st.integers(1, 40), st.data())
def test_ack_can_always_be_sent(cursor: int, first: int, data: st.DataObject) -> None:
    records = data.draw(st.lists(st.sampled_from([weight(1), BAD, NEWER]), min_size=1, max_size=32))
    oldest = data.draw(st.integers(1, first))
    outcomes = st.sampled_from([Seen(0, same), Seen(0, other), Seen(1), Seen(0, None)])
    seen = data.draw(st.dictionaries(st.integers(1, 80), outcomes))
    ack = judge_readings(readings(first, *records, oldest=oldest), cursor, FINE, seen).ack
    assert ack.settled >= cursor
    assert answer.Ack.parse(ack.encode()) == ack


@dataclass
class Cloud:
    """The simplest cloud that keeps to the rules: a cursor, and what is stored."""

    cursor: int = 0
    stored: dict[int, int] = field(default_factory=dict)  # sequence -> grams
    voided: set[int] = field(default_factory=set)
    given_up: set[int] = field(default_factory=set)

    def copy(self) -> Cloud:
        return Cloud(self.cursor, dict(self.stored), set(self.voided), set(self.given_up))

    def seen(self) -> dict[int, Seen]:
        known = {
            # Mypy: a lambda with a default.
            sequence: Seen(0, lambda content, g=grams: content == content_of(g))  # type: ignore[misc]
            for sequence, grams in self.stored.items()
        }
        return known | {sequence: Seen(answer.DROP_ERASED) for sequence in self.voided}

    def take(self, message: frame.Readings | frame.Voids) -> answer.Ack:
        if isinstance(message, frame.Voids):
            judgement = judge_voids(message, self.cursor, self.seen())
            new = [r.sequence for r in judgement.records if r.verdict is Verdict.STORE]
            assert not self.voided & set(new), "voided twice"
            assert not self.stored.keys() & set(new), "a void over a stored record"
            self.voided |= set(new)
        else:
            judgement = judge_readings(message, self.cursor, FINE, self.seen())
            for record in judgement.records:
                if record.verdict is Verdict.STORE:
                    assert record.sequence not in self.stored, "stored twice"
                    self.stored[record.sequence] = message.records[record.index].values[0]
        if judgement.gap:
            self.given_up |= set(range(judgement.gap[0], judgement.gap[1] + 1))
        assert judgement.cursor >= self.cursor, "the cursor went back"
        self.cursor = judgement.cursor
        assert not judgement.alarms, "there is no fork here"
        return judgement.ack


def content_of(grams: int) -> bytes:
    return readings(1, weight(grams)).content(0)


class Exchange(RuleBasedStateMachine):
    """A device with a journal, a network that does as it likes, a cloud that may be restored."""

    @initialize()
    def begin(self) -> None:
        self.cloud = Cloud()
        self.snapshot = Cloud()
        self.restored = False
        self.oldest = 1
        self.journal: list[int | None] = []  # grams; None: a void
        self.truth: dict[int, int] = {}
        self.on_the_way: list[frame.Readings | frame.Voids] = []
        self.acks: list[answer.Ack] = []

    @property
    def next_sequence(self) -> int:
        return self.oldest + len(self.journal)

    @rule(count=st.integers(1, 6))
    def weigh(self, count: int) -> None:
        for _ in range(count):
            grams = 50_000 + self.next_sequence  # each its own: a mix-up would be seen
            self.truth[self.next_sequence] = grams
            self.journal.append(grams)

    @precondition(lambda self: self.journal)
    @rule()
    def erase(self) -> None:
        self.journal = [None] * len(self.journal)

    @precondition(lambda self: self.journal)
    @rule(data=st.data())
    def send(self, data: st.DataObject) -> None:
        start = data.draw(st.integers(0, len(self.journal) - 1))
        self.on_the_way.append(self.message(start, data.draw(st.integers(1, 8))))

    def message(self, start: int, most: int) -> frame.Readings | frame.Voids:
        kind = self.journal[start] is None
        run = []
        for grams in self.journal[start : start + most]:
            if (grams is None) != kind:
                break
            run.append(grams)
        first = self.oldest + start
        if kind:
            return frame.Voids(oldest=self.oldest, first=first, count=len(run))
        records = [weight(grams) for grams in run if grams is not None]
        return readings(first, *records, oldest=self.oldest)

    @precondition(lambda self: self.on_the_way)
    @rule(data=st.data(), again=st.booleans())
    def deliver(self, data: st.DataObject, again: bool) -> None:  # noqa: FBT001 - hypothesis
        index = data.draw(st.integers(0, len(self.on_the_way) - 1))
        message = self.on_the_way[index] if again else self.on_the_way.pop(index)
        self.acks.append(self.cloud.take(message))

    @precondition(lambda self: self.on_the_way)
    @rule()
    def lose(self) -> None:
        self.on_the_way.pop(0)

    @precondition(lambda self: self.acks)
    @rule(data=st.data(), again=st.booleans())
    def hear(self, data: st.DataObject, again: bool) -> None:  # noqa: FBT001 - hypothesis
        index = data.draw(st.integers(0, len(self.acks) - 1))
        self.trim(self.acks[index] if again else self.acks.pop(index))

    def trim(self, ack: answer.Ack) -> None:
        while self.journal and self.oldest <= ack.settled:
            self.journal.pop(0)
            self.oldest += 1

    @rule()
    def back_up(self) -> None:
        self.snapshot = self.cloud.copy()

    @rule()
    def restore(self) -> None:
        """The cloud is put back; messages of before are gone with the connection."""
        self.cloud = self.snapshot.copy()
        self.restored = True
        self.on_the_way.clear()
        self.acks.clear()

    @invariant()
    def what_is_stored_is_true(self) -> None:
        for sequence, grams in self.cloud.stored.items():
            assert self.truth[sequence] == grams

    @invariant()
    def everything_up_to_the_cursor_is_accounted_for(self) -> None:
        cloud = self.cloud
        known = cloud.stored.keys() | cloud.voided | cloud.given_up
        assert set(range(1, cloud.cursor + 1)) <= known
        if not self.restored:
            assert not cloud.given_up, "nothing was lost, so nothing may be given up"

    @invariant()
    def nothing_settled_is_lost(self) -> None:
        """What the device has let go of is with the cloud, unless that was put back."""
        if self.restored:
            return
        known = self.cloud.stored.keys() | self.cloud.voided
        assert set(range(1, self.oldest)) <= known

    def teardown(self) -> None:
        """In the end a connection that works settles everything that is still kept."""
        if not hasattr(self, "cloud"):
            return
        while self.journal:
            before = self.oldest
            self.trim(self.cloud.take(self.message(0, 8)))
            assert self.oldest > before, "no progress"
        assert self.cloud.cursor >= self.oldest - 1


TestExchange = Exchange.TestCase
TestExchange.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
