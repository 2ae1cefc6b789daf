"""One conversation with the cloud, from hello to the last ack, as a state machine (SPEC 7).

Pure but for journal and state behind it: `now_ms` is passed in, messages are bytes. The runner
sends `hello`, hands over what comes in with `receive`, and sends what `next_message` returns.
Rules: no reading, time or command without this connection's welcome; only an ack trims.
"""

from protocol import answer, cbor, claim_code, command, cose, envelope, frame, message_types
from protocol import reading as reading_record
from protocol.errors import CoseError, ProtocolError
from tare import boot_guard, version
from tare import clock as clock_rules
from tare import journal as journal_kinds
from tare.errors import FirmwareError, LinkError
from tare.signer import verify

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from protocol import fields
    from tare.clock import Clock
    from tare.commands import Commands
    from tare.identity import Identity
    from tare.journal import Batch, Journal
    from tare.state import BootState, State

WELCOME = "welcome"
ACK = "ack"
COMMAND = "command"
IGNORED = "ignored"

# In words for whoever reads the log; a cloud may be newer than this list.
_REASONS = {
    answer.DROP_ERASED: "erased",
    answer.DROP_CLAIM_ENDED: "claim ended",
    answer.DROP_OUT_OF_RANGE: "value out of range",
    answer.DROP_CONSENT_WITHDRAWN: "consent withdrawn",
    answer.HOLD_CLAIM_UNKNOWN: "kept, claim not known yet",
    answer.HOLD_FORK: "kept, sequence stored with other content",
    answer.HOLD_KIND_UNKNOWN: "kept, kind of record not known yet",
}
_ANSWER_MS = 10_000
_RESENDS = 4
_WELCOME_MS = 30_000


class Device:
    """The parts of the device that a conversation works on."""

    def __init__(
        self,
        *,
        model: str,
        identity: "Identity",
        journal: "Journal",
        state: "State",
        boot: "BootState",
        clock: "Clock",
        commands: "Commands",
    ) -> None:
        self.model = model
        self.identity = identity
        self.journal = journal
        self.state = state
        self.boot = boot
        self.clock = clock
        self.commands = commands


