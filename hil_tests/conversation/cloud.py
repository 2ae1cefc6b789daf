"""The cloud in the search: the real judge around rows in a dictionary.

What is here and not in `cloud_agent.ingest.judge` mirrors `handlers`, `records`, `outbox` and
`claims`, without their database; a test puts both before the same messages. A `Cloud` is never
changed once it is in the search: `handle` works on a copy.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cache

from cloud_agent.ingest import judge
from hil_tests.conversation.device import COMMAND_SIGNER, IDENTITY, NOW_S
from protocol import answer, command, envelope, frame, message_types
from protocol.fields import Payload

#: A counter beyond all that a search gives before a restore.
_LATER = 100
_Records = frame.Readings | frame.Receipts | frame.Voids


@dataclass(frozen=True)
class Order:
    """What an account wants of the device; `state` is waiting, done or failed."""

    verb: int
    arguments: tuple[object, ...]
    state: str = "waiting"


@dataclass(frozen=True)
class Durable:
    """What a backup holds. `rows`: sequence -> (outcome, content), as the ingest table has them."""

    cursor: int = 0
    rows: frozenset[tuple[int, int, bytes | None]] = frozenset()
    gaps: tuple[tuple[int, int], ...] = ()
    claims: frozenset[tuple[int, bool]] = frozenset()
    last_epoch: int = 0
    orders: tuple[Order, ...] = ()
    rendered: frozenset[tuple[int, int]] = frozenset()
    counter: int = 0
    hello_epoch: int = 0
    window: bool = False

    def outcome(self, sequence: int) -> tuple[int, bytes | None] | None:
        """What became of a sequence: (0 or the reason of a drop, content), or None."""
        for each, outcome, content in self.rows:
            if each == sequence:
                return outcome, content
        return None

    def in_gap(self, sequence: int) -> bool:
        """Whether the loss of a sequence was noted."""
        return any(first <= sequence <= last for first, last in self.gaps)


@dataclass(frozen=True)
class Cloud:
    """`erased` is the ledger's, which outlives a restore; `greeted` the process's memory."""

    durable: Durable = Durable()
    erased: frozenset[tuple[int, int]] = frozenset()
    greeted: bytes | None = None
    was_restored: bool = False
    has_floor: bool = field(default=True, compare=False)

    def handle(self, message: Payload) -> tuple[Cloud, list[bytes]]:
        """Do what a verified message asks; return what is answered after the commit."""
        if isinstance(message, frame.Hello):
            return self._hello(message)
        if isinstance(message, frame.ClaimWindow):
            known = self.greeted is None or self.greeted == message.nonce
            return (
                replace(self, durable=replace(self.durable, window=True)) if known else self
            ), []
        if isinstance(message, frame.Readings):
            return self._readings(message)
        if isinstance(message, frame.Receipts):
            return self._receipts(message)
        if isinstance(message, frame.Voids):
            return self._voids(message)
        raise TypeError

    # What people and operators do

    @property
    def given(self) -> int:
        """How many counters were given, since the restore if there was one."""
        return self.durable.counter % _LATER

    def restarted(self) -> Cloud:
        """The process begins again."""
        return replace(self, greeted=None)

    def restored(self, backup: Durable) -> Cloud:
        """The database is put back; the ledger is not."""
        return replace(self, durable=backup, greeted=None, was_restored=True)

    def claimed(self) -> Cloud:
        """An account types the code."""
        state = self.durable
        epoch = max(state.last_epoch, state.hello_epoch) + 1
        order = Order(command.VERB_CLAIM, (epoch, ((1, 1, 0),)))
        claims = state.claims | {(epoch, True)}
        changed = replace(
            state, window=False, last_epoch=epoch, claims=claims, orders=(*state.orders, order)
        )
        return replace(self, durable=changed)

    def ordered(self, order: Order) -> Cloud:
        """An account orders something; an erasure is in the ledger first."""
        erased = self.erased
        if order.verb == command.VERB_ERASE:
            handles = order.arguments or (-1,)
            epoch = self.durable.last_epoch
            erased |= {(epoch, int(str(handle))) for handle in handles}
        changed = replace(self.durable, orders=(*self.durable.orders, order))
        return replace(self, durable=changed, erased=erased)

    def settled_unknown_claim(self) -> Cloud:
        """The operator ends a claim that a restore has forgotten (SPEC 8.4, hold 16)."""
        state = self.durable
        epoch = max(state.last_epoch, state.hello_epoch)
        return replace(self, durable=replace(state, last_epoch=epoch))

    def orders(self, obeyed: int = 0) -> tuple[Cloud, list[bytes]]:
        """Sign every waiting order under a new counter."""
        state = self.durable
        waiting = [at for at, order in enumerate(state.orders) if order.state == "waiting"]
        if not waiting:
            return self, []
        # The floor that follows the clock (SPEC 6.5): after a restore it is beyond all before.
        counter = max(state.counter, obeyed, _LATER if self.was_restored and self.has_floor else 0)
        rendered, messages = set(state.rendered), []
        for at in waiting:
            counter += 1
            rendered = {pair for pair in rendered if pair[0] != counter} | {(counter, at)}
            messages.append(_command(counter, state.orders[at]))
        changed = replace(state, counter=counter, rendered=frozenset(rendered))
        return replace(self, durable=changed), messages

    # Messages

    def _hello(self, hello: frame.Hello) -> tuple[Cloud, list[bytes]]:
        told = replace(self.durable, hello_epoch=hello.claim_epoch)
        epochs = [epoch for epoch, is_open in told.claims if is_open]
        welcome = answer.Welcome(
            nonce=hello.nonce, time_s=NOW_S, settled=told.cursor, claim_epoch=max(epochs, default=0)
        )
        greeted, commands = replace(self, durable=told, greeted=hello.nonce).orders(
            hello.command_counter
        )
        return greeted, [_sealed(welcome), *commands]

    def _window(self, window: frame.ClaimWindow) -> Cloud:
        if self.greeted not in {None, window.nonce}:
            return self
        return replace(self, durable=replace(self.durable, window=True))

    def _readings(self, message: frame.Readings) -> tuple[Cloud, list[bytes]]:
        judged = judge.judge_readings(
            message, self.durable.cursor, self._origin(message), self._seen(message)
        )
        return self._settle(judged, [message.content(at) for at in range(len(message.records))])

    def _receipts(self, message: frame.Receipts) -> tuple[Cloud, list[bytes]]:
        judged = judge.judge_receipts(message, self.durable.cursor, self._seen(message))
        new = [each.index for each in judged.records if each.verdict is judge.Verdict.STORE]
        state = self.durable
        for at in new:
            state = _with_receipt(state, message.receipts[at])
        contents = [message.content(at) for at in range(len(message.receipts))]
        closed = replace(self, durable=state)
        return closed._settle(judged, contents)  # noqa: SLF001 - another one of ours

    def _voids(self, message: frame.Voids) -> tuple[Cloud, list[bytes]]:
        judged = judge.judge_voids(message, self.durable.cursor, self._seen(message))
        return self._settle(judged, [None] * message.count, stored_as=answer.DROP_ERASED)

    def _settle(
        self, judged: judge.Judgement, contents: list[bytes] | list[None], stored_as: int = 0
    ) -> tuple[Cloud, list[bytes]]:
        state = self.durable
        known = {row[0] for row in state.rows}
        rows = set(state.rows)
        for record in judged.records:
            if record.sequence in known:
                continue
            if record.verdict is judge.Verdict.STORE:
                rows.add((record.sequence, stored_as, contents[record.index]))
            elif record.verdict is judge.Verdict.DROP:
                rows.add((record.sequence, record.reason, None))
        gaps = state.gaps if judged.gap is None else (*state.gaps, judged.gap)
        changed = replace(state, rows=frozenset(rows), cursor=judged.cursor, gaps=gaps)
        return replace(self, durable=changed), [_sealed(judged.ack)]

    def _origin(self, message: frame.Readings) -> judge.Origin:
        claims = dict(self.durable.claims)
        epoch = message.claim_epoch
        if epoch in claims:
            claim = judge.ClaimState.OPEN if claims[epoch] else judge.ClaimState.ENDED
        else:
            unknown = epoch > self.durable.last_epoch
            claim = judge.ClaimState.UNKNOWN if unknown else judge.ClaimState.ENDED
        erased = bool({(epoch, message.handle), (epoch, -1)} & self.erased)
        return judge.Origin(claim=claim, erased=erased, consent=True)

    def _seen(
        self, message: frame.Readings | frame.Receipts | frame.Voids
    ) -> dict[int, judge.Seen]:
        wanted = range(message.first, message.last + 1)
        return {
            sequence: judge.Seen(outcome, None if content is None else content.__eq__)
            for sequence, outcome, content in self.durable.rows
            if sequence in wanted
        }


def _with_receipt(state: Durable, receipt: frame.Receipt) -> Durable:
    """Close the order that a receipt is for; a claim that was refused ends."""
    at = dict(state.rendered).get(receipt.counter)
    if at is None or state.orders[at].verb != receipt.verb or state.orders[at].state != "waiting":
        return state
    done = receipt.outcome in {frame.OUTCOME_DONE, frame.OUTCOME_DONE_ALREADY}
    order = replace(state.orders[at], state="done" if done else "failed")
    orders = (*state.orders[:at], order, *state.orders[at + 1 :])
    claims = state.claims
    if order.verb == command.VERB_CLAIM and not done:
        claims = frozenset((epoch, False) for epoch, _ in claims if epoch == order.arguments[0]) | {
            pair for pair in claims if pair[0] != order.arguments[0]
        }
    return replace(state, orders=orders, claims=claims)


@cache
def _command(counter: int, order: Order) -> bytes:
    message = command.Command(
        counter=counter,
        issued_s=NOW_S,
        expires_s=NOW_S + 3600,
        verb=order.verb,
        arguments=_listed(order.arguments),
    )
    kind = message_types.COMMAND
    return envelope.seal_sign1(kind, IDENTITY.kid, message.encode(), COMMAND_SIGNER)


def _listed(items: tuple[object, ...]) -> list[object]:
    return [_listed(item) if isinstance(item, tuple) else item for item in items]


def _sealed(message: Payload) -> bytes:
    payload = message.encode()
    return envelope.seal_mac0(
        message.TYPE, IDENTITY.kid, payload, IDENTITY.generation, IDENTITY.mac_key
    )


@cache
def opened(data: bytes) -> Payload:
    """Return the uplink message inside an envelope of the device."""
    return frame.parse(envelope.parse_sign1(data).payload)
