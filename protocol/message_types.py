"""Numbers, purposes and sizes of all messages (SPEC 3.4, 3.6, 3.7). Pure."""

from protocol.errors import MessageError

HELLO = 1
CLAIM_WINDOW = 2
READINGS = 3
RECEIPTS = 4
VOIDS = 5
WELCOME = 16
ACK = 17
COMMAND = 32
ENROL_REQUEST = 48
ENROL_ANSWER = 49

UPLINK = (HELLO, CLAIM_WINDOW, READINGS, RECEIPTS, VOIDS)
ANSWERS = (WELCOME, ACK)

MAX_SIZE = 1024
MAX_ENROLMENT_SIZE = 4096

_PURPOSES = {
    HELLO: "tare/1/hello",
    CLAIM_WINDOW: "tare/1/claim-window",
    READINGS: "tare/1/readings",
    RECEIPTS: "tare/1/receipts",
    VOIDS: "tare/1/voids",
    WELCOME: "tare/1/welcome",
    ACK: "tare/1/ack",
    COMMAND: "tare/1/command",
    ENROL_REQUEST: "tare/1/enrol-request",
    ENROL_ANSWER: "tare/1/enrol-answer",
}


def purpose(message_type: int) -> str:
    """Return the text that binds a seal to this type; `MessageError` for an unknown type."""
    text = _PURPOSES.get(message_type)
    if text is None:
        raise MessageError("type")
    return text


def max_size(message_type: int) -> int:
    """Return how many bytes a sealed message of this type may have at most."""
    return MAX_ENROLMENT_SIZE if message_type in {ENROL_REQUEST, ENROL_ANSWER} else MAX_SIZE


def type_of(item: object, allowed: tuple[int, ...]) -> int:
    """Return the type of a decoded payload; `MessageError` unless it is an allowed one."""
    if isinstance(item, list) and item:
        number = item[0]
        if isinstance(number, int) and not isinstance(number, bool) and number in allowed:
            return number
    raise MessageError("type")
