"""Uplink messages (SPEC 4): `Hello`, `ClaimWindow`, `Readings`, `Receipts`, `Voids`.

A constructor refuses what the grammar refuses, so every object can be encoded; `parse`
returns one of them from a payload (bytes, or an item already decoded strictly). Whether
the records inside are acceptable is judged one by one: see `reading.Reading.judge`. Pure.
"""

from protocol import cbor, fields, message_types, reading
from protocol.errors import MessageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

BOOT_POWER_ON = 0
BOOT_RESET = 1
BOOT_DEEP_SLEEP_WAKE = 2
BOOT_WATCHDOG = 3
BOOT_SAFE_MODE = 4

OUTCOME_DONE = 0
OUTCOME_DONE_ALREADY = 1
OUTCOME_UNKNOWN_VERB = 2
OUTCOME_ARGUMENTS_REFUSED = 3
OUTCOME_FAILED = 4

NONCE_SIZE = 16
PROOF_SIZE = 32
MAX_LABEL_SIZE = 32
MAX_HANDLE = 0xFFFF
MAX_READINGS = 32
MAX_RECEIPTS = 16
MAX_DETAIL_SIZE = 64
MAX_VOIDS = 0xFFFF
MAX_VERB = 0xFFFF
MAX_CLAIM_WINDOW_S = 600

_MAX = fields.MAX_INTEGER


def parse(data: object) -> "Hello | ClaimWindow | Readings | Receipts | Voids":
    """Return the uplink message that a payload is; `MessageError` or `CborError` otherwise."""
    item = cbor.decode(data) if isinstance(data, (bytes, bytearray, memoryview)) else data
    message_type = message_types.type_of(item, message_types.UPLINK)
    if message_type == message_types.READINGS:
        return Readings.parse(item)
    if message_type == message_types.HELLO:
        return Hello.parse(item)
    if message_type == message_types.RECEIPTS:
        return Receipts.parse(item)
    if message_type == message_types.VOIDS:
        return Voids.parse(item)
    return ClaimWindow.parse(item)


def content(
    message_type: int, claim_epoch: int, handle: int, clock_epoch: int, record: object
) -> bytes:
    """Return what makes a sequence a duplicate or a fork (SPEC 8.5); the cloud digests it.

    `record` is the record's array. Receipts have no claim epoch, handle and clock epoch: 0.
    """
    return cbor.encode([message_type, claim_epoch, handle, clock_epoch, record])


class Hello(fields.Payload):
    """First message of a connection. `wall_s` is None while the device knows no time.

    The journal keeps the sequences `oldest` .. `next_sequence` - 1.
    """

    TYPE = message_types.HELLO

    def __init__(
        self,
        *,
        nonce: bytes,
        model: str,
        firmware: str,
        boot_counter: int,
        boot_reason: int,
        clock_epoch: int,
        clock_s: int,
        wall_s: int | None,
        oldest: int,
        next_sequence: int,
        claim_epoch: int,
        command_counter: int,
    ) -> None:
        self.nonce = fields.octets(nonce, NONCE_SIZE, NONCE_SIZE, "hello-nonce")
        self.model = fields.text(model, MAX_LABEL_SIZE, "hello-model")
        self.firmware = fields.text(firmware, MAX_LABEL_SIZE, "hello-firmware")
        self.boot_counter = fields.integer(boot_counter, 0, _MAX, "hello-boot")
        self.boot_reason = fields.integer(boot_reason, 0, BOOT_SAFE_MODE, "hello-boot")
        self.clock_epoch = fields.integer(clock_epoch, 1, _MAX, "hello-clock")
        self.clock_s = fields.integer(clock_s, 0, fields.MAX_TIME, "hello-clock")
        self.wall_s = wall_s
        if wall_s is not None:
            fields.integer(wall_s, 0, fields.MAX_TIME, "hello-clock")
        self.next_sequence = fields.integer(next_sequence, 1, _MAX, "hello-journal")
        self.oldest = fields.integer(oldest, 1, next_sequence, "hello-journal")
        self.claim_epoch = fields.integer(claim_epoch, 0, _MAX, "hello-claim")
        self.command_counter = fields.integer(command_counter, 0, _MAX, "hello-command")

    @staticmethod
    def parse(data: object) -> "Hello":
        """Return the hello that a payload is."""
        rest = fields.payload(data, Hello.TYPE, 9, "hello-shape")
        nonce, model, firmware, boot, clock, journal, claim_epoch, command_counter = rest
        boot_counter, boot_reason = fields.array(boot, 2, 2, "hello-boot")
        clock_epoch, clock_s, wall_s = fields.array(clock, 3, 3, "hello-clock")
        oldest, next_sequence = fields.array(journal, 2, 2, "hello-journal")
        return Hello(
            nonce=nonce,
            model=model,
            firmware=firmware,
            boot_counter=boot_counter,
            boot_reason=boot_reason,
            clock_epoch=clock_epoch,
            clock_s=clock_s,
            wall_s=wall_s,
            oldest=oldest,
            next_sequence=next_sequence,
            claim_epoch=claim_epoch,
            command_counter=command_counter,
        )

    def item(self) -> list[object]:
        """Return the array that is encoded."""
        return [
            self.TYPE,
            self.nonce,
            self.model,
            self.firmware,
            [self.boot_counter, self.boot_reason],
            [self.clock_epoch, self.clock_s, self.wall_s],
            [self.oldest, self.next_sequence],
            self.claim_epoch,
            self.command_counter,
        ]


