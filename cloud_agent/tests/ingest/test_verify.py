"""Every rule of SPEC 13 has a message that fails just it; and the order of the rules."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud_agent.devices.pki import public_key
from cloud_agent.ingest.errors import MalformedError
from cloud_agent.ingest.strict import strict_decode
from cloud_agent.ingest.verify import KnownDevice, Reason, Refused, Verified, verify
from cloud_agent.tests.ingest.device import Device, high_s, weight
from protocol import cbor, cose, envelope, frame, message_types, topics
from protocol.errors import CborError

DEVICE = Device(Path("unused"))
OTHER = Device(Path("unused"))
UP = topics.up(DEVICE.id)


def known(device: Device) -> KnownDevice:
    key = public_key(device.signer.public_key)
    return KnownDevice(device.id, key, enrolled=True, revoked=False)


DIRECTORY = {DEVICE.kid: known(DEVICE), OTHER.kid: known(OTHER)}


def sealed(
    payload: bytes,
    *,
    device: Device = DEVICE,
    message_type: int = message_types.READINGS,
    kid: bytes | None = None,
) -> bytes:
    """A message with any payload, signed under the purpose of `message_type`."""
    return envelope.seal_sign1(message_type, kid or device.kid, payload, device.signer)


def parts(protected: bytes, unprotected: object, payload: object, signature: object) -> bytes:
    return cbor.encode(cbor.Tag(cose.TAG_SIGN1, [protected, unprotected, payload, signature]))


READINGS = frame.Readings(
    oldest=1, first=1, claim_epoch=1, handle=1, clock=frame.Clock(1), records=[weight(72_500)]
)
PAYLOAD = READINGS.encode()
GOOD = sealed(PAYLOAD)
HEADER = cbor.encode({1: -9, 4: DEVICE.kid})
SIGNATURE = GOOD[-64:]


def resigned(protected: bytes, payload: bytes = PAYLOAD) -> bytes:
    """An envelope with this protected header, rightly signed over it."""
    aad = envelope.external_aad(message_types.READINGS, DEVICE.kid)
    header = cbor.decode(protected)
    assert isinstance(header, dict)
    return cose.sign1(header, {}, payload, aad, DEVICE.signer.sign)


def test_the_good_message_is_verified() -> None:
    outcome = verify(UP, GOOD, DIRECTORY.get)
    assert outcome == Verified(DEVICE.id, READINGS, GOOD)


ZERO_S = GOOD[:-32] + bytes(32)
ZERO_R = GOOD[:-64] + bytes(32) + GOOD[-32:]

MATRIX: list[tuple[str, Reason, str, bytes]] = [
    ("no device id", Reason.TOPIC, "tare/1//up", GOOD),
    ("not hex", Reason.TOPIC, UP.replace(DEVICE.id, DEVICE.id[:-1] + "G"), GOOD),
    ("down", Reason.TOPIC, topics.down(DEVICE.id), GOOD),
    ("version 2", Reason.TOPIC, UP.replace("/1/", "/2/"), GOOD),
    ("more levels", Reason.TOPIC, UP + "/x", GOOD),
    ("empty topic", Reason.TOPIC, "", GOOD),
    ("empty", Reason.SIZE, UP, b""),
    ("one too many", Reason.SIZE, UP, bytes(1025)),
    ("trailing byte", Reason.MALFORMED, UP, GOOD + b"\x00"),
    ("cut", Reason.MALFORMED, UP, GOOD[:-1]),
    ("indefinite length", Reason.MALFORMED, UP, b"\xd2\x9f" + GOOD[2:] + b"\xff"),
    ("long head", Reason.MALFORMED, UP, b"\xd2\x98\x04" + GOOD[2:]),
    ("float", Reason.MALFORMED, UP, b"\xd2\xf9\x3c\x00"),
    ("duplicate key", Reason.MALFORMED, UP, b"\xd2\x84\x40\xa2\x01\x01\x01\x01\x40\x40"),
    ("any bytes", Reason.MALFORMED, UP, b"\xff" * 40),
    ("no tag", Reason.ENVELOPE, UP, GOOD[1:]),
    ("tag of an answer", Reason.ENVELOPE, UP, b"\xd1" + GOOD[1:]),
    ("five parts", Reason.ENVELOPE, UP, cbor.encode(cbor.Tag(18, [HEADER, {}, b"", SIGNATURE, 0]))),
    ("a number", Reason.ENVELOPE, UP, b"\x00"),
    ("detached payload", Reason.ENVELOPE, UP, parts(HEADER, {}, None, SIGNATURE)),
    ("unprotected label", Reason.ENVELOPE, UP, parts(HEADER, {4: DEVICE.kid}, PAYLOAD, SIGNATURE)),
    ("empty header", Reason.ENVELOPE, UP, parts(b"", {}, PAYLOAD, SIGNATURE)),
    ("ES256", Reason.ENVELOPE, UP, resigned(cbor.encode({1: -7, 4: DEVICE.kid}))),
    ("no kid", Reason.ENVELOPE, UP, resigned(cbor.encode({1: -9}))),
    ("short kid", Reason.ENVELOPE, UP, resigned(cbor.encode({1: -9, 4: DEVICE.kid[:7]}))),
    ("long kid", Reason.ENVELOPE, UP, resigned(cbor.encode({1: -9, 4: b"\x00" + DEVICE.kid}))),
    ("one label more", Reason.ENVELOPE, UP, resigned(cbor.encode({1: -9, 4: DEVICE.kid, 5: b""}))),
    ("critical label", Reason.ENVELOPE, UP, parts(
        cbor.encode({1: -9, 2: [1], 4: DEVICE.kid}), {}, PAYLOAD, SIGNATURE)),
    ("short signature", Reason.ENVELOPE, UP, parts(HEADER, {}, PAYLOAD, SIGNATURE[:-1])),
    ("long signature", Reason.ENVELOPE, UP, parts(HEADER, {}, PAYLOAD, SIGNATURE + b"\x00")),
    ("unknown key", Reason.UNKNOWN_KEY, UP, sealed(PAYLOAD, device=Device(Path("unused")))),
    ("another device's topic", Reason.WRONG_TOPIC, topics.up(OTHER.id), GOOD),
    ("another device's message", Reason.WRONG_TOPIC, UP, sealed(PAYLOAD, device=OTHER)),
    ("payload no CBOR", Reason.TYPE, UP, sealed(b"\xff")),
    ("payload with a rest", Reason.TYPE, UP, sealed(PAYLOAD + b"\x00")),
    ("payload empty", Reason.TYPE, UP, sealed(b"")),
    ("payload a map", Reason.TYPE, UP, sealed(b"\xa0")),
    ("payload tagged", Reason.TYPE, UP, sealed(b"\xd2" + PAYLOAD)),
    ("type 0", Reason.TYPE, UP, sealed(cbor.encode([0]))),
    ("type true", Reason.TYPE, UP, sealed(cbor.encode([True, *READINGS.item()[1:]]))),
    ("type of an answer", Reason.TYPE, UP, sealed(cbor.encode([16, b"", 0, 0, 0]))),
    ("high s", Reason.SIGNATURE, UP, high_s(GOOD)),
    ("s = 0", Reason.SIGNATURE, UP, ZERO_S),
    ("r = 0", Reason.SIGNATURE, UP, ZERO_R),
    ("purpose of a hello", Reason.SIGNATURE, UP, sealed(PAYLOAD, message_type=message_types.HELLO)),
    ("for another device", Reason.SIGNATURE, UP, envelope.seal_sign1(
        message_types.READINGS, OTHER.kid, PAYLOAD, DEVICE.signer)),
    ("another payload", Reason.SIGNATURE, UP, parts(
        HEADER, {}, PAYLOAD[:-2] + b"\x00\x00", SIGNATURE)),
    ("no records", Reason.PAYLOAD, UP, sealed(cbor.encode([3, 1, 1, 1, 1, 1, []]))),
    ("missing field", Reason.PAYLOAD, UP, sealed(cbor.encode([3, 1, 1, 1, 1, 1]))),
    ("33 records", Reason.PAYLOAD, UP, sealed(cbor.encode(
        [3, 1, 1, 1, 1, 1, [weight(72_500).item()] * 33]))),
    ("sequence 0", Reason.PAYLOAD, UP, sealed(cbor.encode(
        [3, 1, 0, 1, 1, 1, [weight(72_500).item()]]))),
    ("oldest after first", Reason.PAYLOAD, UP, sealed(cbor.encode(
        [3, 3, 2, 1, 1, 1, [weight(72_500).item()]]))),
    ("negative value", Reason.PAYLOAD, UP, sealed(cbor.encode(
        [3, 1, 1, 1, 1, 1, [[1, 33, [-1]]]]))),
]  # fmt: skip


@pytest.mark.parametrize(
    ("reason", "topic", "data"), [row[1:] for row in MATRIX], ids=[row[0] for row in MATRIX]
)
def test_each_rule_refuses(reason: Reason, topic: str, data: bytes) -> None:
    outcome = verify(topic, data, DIRECTORY.get)
    assert isinstance(outcome, Refused)
    assert outcome.reason is reason


def test_every_rule_is_in_the_matrix() -> None:
    not_of_a_message = {
        Reason.REVOKED, Reason.INTERNAL, Reason.ERASED, Reason.CLAIM_ENDED,
        Reason.OUT_OF_RANGE, Reason.CONSENT_WITHDRAWN,
    }  # fmt: skip
    assert {row[1] for row in MATRIX} == set(Reason) - not_of_a_message


def test_revoked_device_is_refused() -> None:
    revoked = replace(known(DEVICE), revoked=True)
    assert verify(UP, GOOD, lambda _: revoked) == Refused(Reason.REVOKED, DEVICE.kid)


def test_unconfirmed_device_may_only_say_hello() -> None:
    enrolling = replace(known(DEVICE), enrolled=False)
    hello = DEVICE.seal(DEVICE.hello_message())
    assert isinstance(verify(UP, hello, lambda _: enrolling), Verified)
    assert verify(UP, GOOD, lambda _: enrolling) == Refused(Reason.UNKNOWN_KEY, DEVICE.kid)


def test_kid_is_noted_only_once_it_could_be_read() -> None:
    assert verify("", GOOD, DIRECTORY.get) == Refused(Reason.TOPIC)
    assert verify(UP, GOOD[1:], DIRECTORY.get) == Refused(Reason.ENVELOPE)
    assert verify(UP, high_s(GOOD), DIRECTORY.get) == Refused(Reason.SIGNATURE, DEVICE.kid)


def test_the_first_broken_rule_is_the_reason() -> None:
    """Breaking a later rule as well does not change the reason."""
    later = [
        (UP, sealed(b"\xff", device=OTHER), Reason.WRONG_TOPIC),  # 7 before 8
        (UP, high_s(sealed(b"\xff")), Reason.TYPE),  # 8 before 9
        (UP, high_s(sealed(cbor.encode([3]))), Reason.SIGNATURE),  # 9 before 10
        ("", bytes(2000), Reason.TOPIC),  # 1 before 2
        (UP, b"\xff" * 2000, Reason.SIZE),  # 2 before 3
        (topics.up(OTHER.id), GOOD[1:], Reason.ENVELOPE),  # 4 before 7
    ]
    for topic, data, reason in later:
        outcome = verify(topic, data, DIRECTORY.get)
        assert isinstance(outcome, Refused)
        assert outcome.reason is reason


@given(st.binary(max_size=1100), st.text(max_size=40))
def test_no_input_does_anything_but_return(data: bytes, topic: str) -> None:
    for used in (topic, UP):
        assert isinstance(verify(used, data, DIRECTORY.get), Refused)


@given(st.integers(0, len(GOOD) - 1), st.integers(1, 255))
def test_no_changed_byte_is_verified(index: int, change: int) -> None:
    changed = GOOD[:index] + bytes([GOOD[index] ^ change]) + GOOD[index + 1 :]
    assert isinstance(verify(UP, changed, DIRECTORY.get), Refused)


# What cbor2 alone would take, or make something of.
LENIENT = [
    "0000", "1800", "f90000", "f93c00", "fb3ff0000000000000", "c074323031332d30332d3231",
    "c24101", "d8234161", "d81c80", "d9010280", "d9d9f700", "f7", "e0", "f0", "f820",
    "9fff", "5fff", "bfff", "a201010101", "a202010101", "61c0", "63eda080", "7f6161ff",
    "818181818181818180", "1bffffffffffffffff00", "d280", "a1f600", "a18000", "a1f500",
]  # fmt: skip


@pytest.mark.parametrize("text", LENIENT)
def test_strict_decode_refuses_what_cbor2_would_take(text: str) -> None:
    with pytest.raises(MalformedError):
        strict_decode(bytes.fromhex(text))


def _device_decodes(data: bytes) -> bool:
    try:
        cbor.decode(data)
    except CborError:
        return False
    return True


ITEMS = st.recursive(
    st.integers(-(2**64), 2**64 - 1) | st.binary(max_size=8) | st.text(max_size=8)
    | st.booleans() | st.none(),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(st.integers(-9, 9) | st.text(max_size=3), inner, max_size=3),
    max_leaves=12,
)  # fmt: skip


@given(st.binary(max_size=64))
def test_both_runtimes_agree_on_any_bytes(data: bytes) -> None:
    _agree(data)


@given(ITEMS, st.integers(0, 200), st.integers(0, 255))
def test_both_runtimes_agree_on_nearly_good_bytes(item: object, index: int, byte: int) -> None:
    try:
        data = cbor.encode(item)
    except CborError:
        return  # deeper than allowed
    assert strict_decode(data) == cbor.decode(data) == item
    place = index % len(data)
    _agree(data[:place] + bytes([byte]) + data[place + 1 :])


def _agree(data: bytes) -> None:
    try:
        strict_decode(data)
    except MalformedError:
        assert not _device_decodes(data)
    else:
        assert _device_decodes(data)