class ClaimWindow:
    """An open window: whoever reads the 10-byte code off the display may claim the device."""

    def __init__(self, code: bytes, ends_ms: int) -> None:
        self.code = code
        self.ends_ms = ends_ms

    def left_s(self, now_ms: int) -> int:
        """Seconds until it closes, 0 when it has."""
        return max(0, (self.ends_ms - now_ms) // 1000)


class _Flight:
    """What was sent and waits for its answer."""

    def __init__(self, data: bytes, last: int, now_ms: int) -> None:
        self.data = data
        self.last = last
        self.sent_ms = now_ms
        self.resends = 0


class Conversation:
    """`nonce`: 16 random bytes that no other connection had. `log` takes text without values."""

    def __init__(self, device: Device, nonce: bytes, log: "Callable[[str], None]") -> None:
        self.welcomed = False
        self.window: ClaimWindow | None = None
        self._device = device
        self._nonce = nonce
        self._log = log
        self._hello_ms = 0
        self._position = 0
        self._flight: _Flight | None = None
        self._window_told: ClaimWindow | None = None

    def hello(self, now_ms: int) -> bytes:
        """Return the first message."""
        self._hello_ms = now_ms
        device, clock = self._device, self._device.clock
        message = frame.Hello(
            nonce=self._nonce,
            model=device.model,
            firmware=version.FIRMWARE,
            boot_counter=device.boot.counter,
            boot_reason=device.boot.reason,
            clock_epoch=clock.epoch,
            clock_s=clock.seconds(now_ms),
            wall_s=clock.wall(now_ms),
            oldest=device.journal.oldest,
            next_sequence=device.journal.next_sequence,
            claim_epoch=device.state.claim_epoch,
            command_counter=device.state.command_counter,
        )
        self._flight = _Flight(self._sealed(message), 0, now_ms)
        return self._flight.data

    @property
    def idle(self) -> bool:
        """True when nothing is left to send or to wait for."""
        return (
            self.welcomed
            and self._flight is None
            and self._position >= self._device.journal.next_sequence
        )

    def next_message(self, now_ms: int) -> bytes | None:
        """Return what is to be sent now; `LinkError` when the cloud does not answer."""
        if self._flight is not None:
            return self._again(self._flight, now_ms)
        if not self.welcomed:
            raise LinkError("no welcome")
        window = self.window
        if window is not None and window is not self._window_told:
            self._window_told = window
            if window.left_s(now_ms):
                return self._claim_window(window, now_ms)
        batch = self._device.journal.batch(self._position)
        if batch is None:
            return None
        data, last = self._frame(batch)
        self._flight = _Flight(data, last, now_ms)
        return data

    def receive(self, data: bytes, now_ms: int) -> str:
        """Take a message of the cloud; whatever is not authentic and in place is ignored."""
        try:
            if envelope.is_mac0(data):
                return self._answer(data, now_ms)
            return self._command(data, now_ms)
        except ProtocolError as error:
            self._log("ignored a message: " + error.reason)
            return IGNORED

    def _again(self, flight: _Flight, now_ms: int) -> bytes | None:
        if not self.welcomed and now_ms - self._hello_ms >= _WELCOME_MS:
            raise LinkError("no welcome")
        if now_ms - flight.sent_ms < _ANSWER_MS:
            return None
        if flight.resends == _RESENDS:
            raise LinkError("no ack")
        flight.resends += 1
        flight.sent_ms = now_ms
        return flight.data

    def _answer(self, data: bytes, now_ms: int) -> str:
        identity = self._device.identity
        message = envelope.parse_mac0(data)
        generation = envelope.generation_of(message)
        key = identity.mac_key_of(generation)
        if key is None:
            raise CoseError("mac-generation")
        item = cbor.decode(message.payload)
        kind = message_types.type_of(item, message_types.ANSWERS)
        envelope.verify_mac0(message, kind, identity.kid, key)
        parsed = answer.parse(item)
        if isinstance(parsed, answer.Welcome):
            return self._welcome(parsed, generation, now_ms)
        return self._ack(parsed)

    def _welcome(self, welcome: answer.Welcome, generation: int, now_ms: int) -> str:
        device = self._device
        if self.welcomed or welcome.nonce != self._nonce or now_ms - self._hello_ms > _WELCOME_MS:
            return IGNORED
        if not device.clock.learn(welcome.time_s, self._hello_ms, now_ms):
            self._log("ignored a welcome: time before this firmware")
            return IGNORED
        # Before a stored command is finished: what that puts on trial this welcome does not prove.
        self._keep_books(lambda: device.identity.welcomed(generation))
        if not device.journal.trim(welcome.settled):
            self._log("the cloud knows later records: flash was restored, sequence goes on there")
        clock_rules.date_readings(device.journal, device.clock, device.boot.last_known_s)
        device.boot.last_known_s = device.clock.wall(now_ms) or 0
        # From here on the cloud can order what helps; the time is stored anyway.
        boot_guard.proved_good(device.boot)
        self._keep_books(device.boot.save)
        self._keep_books(device.commands.finish)
        self.welcomed = True
        self._flight = None
        self._position = device.journal.oldest
        return WELCOME

    def _keep_books(self, act: "Callable[[], object]") -> None:
        """What has to be noted beside must not stop the readings: a worn sector is told the log."""
        try:
            act()
        except (FirmwareError, ProtocolError) as error:
            self._log("not noted: %s" % error)

    def _ack(self, ack: answer.Ack) -> str:
        if not self.welcomed:
            return IGNORED
        journal = self._device.journal
        if ack.settled >= journal.next_sequence:
            # Authentic, but not for what this flash holds: the next hello sorts it out.
            raise ProtocolError("ack-beyond-journal")
        if ack.settled + 1 < journal.oldest:
            # Of before, delayed or repeated: it must not pass for the answer to this frame.
            return IGNORED
        journal.trim(ack.settled)
        self._keep_books(self._device.commands.finish)
        for sequence, reason in ack.refusals:
            self._log("record %d not stored: %s" % (sequence, _reason(reason)))
        self._position = max(self._position, journal.oldest)
        flight = self._flight
        if flight is not None and flight.last and _covers(ack, flight.last, self._position):
            self._position = max(self._position, flight.last + 1)
            self._flight = None
        return ACK

    def _command(self, data: bytes, now_ms: int) -> str:
        device, identity = self._device, self._device.identity
        now_s = device.clock.wall(now_ms)
        if not self.welcomed or now_s is None:
            return IGNORED
        message = envelope.parse_sign1(data)
        _check_command_key(message, identity.command_key)
        envelope.verify_sign1(
            message,
            message_types.COMMAND,
            identity.kid,
            lambda digest, signature: verify(identity.command_key, digest, signature),
        )
        order = command.Command.parse(message.payload)
        if not device.commands.obey(order, now_s):
            self._log("ignored a command: old, expired or before its time")
            return IGNORED
        self._log("command %d carried out: verb %d" % (order.counter, order.verb))
        # An erasure makes other records of what was under way.
        self._flight = None
        return COMMAND

    def _claim_window(self, window: ClaimWindow, now_ms: int) -> bytes:
        proof = claim_code.proof(self._device.identity.kid, window.code)
        left_s = min(window.left_s(now_ms), frame.MAX_CLAIM_WINDOW_S)
        return self._sealed(frame.ClaimWindow(nonce=self._nonce, proof=proof, window_s=left_s))

    def _frame(self, batch: "Batch") -> tuple[bytes, int]:
        """Seal a batch, or as much of it as one message holds (SPEC 7.4)."""
        while True:
            try:
                return self._sealed(self._message(batch)), batch.last
            except CoseError:
                if batch.count == 1:
                    raise
                batch = batch.shortened()

    def _message(self, batch: "Batch") -> "fields.Payload":
        oldest = self._device.journal.oldest
        if batch.kind == journal_kinds.VOID:
            return frame.Voids(oldest=oldest, first=batch.first, count=batch.count)
        if batch.kind == journal_kinds.RECEIPT:
            receipts = [frame.Receipt.parse(item) for item in batch.items]
            return frame.Receipts(oldest=oldest, first=batch.first, receipts=receipts)
        return frame.Readings(
            oldest=oldest,
            first=batch.first,
            claim_epoch=batch.claim_epoch,
            handle=batch.handle,
            clock=self._clock_form(batch),
            records=[reading_record.parse(item) for item in batch.items],
        )

    def _clock_form(self, batch: "Batch") -> frame.Clock:
        if batch.timed:
            return frame.Clock(batch.clock_epoch)
        date = self._device.journal.date_of(batch.clock_epoch)
        if date is None:
            # Cannot be after a welcome; anything else than all we know would be invented.
            date = (version.BUILD_TIME_S, self._device.boot.last_known_s)
        return frame.Clock(batch.clock_epoch, date[0], max(date))

    def _sealed(self, message: "fields.Payload") -> bytes:
        signer = self._device.identity.signer
        return envelope.seal_sign1(message.TYPE, signer.kid, message.encode(), signer)


def _covers(ack: answer.Ack, last: int, position: int) -> bool:
    """Tell whether an ack can be the answer to a frame that ends with `last`.

    Records that wait behind a held one are not settled though they are stored: then the ack
    names a hold at or before the frame, or its cursor stays below records put aside before.
    """
    if ack.settled >= last:
        return True
    if any(answer.is_hold(reason) for sequence, reason in ack.refusals if sequence <= last):
        return True
    return ack.settled + 1 < position


def _check_command_key(message: cose.Message, command_key: bytes) -> None:
    if message.kid != cose.key_id(command_key):
        raise CoseError("unknown-key")


def _reason(reason: int) -> str:
    return _REASONS.get(reason) or "reason %d" % reason
