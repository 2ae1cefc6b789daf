"""The cloud's answers (SPEC 5): `Welcome`, `Ack`, and `parse` for either. Pure."""

from protocol import cbor, fields, message_types
from protocol.errors import MessageError
from protocol.frame import NONCE_SIZE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

DROP_ERASED = 1
DROP_CLAIM_ENDED = 2
DROP_OUT_OF_RANGE = 3
DROP_CONSENT_WITHDRAWN = 4
HOLD_CLAIM_UNKNOWN = 16
HOLD_FORK = 17
HOLD_KIND_UNKNOWN = 18

MAX_REFUSALS = 32
_FIRST_HOLD = 16
_LAST_HOLD = 31

_MAX = fields.MAX_INTEGER


def is_hold(reason: int) -> bool:
    """Tell whether a reason, known or not, only means "not now"."""
    return reason >= _FIRST_HOLD


def parse(data: object) -> "Welcome | Ack":
    """Return the answer that a payload is; `MessageError` or `CborError` otherwise."""
    item = cbor.decode(data) if isinstance(data, (bytes, bytearray, memoryview)) else data
    if message_types.type_of(item, message_types.ANSWERS) == message_types.ACK:
        return Ack.parse(item)
    return Welcome.parse(item)


class Welcome(fields.Payload):
    """Answer to a hello, whose `nonce` it echoes: the time, the cursor, the claim."""

    TYPE = message_types.WELCOME

    def __init__(self, *, nonce: bytes, time_s: int, settled: int, claim_epoch: int) -> None:
        self.nonce = fields.octets(nonce, NONCE_SIZE, NONCE_SIZE, "welcome-nonce")
        self.time_s = fields.integer(time_s, 0, fields.MAX_TIME, "welcome-time")
        self.settled = fields.integer(settled, 0, _MAX, "welcome-settled")
        self.claim_epoch = fields.integer(claim_epoch, 0, _MAX, "welcome-claim")

    @staticmethod
    def parse(data: object) -> "Welcome":
        """Return the welcome that a payload is."""
        nonce, time_s, settled, claim_epoch = fields.payload(data, Welcome.TYPE, 5, "welcome-shape")
        return Welcome(nonce=nonce, time_s=time_s, settled=settled, claim_epoch=claim_epoch)

    def item(self) -> list[object]:
        """Return the array that is encoded."""
        return [self.TYPE, self.nonce, self.time_s, self.settled, self.claim_epoch]


class Ack(fields.Payload):
    """Every sequence up to `settled` is settled; `refusals` are pairs (sequence, reason).

    They are in order of sequence, each once; one that is held lies beyond `settled`.
    """

    TYPE = message_types.ACK

    def __init__(self, *, settled: int, refusals: "Sequence[tuple[int, int]]" = ()) -> None:
        self.settled = fields.integer(settled, 0, _MAX, "ack-settled")
        if len(refusals) > MAX_REFUSALS:
            raise MessageError("ack-refusals")
        self.refusals: list[tuple[int, int]] = []
        previous = 0
        for sequence, reason in refusals:
            fields.integer(sequence, previous + 1, _MAX, "ack-sequence")
            fields.integer(reason, 1, _LAST_HOLD, "ack-reason")
            if is_hold(reason) and sequence <= settled:
                raise MessageError("ack-hold-settled")
            self.refusals.append((sequence, reason))
            previous = sequence

    @staticmethod
    def parse(data: object) -> "Ack":
        """Return the ack that a payload is."""
        settled, refusals = fields.payload(data, Ack.TYPE, 3, "ack-shape")
        pairs = []
        for refusal in fields.array(refusals, 0, MAX_REFUSALS, "ack-refusals"):
            sequence, reason = fields.array(refusal, 2, 2, "ack-refusal")
            pairs.append((sequence, reason))
        return Ack(settled=settled, refusals=pairs)

    def item(self) -> list[object]:
        """Return the array that is encoded."""
        return [self.TYPE, self.settled, [list(refusal) for refusal in self.refusals]]
