"""The cloud of the search answers as the real one does: both get the same messages at random.

The real one is `Handlers` with its databases; the two share the judge, and nothing else.
"""

import random
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa

from cloud_agent.devices import outbox
from cloud_agent.ingest.handlers import Handled, Handlers
from cloud_agent.ingest.verify import Verified
from cloud_agent.storage import schema
from cloud_agent.tests.household import NOW_S, Household, Scale
from hil_tests.conversation.cloud import Cloud, Durable, Order
from protocol import answer, command, envelope, frame, reading
from protocol.fields import Payload

_MESSAGES = 150
_ERASE = Order(command.VERB_ERASE, (7,))


class _Both:
    """The real cloud and the mirror, for one device that belongs to somebody."""

    def __init__(self, folder: Path) -> None:
        self.household = Household(folder)
        account = self.household.open_account("ada@example.org")
        self.scale: Scale = self.household.add_scale()
        self.household.claim(account, self.scale)
        claim = Order(command.VERB_CLAIM, (1, ((1, 1, 0),)))
        self.mirror = Cloud(Durable(claims=frozenset({(1, True)}), last_epoch=1, orders=(claim,)))
        self._signer = self.household._command_signer
        # The mirror counts from nothing; the real one keeps up with the clock.
        self._floor = NOW_S * 1024

    def close(self) -> None:
        self.household.close()

    def place(self) -> None:
        order = command.Erase(7)
        service = self.household.service
        service.writer.call(lambda c: outbox.place(c, self.scale.id, order, NOW_S))
        self.mirror = replace(
            self.mirror,
            durable=replace(self.mirror.durable, orders=(*self.mirror.durable.orders, _ERASE)),
        )

    def handle(self, message: Payload) -> tuple[list[list[object]], list[list[object]]]:
        """Return what either answers, opened; counters as the mirror counts."""
        signed = envelope.seal_sign1(
            message.TYPE, self.scale.signer.kid, message.encode(), self.scale.signer
        )
        # A message of any type.
        verified = Verified(self.scale.id, self._shifted(message, self._floor), signed)  # type: ignore[arg-type]
        handlers = Handlers(self.household.service, self._signer)
        handled: Handled = self.household.service.writer.call(
            lambda c: handlers.handle(c, verified, None)
        )
        self.mirror, answers = self.mirror.handle(message)
        real = [self._opened(each.payload, self._floor) for each in handled.outgoing]
        return real, [self._opened(each, 0) for each in answers]

    def rows(self) -> tuple[int, set[tuple[int, int]], set[tuple[int, int]]]:
        """Return the real cursor, outcomes and gaps."""
        device, ingest, gap = schema.device, schema.ingest, schema.gap
        with self.household.service.database.reading() as connection:
            cursor = connection.execute(sa.select(device.c.cursor)).scalar_one()
            outcomes = connection.execute(sa.select(ingest.c.sequence, ingest.c.outcome)).all()
            gaps = connection.execute(sa.select(gap.c.first, gap.c.last)).all()
        return cursor, {(row[0], row[1]) for row in outcomes}, {(row[0], row[1]) for row in gaps}

    @staticmethod
    def _shifted(message: Payload, floor: int) -> Payload:
        if not isinstance(message, frame.Receipts):
            return message
        receipts = [
            frame.Receipt(each.counter + floor, each.verb, each.outcome)
            for each in message.receipts
        ]
        return frame.Receipts(oldest=message.oldest, first=message.first, receipts=receipts)

    @staticmethod
    def _opened(data: bytes, floor: int) -> list[object]:
        if envelope.is_mac0(data):
            return answer.parse(envelope.parse_mac0(data).payload).item()
        order = command.Command.parse(envelope.parse_sign1(data).payload)
        return ["command", order.counter - floor, order.verb, order.arguments]


class _Sender:
    """Messages as a device, a broker and a restored flash could bring them, in any order."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._sent: list[Payload] = []

    def next(self) -> Payload:
        if self._sent and self._random.random() < 0.3:
            return self._random.choice(self._sent)
        make = self._random.choice((self._readings, self._receipts, self._receipts, self._voids))
        message = self._hello() if self._random.random() < 0.2 else make()
        self._sent.append(message)
        return message

    def _sequences(self) -> tuple[int, int]:
        first = self._random.randint(1, 40)
        return self._random.randint(max(1, first - 6), first), first

    def _hello(self) -> frame.Hello:
        return frame.Hello(
            nonce=self._random.randbytes(16),
            model="scale",
            firmware="1",
            boot_counter=1,
            boot_reason=0,
            clock_epoch=1,
            clock_s=0,
            wall_s=None,
            oldest=1,
            next_sequence=1,
            claim_epoch=1,
            command_counter=0,
        )

    def _readings(self) -> frame.Readings:
        oldest, first = self._sequences()
        handle = self._random.choice((0, 1, 1, 1))
        records = [self._record(first + at, handle) for at in range(self._random.randint(1, 4))]
        epoch = self._random.choice((0, 1, 1, 1, 1, 1, 2))
        clock = frame.Clock(1)
        return frame.Readings(
            oldest=oldest, first=first, claim_epoch=epoch, handle=handle, clock=clock,
            records=records,
        )  # fmt: skip

    def _record(self, sequence: int, handle: int) -> reading.Reading:
        # Now and then other content (a fork), a value out of range, a kind not known yet.
        grams = 50_000 + sequence + self._random.choice((0, 0, 0, 0, 0, 0, 0, 7))
        kind = self._random.choice((1, 1, 1, 1, 1, 1, 1, 9))
        values = [grams if self._random.random() < 0.95 else 400_000]
        return reading.Reading(NOW_S, kind | (1 << 5 if handle else 0), values)

    def _receipts(self) -> frame.Receipts:
        oldest, first = self._sequences()
        verb = self._random.choice((1, 4, 4))
        counter, outcome = self._random.randint(1, 9), self._random.choice((0, 1, 3))
        if verb == 1:
            outcome = 0  # a refused claim would end the only one
        receipts = [frame.Receipt(counter, verb, outcome)]
        return frame.Receipts(oldest=oldest, first=first, receipts=receipts)

    def _voids(self) -> frame.Voids:
        oldest, first = self._sequences()
        return frame.Voids(oldest=oldest, first=first, count=self._random.randint(1, 3))


@pytest.mark.parametrize("seed", range(4))
def test_both_clouds_answer_the_same(tmp_path: Path, seed: int) -> None:
    both, sender = _Both(tmp_path / "data"), _Sender(seed)
    try:
        held = 0
        for number in range(_MESSAGES):
            if number % 40 == 20:
                both.place()
            real, mirrored = both.handle(sender.next())
            assert real == mirrored, number
            held += any(each[0] == 17 and each[2] for each in real)
        state = both.mirror.durable
        outcomes = {(sequence, outcome) for sequence, outcome, _ in state.rows}
        assert both.rows() == (state.cursor, outcomes, set(state.gaps))
        # Positive control: the walk met refusals, gaps and receipts.
        assert held > 10
        assert state.gaps
        assert any(order.state != "waiting" for order in state.orders)
    finally:
        both.close()