class ClaimWindow(fields.Payload):
    """The button was pressed: whoever knows the code behind `proof` may claim the device."""

    TYPE = message_types.CLAIM_WINDOW

    def __init__(self, *, nonce: bytes, proof: bytes, window_s: int) -> None:
        self.nonce = fields.octets(nonce, NONCE_SIZE, NONCE_SIZE, "claim-nonce")
        self.proof = fields.octets(proof, PROOF_SIZE, PROOF_SIZE, "claim-proof")
        self.window_s = fields.integer(window_s, 1, MAX_CLAIM_WINDOW_S, "claim-window")

    @staticmethod
    def parse(data: object) -> "ClaimWindow":
        """Return the claim window that a payload is."""
        nonce, proof, window_s = fields.payload(data, ClaimWindow.TYPE, 4, "claim-shape")
        return ClaimWindow(nonce=nonce, proof=proof, window_s=window_s)

    def item(self) -> list[object]:
        """Return the array that is encoded."""
        return [self.TYPE, self.nonce, self.proof, self.window_s]


class Clock:
    """A frame's clock form: which clock epoch, and when it began as far as its seconds matter.

    Without `earliest_s` the records carry wall time. With it they count from the beginning
    of the epoch, which was at `earliest_s`, or, with `latest_s`, somewhere between the two.
    """

    __slots__ = ("earliest_s", "epoch", "latest_s")

    def __init__(
        self, epoch: int, earliest_s: int | None = None, latest_s: int | None = None
    ) -> None:
        self.epoch = fields.integer(epoch, 1, _MAX, "frame-clock")
        self.earliest_s = earliest_s
        self.latest_s = earliest_s if latest_s is None else latest_s
        if earliest_s is not None:
            fields.integer(earliest_s, 0, fields.MAX_TIME, "frame-clock")
            fields.integer(self.latest_s, earliest_s, fields.MAX_TIME, "frame-clock")
        elif latest_s is not None:
            raise MessageError("frame-clock")

    @property
    def since_epoch(self) -> bool:
        """True when the records count from the beginning of the epoch."""
        return self.earliest_s is not None

    def taken(self, seconds: int) -> tuple[int, int]:
        """Return the earliest and latest wall time of a record with these `seconds`."""
        if self.earliest_s is None or self.latest_s is None:
            return seconds, seconds
        return self.earliest_s + seconds, self.latest_s + seconds

    @staticmethod
    def parse(item: object) -> "Clock":
        """Return the clock form that an element of a frame is."""
        if not isinstance(item, list):
            return Clock(fields.integer(item, 1, _MAX, "frame-clock"))
        parts = fields.array(item, 2, 3, "frame-clock")
        clock = Clock(parts[0], fields.integer(parts[1], 0, fields.MAX_TIME, "frame-clock"))
        if len(parts) == 3:
            # One meaning, one encoding: an interval of one second is the shorter form.
            low = parts[1] + 1
            clock.latest_s = fields.integer(parts[2], low, fields.MAX_TIME, "frame-clock")
        return clock

    def item(self) -> object:
        """Return the element that is encoded."""
        if self.earliest_s is None:
            return self.epoch
        if self.earliest_s == self.latest_s:
            return [self.epoch, self.earliest_s]
        return [self.epoch, self.earliest_s, self.latest_s]


class Readings(fields.Payload):
    """1 .. 32 readings of consecutive sequence, of one claim, person handle and clock epoch."""

    TYPE = message_types.READINGS

    def __init__(
        self,
        *,
        oldest: int,
        first: int,
        claim_epoch: int,
        handle: int,
        clock: Clock,
        records: "Sequence[reading.Reading]",
    ) -> None:
        if not 0 < len(records) <= MAX_READINGS:
            raise MessageError("frame-records")
        self.oldest, self.first = _sequences(oldest, first, len(records))
        self.claim_epoch = fields.integer(claim_epoch, 0, _MAX, "frame-claim")
        self.handle = fields.integer(handle, 0, MAX_HANDLE, "frame-handle")
        self.clock = clock
        self.records = list(records)

    @property
    def last(self) -> int:
        """The sequence of the last record."""
        return self.first + len(self.records) - 1

    def judge(self, index: int) -> str:
        """Return `reading.FINE`, `OUT_OF_RANGE` or `UNKNOWN_KIND` for one record.

        A record whose time basis is not that of the frame's clock form is out of range.
        """
        record = self.records[index]
        verdict = record.judge(self.handle)
        if verdict == reading.FINE and record.since_epoch != self.clock.since_epoch:
            return reading.OUT_OF_RANGE
        return verdict

    def content(self, index: int) -> bytes:
        """Return what tells a repetition of this record from a fork (SPEC 8.5)."""
        record = self.records[index].item()
        return content(self.TYPE, self.claim_epoch, self.handle, self.clock.epoch, record)

    @staticmethod
    def parse(data: object) -> "Readings":
        """Return the readings that a payload holds."""
        rest = fields.payload(data, Readings.TYPE, 7, "frame-shape")
        oldest, first, claim_epoch, handle, clock, records = rest
        listed = fields.array(records, 1, MAX_READINGS, "frame-records")
        return Readings(
            oldest=oldest,
            first=first,
            claim_epoch=claim_epoch,
            handle=handle,
            clock=Clock.parse(clock),
            records=[reading.parse(record) for record in listed],
        )

    def item(self) -> list[object]:
        """Return the array that is encoded."""
        records = [record.item() for record in self.records]
        return [
            self.TYPE,
            self.oldest,
            self.first,
            self.claim_epoch,
            self.handle,
            self.clock.item(),
            records,
        ]


