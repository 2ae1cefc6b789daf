"""Nothing passes for anything else: type x purpose x device x key x receiver, all of them.

One door alone opens for each message, and only when everything about the seal is right. That a
welcome must be of this connection as well is shown where connections are: with the firmware's core.
"""

import hmac
from itertools import product

import pytest

from protocol.errors import ProtocolError
from protocol.tests import doors, second
from protocol.tests.traffic import (
    ANSWER,
    CLOUD,
    DEVICE,
    ENROL_ANSWER,
    MAC_KEYS,
    OTHER,
    STRANGER,
    Traffic,
    reader_of,
)

_TYPES = tuple(second.PURPOSES)
_MACED = (16, 17, 49)
_SIGNERS = {"identity": DEVICE, "other identity": OTHER, "command": CLOUD, "stranger": STRANGER}
_MACS = {
    "mac": (MAC_KEYS[DEVICE.kid], 1),
    "other mac": (MAC_KEYS[OTHER.kid], 1),
    "mac under another generation": (MAC_KEYS[DEVICE.kid], 2),
    "mac of nothing": (b"", 1),
}


def _sample(number: int) -> bytes:
    """Return the encoded payload of a good message of this type."""
    traffic = Traffic(7)
    while True:
        item = traffic.item()
        if item[0] == number:
            return second.encode(item)


_LOADS = {number: _sample(number) for number in _TYPES}


def _signed(number: int, purpose: int, device: bytes, signer: str) -> bytes:
    party = _SIGNERS[signer]
    header = second.signed_header(party.kid)
    covered = second.structure("Signature1", header, purpose, device, _LOADS[number])
    return b"\xd2" + second.encode(
        [header, {}, _LOADS[number], second.sign(party.private, covered)]
    )


def _maced(number: int, purpose: int, device: bytes, name: str) -> bytes:
    key, generation = _MACS[name]
    header = second.mac_header(generation)
    covered = second.structure("MAC0", header, purpose, device, _LOADS[number])
    seal = hmac.digest(key, covered, "sha256")
    return b"\xd1" + second.encode([header, {}, _LOADS[number], seal])


def _right_key(number: int) -> str:
    if number in _MACED:
        return "mac"
    return "command" if number == 32 else "identity"


def _opening(data: bytes) -> tuple[list[str], list[str]]:
    """Return the doors that open for a message, of either implementation."""
    first, other = [], []
    for name, read in doors.FIRST.items():
        try:
            read(data)
            first.append(name)
        except ProtocolError:
            pass
    for name, read_second in doors.SECOND.items():
        try:
            read_second(data)
            other.append(name)
        except second.RefusedError:
            pass
    return first, other


@pytest.mark.parametrize("number", _TYPES)
def test_each_message_opens_its_door_and_no_other(number: int) -> None:
    opened = 0
    devices = (DEVICE.kid, OTHER.kid)
    for purpose, device, key in product(_TYPES, devices, (*_SIGNERS, *_MACS)):
        make = _signed if key in _SIGNERS else _maced
        right = purpose == number and device == DEVICE.kid and key == _right_key(number)
        expected = [reader_of(number)] if right else []
        found = _opening(make(number, purpose, device, key))
        assert found == (expected, expected), (purpose, device.hex(), key)
        opened += right
    assert opened == 1


def test_the_matrix_has_both_directions_and_all_doors() -> None:
    assert {reader_of(number) for number in _TYPES} == set(doors.FIRST) == set(doors.SECOND)
    assert {ANSWER, ENROL_ANSWER} == {reader_of(number) for number in _MACED}


@pytest.mark.parametrize("number", _TYPES)
def test_a_message_in_the_other_kind_of_envelope_opens_nothing(number: int) -> None:
    """The seal of one kind cannot be carried in the envelope of the other."""
    key = _right_key(number)
    good = (_signed if key in _SIGNERS else _maced)(number, number, DEVICE.kid, key)
    for tag in range(256):
        if tag != good[0]:
            assert _opening(bytes((tag,)) + good[1:]) == ([], [])
    assert _opening(good)[0] == [reader_of(number)]
