"""The code that a device shows to be claimed (SPEC 4.2): `to_text`, `from_text`, `proof`.

80 random bits as 16 characters of Crockford base 32 in four groups. Only the proof is
ever sent. Pure; the random bytes are an argument.
"""

from protocol import cbor, mac
from protocol.errors import MessageError

CODE_SIZE = 10
_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_LENGTH = 16
_PURPOSE = "tare/1/claim-code"


def to_text(code: bytes) -> str:
    """Return the code as it is shown: ``XXXX-XXXX-XXXX-XXXX``."""
    number = int.from_bytes(_sized(code), "big")
    text = ""
    for index in range(_LENGTH):
        text = _ALPHABET[number >> 5 * index & 31] + text
    return "-".join([text[start : start + 4] for start in range(0, _LENGTH, 4)])


def from_text(text: str) -> bytes:
    """Return the code that a person typed; `MessageError` if it cannot be one.

    As Crockford's base 32 wants it: case, blanks and hyphens do not matter, O is read as
    0, I and L as 1.
    """
    number = 0
    length = 0
    for character in text.upper():
        if character in "- ":
            continue
        digit = _ALPHABET.find({"O": "0", "I": "1", "L": "1"}.get(character, character))
        if digit < 0 or length == _LENGTH:
            raise MessageError("claim-code")
        number = number << 5 | digit
        length += 1
    if length != _LENGTH:
        raise MessageError("claim-code")
    return number.to_bytes(CODE_SIZE, "big")


def proof(kid: bytes, code: bytes) -> bytes:
    """Return what the claim window carries instead of the code, 32 bytes."""
    return mac.sha256(cbor.encode([_PURPOSE, kid, _sized(code)]))


def _sized(code: bytes) -> bytes:
    if len(code) != CODE_SIZE:
        raise MessageError("claim-code")
    return code