class Receipt:
    """What became of a command: its `counter`, its `verb` and one of the OUTCOME constants.

    `detail` (1 .. 64 bytes, else empty) is what the verb gives back (SPEC 4.5).
    """

    __slots__ = ("counter", "detail", "outcome", "verb")

    def __init__(self, counter: int, verb: int, outcome: int, detail: bytes = b"") -> None:
        self.counter = fields.integer(counter, 1, _MAX, "receipt-counter")
        self.verb = fields.integer(verb, 1, MAX_VERB, "receipt-verb")
        self.outcome = fields.integer(outcome, 0, OUTCOME_FAILED, "receipt-outcome")
        self.detail = fields.octets(detail, 0, MAX_DETAIL_SIZE, "receipt-detail")

    @staticmethod
    def parse(item: object) -> "Receipt":
        """Return the receipt that a decoded item is."""
        parts = fields.array(item, 3, 4, "receipt-shape")
        if len(parts) == 3:
            return Receipt(parts[0], parts[1], parts[2])
        # One meaning, one encoding: an empty detail is the shorter form.
        detail = fields.octets(parts[3], 1, MAX_DETAIL_SIZE, "receipt-detail")
        return Receipt(parts[0], parts[1], parts[2], detail)

    def item(self) -> list[object]:
        """Return the array that is journalled and sent."""
        parts: list[object] = [self.counter, self.verb, self.outcome]
        if self.detail:
            parts.append(self.detail)
        return parts


class Receipts(fields.Payload):
    """1 .. 16 receipts of consecutive sequence."""

    TYPE = message_types.RECEIPTS

    def __init__(self, *, oldest: int, first: int, receipts: "Sequence[Receipt]") -> None:
        if not 0 < len(receipts) <= MAX_RECEIPTS:
            raise MessageError("frame-receipts")
        self.oldest, self.first = _sequences(oldest, first, len(receipts))
        self.receipts = list(receipts)

    @property
    def last(self) -> int:
        """The sequence of the last receipt."""
        return self.first + len(self.receipts) - 1

    def content(self, index: int) -> bytes:
        """Return what tells a repetition of this receipt from a fork (SPEC 8.5)."""
        return content(self.TYPE, 0, 0, 0, self.receipts[index].item())

    @staticmethod
    def parse(data: object) -> "Receipts":
        """Return the receipts that a payload holds."""
        oldest, first, receipts = fields.payload(data, Receipts.TYPE, 4, "receipts-shape")
        listed = fields.array(receipts, 1, MAX_RECEIPTS, "frame-receipts")
        parsed = [Receipt.parse(receipt) for receipt in listed]
        return Receipts(oldest=oldest, first=first, receipts=parsed)

    def item(self) -> list[object]:
        """Return the array that is encoded."""
        receipts = [receipt.item() for receipt in self.receipts]
        return [self.TYPE, self.oldest, self.first, receipts]


class Voids(fields.Payload):
    """The records `first` .. `last` were erased before they were settled."""

    TYPE = message_types.VOIDS

    def __init__(self, *, oldest: int, first: int, count: int) -> None:
        self.count = fields.integer(count, 1, MAX_VOIDS, "voids-count")
        self.oldest, self.first = _sequences(oldest, first, count)

    @property
    def last(self) -> int:
        """The sequence of the last void."""
        return self.first + self.count - 1

    @staticmethod
    def parse(data: object) -> "Voids":
        """Return the voids that a payload holds."""
        oldest, first, count = fields.payload(data, Voids.TYPE, 4, "voids-shape")
        return Voids(oldest=oldest, first=first, count=count)

    def item(self) -> list[object]:
        """Return the array that is encoded."""
        return [self.TYPE, self.oldest, self.first, self.count]


def _sequences(oldest: int, first: int, count: int) -> tuple[int, int]:
    """Check that the records are among those still kept, and that the last can be numbered."""
    fields.integer(first, 1, _MAX - count + 1, "frame-sequence")
    return fields.integer(oldest, 1, first, "frame-sequence"), first
