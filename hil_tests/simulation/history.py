"""What really happened, seen from outside: the truth that the checker holds the stores against.

The watchers here also stop a run at once where something must never happen at any moment: a
sequence used twice, a command obeyed twice or too late, an effect without its counter.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

from hil_tests.simulation.timeline import HOUR_MS, SECOND_MS
from protocol import command, envelope, frame
from protocol.errors import ProtocolError

# The cloud gives an order an hour; the rest is half a slow round trip and a drifting clock.
_ORDER_LIFE_MS = HOUR_MS + 60 * SECOND_MS


class BrokenError(Exception):
    """An invariant does not hold; the text says which."""


@dataclass
class Weighing:
    """One reading that a person saw. `sequence` is None unless it was shown as saved."""

    number: int
    device: str
    epoch: int
    handle: int
    grams: int
    taken_ms: int
    sequence: int | None = None


@dataclass
class Welcome:
    """A device learnt the time: when, and how wrong its clock is from then on."""

    at_ms: int
    error_s: int


@dataclass
class ClaimTruth:
    """Whose the device is under a claim epoch. `people`: handle to number of the account."""

    account: int
    people: dict[int, int]
    ended: bool = False


@dataclass
class _DeviceTruth:
    contents: dict[int, bytes] = field(default_factory=dict)
    highest: int = 0
    obeyed: set[int] = field(default_factory=set)
    rendered_ms: dict[int, tuple[int, int]] = field(default_factory=dict)
    # When an order that voids records was carried out, and for which handle (None: all).
    voided: list[tuple[int, int | None]] = field(default_factory=list)
    welcomes: list[Welcome] = field(default_factory=list)


class History:
    """The truth of one run."""

    def __init__(self) -> None:
        self.weighings: dict[int, Weighing] = {}
        self.claims: dict[tuple[str, int], ClaimTruth] = {}
        self.erased: set[int] = set()
        self.full = 0
        self._devices: dict[str, _DeviceTruth] = {}
        self._sum = hashlib.sha256()

    @property
    def fingerprint(self) -> str:
        """Of all messages and when they came, without their seals, which are random."""
        return self._sum.hexdigest()

    @property
    def saved_count(self) -> int:
        """How many readings were shown as saved."""
        return sum(weighing.sequence is not None for weighing in self.weighings.values())

    def of(self, device: str) -> _DeviceTruth:
        """What is known of a device."""
        return self._devices.setdefault(device, _DeviceTruth())

    def weighed(self, weighing: Weighing) -> None:
        """A reading is about to be saved: from here on it may appear."""
        self.weighings[weighing.number] = weighing

    def saved(self, weighing: Weighing, sequence: int) -> None:
        """It was shown as saved: from here on it must appear."""
        truth = self.of(weighing.device)
        if sequence <= truth.highest:
            raise BrokenError(f"sequence {sequence} was given before")
        truth.highest = sequence
        weighing.sequence = sequence

    def booted(self, device: str, next_sequence: int) -> None:
        """A start: the journal must go on behind everything that was given."""
        highest = self.of(device).highest
        if next_sequence <= highest:
            raise BrokenError(f"after a start, sequence {next_sequence} follows {highest}")

    def published(self, device: str, payload: bytes) -> None:
        """A device sends: each sequence has one content for ever, or becomes a void."""
        content = envelope.parse_sign1(payload).payload
        self._sum.update(content)
        message = frame.parse(content)
        if not isinstance(message, frame.Readings | frame.Receipts):
            return
        known = self.of(device).contents
        count = message.last - message.first + 1
        for index in range(count):
            sequence, record = message.first + index, message.content(index)
            if known.setdefault(sequence, record) != record:
                raise BrokenError(f"sequence {sequence} was sent with two contents")

    def answered(self, topic: str, payload: bytes, at_ms: int, jump_s: int) -> None:
        """The agent sends: notes when a command was issued."""
        self._sum.update(f"{topic} {len(payload)} {at_ms}".encode())
        if envelope.is_mac0(payload):
            return
        order = command.Command.parse(envelope.parse_sign1(payload).payload)
        device = topic.split("/")[2]
        self.of(device).rendered_ms.setdefault(order.counter, (at_ms, jump_s))

    def obeyed(self, device: str, counter: int, at_ms: int, jump_s: int) -> None:
        """A device accepted a command."""
        truth = self.of(device)
        if counter in truth.obeyed:
            raise BrokenError(f"command {counter} was obeyed twice")
        truth.obeyed.add(counter)
        if counter not in truth.rendered_ms:
            raise BrokenError(f"command {counter} was obeyed and never given")
        rendered_ms, its_jump_s = truth.rendered_ms[counter]
        # Where the cloud's clock jumped in between, "after its expiry" means nothing.
        if jump_s == its_jump_s and at_ms > rendered_ms + _ORDER_LIFE_MS:
            raise BrokenError(f"command {counter} was obeyed after its expiry")

    def carried_out(self, device: str, payload: bytes, at_ms: int) -> None:
        """A command has had its effect: what an erasure may have voided."""
        whole = command.Command.parse(payload)
        truth, order = self.of(device), whole.order()
        truth.obeyed.add(whole.counter)
        if isinstance(order, command.Erase):
            truth.voided.append((at_ms, order.handle))
        elif isinstance(order, command.Release):
            truth.voided.append((at_ms, None))

    def may_be_void(self, weighing: Weighing) -> bool:
        """Whether an order that covers this reading was carried out after it was made."""
        return any(
            at_ms >= weighing.taken_ms and handle in {None, weighing.handle}
            for at_ms, handle in self.of(weighing.device).voided
        )

    def owner_of(self, weighing: Weighing) -> tuple[int, bool]:
        """Number of the account that it belongs to, and whether it lies in that claim's tray."""
        truth = self.claims[weighing.device, weighing.epoch]
        if weighing.handle in truth.people:
            return truth.people[weighing.handle], False
        return truth.account, True


def is_command(payload: bytes) -> bool:
    """Tell a well-formed command from everything else that may arrive."""
    try:
        return not envelope.is_mac0(payload) and bool(envelope.parse_sign1(payload))
    except ProtocolError:
        return False
