"""Checks that every message shares: sizes and ranges of decoded items (SPEC 1.3).

Each raises `MessageError` with the reason that it is given. `payload` takes bytes or an item
that another strict reader has decoded already, so that the rules exist once. Pure.
"""

from protocol import cbor, message_types
from protocol.errors import MessageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

MAX_INTEGER = (1 << 63) - 1
# Year 4147: the sum of two such numbers still is a date that both runtimes can write.
MAX_TIME = (1 << 36) - 1


class Payload:
    """A message whose fields have been checked; `TYPE` is its first element.

    Has no readable representation on purpose: what is printed by accident ends in a log.
    """

    TYPE = 0

    def item(self) -> list[object]:
        """Return the array that is encoded."""
        raise NotImplementedError

    def encode(self) -> bytes:
        """Return the payload for the envelope."""
        return cbor.encode(self.item())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Payload) and self.item() == other.item()


def payload(data: object, message_type: int, size: int, reason: str) -> "list[Any]":
    """Return the fields after the type of a payload with `size` elements in all.

    They are still unchecked: the constructor that they are given to does that.
    """
    item = cbor.decode(data) if isinstance(data, (bytes, bytearray, memoryview)) else data
    message_types.type_of(item, (message_type,))
    return array(item, size, size, reason)[1:]


def array(item: object, low: int, high: int, reason: str) -> "list[Any]":
    """Return an array of `low` .. `high` elements, themselves unchecked."""
    if isinstance(item, list) and low <= len(item) <= high:
        return item
    raise MessageError(reason)


def integer(item: object, low: int, high: int, reason: str) -> int:
    """Return an integer of `low` .. `high`; a boolean is none."""
    if isinstance(item, int) and not isinstance(item, bool) and low <= item <= high:
        return item
    raise MessageError(reason)


def octets(item: object, low: int, high: int, reason: str) -> bytes:
    """Return a byte string of `low` .. `high` bytes."""
    if isinstance(item, bytes) and low <= len(item) <= high:
        return item
    raise MessageError(reason)


def text(item: object, high: int, reason: str) -> str:
    """Return a text of 1 .. `high` bytes in UTF-8."""
    if isinstance(item, str) and 0 < len(item.encode()) <= high:
        return item
    raise MessageError(reason)
