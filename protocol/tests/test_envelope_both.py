"""The profile of SPEC 3: what it takes, and that nothing passes for anything else."""

from protocol import cbor, cose, envelope, mac, message_types, p256
from protocol.errors import AuthenticityError, CoseError, MessageError, ProtocolError
from protocol.tests.support import private_key, refusal, signer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

TIMEOUT_S = 120

_KEY = bytes(range(32))
_PAYLOAD = cbor.encode([message_types.HELLO, b"payload"])
# No star inside a tuple: MicroPython has no such syntax.
_SIGNED_TYPES = message_types.UPLINK + (message_types.COMMAND, message_types.ENROL_REQUEST)  # noqa: RUF005
# MicroPython does not unpack there.
_MAC_TYPES = message_types.ANSWERS + (message_types.ENROL_ANSWER,)  # noqa: RUF005


def _verifier(number: int) -> "Callable[[bytes, bytes], bool]":
    public = p256.public_key(private_key(number))
    return lambda digest, seal: p256.verify(public, digest, seal)


def _signed(header: "Mapping[Any, object]", unprotected: "Mapping[Any, object]") -> bytes:
    """Sign with this header, whatever the profile thinks of it."""
    device = signer(1)
    aad = envelope.external_aad(message_types.HELLO, device.kid)
    return cose.sign1(header, unprotected, _PAYLOAD, aad, device.sign)


def _good_header() -> "dict[object, object]":
    return {1: cose.ALG_ESP256, 4: signer(1).kid}


def test_signed_message_comes_back_with_kid_and_payload() -> None:
    device = signer(1)
    data = envelope.seal_sign1(message_types.HELLO, device.kid, _PAYLOAD, device)
    message = envelope.parse_sign1(data)
    assert message.kid == device.kid
    assert message.payload == _PAYLOAD
    assert not envelope.is_mac0(data)
    envelope.verify_sign1(message, message_types.HELLO, device.kid, _verifier(1))


def test_signed_envelope_around_nothing_takes_85_bytes() -> None:
    device = signer(1)
    data = envelope.seal_sign1(message_types.HELLO, device.kid, b"", device)
    # One more byte of head as soon as the payload has 24 bytes.
    assert len(data) + 1 == 85


def test_answer_comes_back_with_generation_and_payload() -> None:
    kid = signer(1).kid
    data = envelope.seal_mac0(message_types.WELCOME, kid, _PAYLOAD, 258, _KEY)
    message = envelope.parse_mac0(data)
    assert envelope.is_mac0(data)
    assert envelope.generation_of(message) == 258
    assert message.payload == _PAYLOAD
    envelope.verify_mac0(message, message_types.WELCOME, kid, _KEY)


def test_no_signed_type_passes_for_another() -> None:
    device = signer(1)
    for sent in _SIGNED_TYPES:
        message = envelope.parse_sign1(
            envelope.seal_sign1(sent, device.kid, _PAYLOAD, device), message_types.max_size(sent)
        )
        for taken in _SIGNED_TYPES + _MAC_TYPES:
            if taken == sent:
                envelope.verify_sign1(message, taken, device.kid, _verifier(1))
            else:
                arguments = (message, taken, device.kid, _verifier(1))
                reason = refusal(AuthenticityError, envelope.verify_sign1, *arguments)
                assert reason == "bad-signature"


def test_no_answer_passes_for_another_device_key_or_type() -> None:
    kid, other_kid = signer(1).kid, signer(2).kid
    for sent in _MAC_TYPES:
        message = envelope.parse_mac0(envelope.seal_mac0(sent, kid, _PAYLOAD, 1, _KEY))
        for taken in _MAC_TYPES + _SIGNED_TYPES:
            if taken == sent:
                envelope.verify_mac0(message, taken, kid, _KEY)
            else:
                assert _mac_refused(message, taken, kid, _KEY)
        assert _mac_refused(message, sent, other_kid, _KEY)
        assert _mac_refused(message, sent, kid, bytes(32))


def _mac_refused(message: cose.Message, message_type: int, kid: bytes, key: bytes) -> bool:
    arguments = (message, message_type, kid, key)
    return refusal(AuthenticityError, envelope.verify_mac0, *arguments) == "bad-mac"


def test_message_of_one_device_does_not_pass_for_another() -> None:
    device = signer(1)
    data = envelope.seal_sign1(message_types.COMMAND, device.kid, _PAYLOAD, signer(4))
    message = envelope.parse_sign1(data)
    envelope.verify_sign1(message, message_types.COMMAND, device.kid, _verifier(4))
    for kid, number in ((signer(2).kid, 4), (device.kid, 1)):
        arguments = (message, message_types.COMMAND, kid, _verifier(number))
        assert refusal(AuthenticityError, envelope.verify_sign1, *arguments) == "bad-signature"


def test_no_flipped_bit_passes() -> None:
    device = signer(1)
    signed = envelope.seal_sign1(message_types.HELLO, device.kid, _PAYLOAD, device)
    # One bit a byte: every byte is covered, and the curve work stays small.
    for index in range(len(signed)):
        changed = _flip(signed, index, index % 8)
        refusal(ProtocolError, _open_signed, changed)
    answer = envelope.seal_mac0(message_types.WELCOME, device.kid, _PAYLOAD, 1, _KEY)
    for index in range(len(answer)):
        for bit in range(8):
            refusal(ProtocolError, _open_answer, _flip(answer, index, bit))


def _flip(data: bytes, index: int, bit: int) -> bytes:
    changed = bytearray(data)
    changed[index] ^= 1 << bit
    return bytes(changed)


def _open_signed(data: bytes) -> None:
    message = envelope.parse_sign1(data)
    envelope.verify_sign1(message, message_types.HELLO, signer(1).kid, _verifier(1))
    if message.kid != signer(1).kid:
        raise CoseError("unknown-key")


def _open_answer(data: bytes) -> None:
    message = envelope.parse_mac0(data)
    envelope.verify_mac0(message, message_types.WELCOME, signer(1).kid, _KEY)


def test_only_the_exact_header_is_taken() -> None:
    kid = signer(1).kid
    assert envelope.parse_sign1(_signed(_good_header(), {})).kid == kid
    for header, unprotected in (
        ({1: cose.ALG_ES256, 4: kid}, {}),
        ({1: -37, 4: kid}, {}),
        ({1: "ESP256", 4: kid}, {}),
        ({4: kid}, {1: cose.ALG_ESP256}),
        ({1: cose.ALG_ESP256}, {4: kid}),
        ({1: cose.ALG_ESP256}, {}),
        ({1: cose.ALG_ESP256, 4: kid[:7]}, {}),
        ({1: cose.ALG_ESP256, 4: kid + b"\x00"}, {}),
        ({1: cose.ALG_ESP256, 3: 0, 4: kid}, {}),
        ({1: cose.ALG_ESP256, 4: kid, 100: 0}, {}),
        ({1: cose.ALG_ESP256, 4: kid}, {100: 0}),
        ({}, {1: cose.ALG_ESP256, 4: kid}),
    ):
        data = _signed(header, unprotected)
        assert refusal(CoseError, envelope.parse_sign1, data) == "header"
        # Positive control: the layer below does not mind any of these headers.
        assert cose.parse_sign1(data).payload == _PAYLOAD


def test_critical_headers_and_labels_in_both_headers_are_fatal_in_every_layer() -> None:
    kid = signer(1).kid
    for header, unprotected, reason in (
        ({1: -9, 2: [100], 4: kid, 100: 0}, {}, "critical-header"),
        ({1: -9, 2: [], 4: kid}, {}, "critical-header"),
        ({1: -9, 4: kid}, {2: [1]}, "critical-header"),
        ({1: -9, 4: kid}, {4: kid}, "label-in-both-headers"),
    ):
        data = _signed(header, unprotected)
        assert refusal(CoseError, cose.parse_sign1, data) == reason
        assert refusal(CoseError, envelope.parse_sign1, data) == reason


def test_empty_protected_header_has_two_forms_and_one_meaning() -> None:
    device = signer(1)
    for raw in (b"", b"\xa0"):
        seal = device.sign(mac.sha256(cose.sig_structure(b"", b"", _PAYLOAD)))
        item = cbor.Tag(18, [raw, {1: cose.ALG_ES256}, _PAYLOAD, seal])
        message = cose.parse_sign1(cbor.encode(item))
        assert message.protected_raw == b""
        cose.verify_sign1(message, b"", _verifier(1))


def test_shapes_that_are_no_envelope_are_refused() -> None:
    good = _signed(_good_header(), {})
    body = good[1:]
    head = cbor.encode(_good_header())
    seal = good[-64:]
    assert refusal(CoseError, envelope.parse_sign1, body) == "tag"
    assert refusal(CoseError, envelope.parse_sign1, b"") == "size"
    shapes: tuple[object, ...] = (
        [head, {}, _PAYLOAD],
        [head, {}, _PAYLOAD, seal, None],
        [head, {}, None, seal],
        [head, {}, "payload", seal],
        [head, [], _PAYLOAD, seal],
        [_good_header(), {}, _PAYLOAD, seal],
        [cbor.encode([1]), {}, _PAYLOAD, seal],
        [head, {}, _PAYLOAD, "seal"],
        "text",
        {},
    )
    for item in shapes:
        data = cbor.encode(cbor.Tag(18, item))
        assert refusal(CoseError, envelope.parse_sign1, data) == "envelope-shape"
    for wrong in (seal[:63], seal + b"\x00", b""):
        data = cbor.encode(cbor.Tag(18, [head, {}, _PAYLOAD, wrong]))
        assert refusal(CoseError, envelope.parse_sign1, data) == "seal-size"
    # A COSE_Mac0, a COSE_Sign and a tag inside a tag.
    for tag in (17, 98, 998):
        data = cbor.encode(cbor.Tag(tag, [head, {}, _PAYLOAD, seal]))
        assert refusal(ProtocolError, envelope.parse_sign1, data) == "tag-not-allowed"


def test_high_s_is_refused_by_the_profile_alone() -> None:
    good = _signed(_good_header(), {})
    s = int.from_bytes(good[-32:], "big")
    message = envelope.parse_sign1(good[:-32] + (p256.N - s).to_bytes(32, "big"))
    kid = signer(1).kid
    cose.verify_sign1(message, envelope.external_aad(message_types.HELLO, kid), _verifier(1))
    arguments = (message, message_types.HELLO, kid, _verifier(1))
    assert refusal(AuthenticityError, envelope.verify_sign1, *arguments) == "high-s"


def test_generations_and_answers_of_another_form_are_refused() -> None:
    kid = signer(1).kid
    for generation in (0, 65_536, -1):
        arguments = (message_types.ACK, kid, _PAYLOAD, generation, _KEY)
        assert refusal(CoseError, envelope.seal_mac0, *arguments) == "mac-generation"
    for header in ({1: 5}, {1: 5, 4: b"\x00\x00"}, {1: 5, 4: b"\x01"}, {1: 4, 4: b"\x00\x01"}):
        data = cose.mac0(header, _PAYLOAD, b"", _KEY)
        assert refusal(CoseError, envelope.parse_mac0, data) == "header"
    signed = _signed(_good_header(), {})
    refusal(ProtocolError, envelope.parse_mac0, signed)


def test_layer_below_verifies_by_its_own_algorithms_alone() -> None:
    device = signer(1)
    for header in ({}, {1: -8}, {1: 5}):
        message = cose.parse_sign1(cose.sign1(header, {}, _PAYLOAD, b"", device.sign))
        arguments = (message, b"", _verifier(1))
        assert refusal(CoseError, cose.verify_sign1, *arguments) == "algorithm"
    short = cose.parse_sign1(cose.sign1({1: -9}, {}, _PAYLOAD, b"", lambda _: b"short"))
    arguments = (short, b"", _verifier(1))
    assert refusal(AuthenticityError, cose.verify_sign1, *arguments) == "signature-size"
    for header in ({}, {1: 4}, {1: -9}):
        answer = cose.parse_mac0(cose.mac0(header, _PAYLOAD, b"", _KEY))
        assert refusal(CoseError, cose.verify_mac0, answer, b"", _KEY) == "algorithm"
    numbered = cose.sign1({1: -9, 4: 1}, {}, _PAYLOAD, b"", device.sign)
    assert refusal(CoseError, cose.parse_sign1, numbered) == "kid-type"
    longer = cbor.Tag(17, [cbor.encode({1: 5, 4: b"\x00\x01"}), {}, _PAYLOAD, bytes(33)])
    assert refusal(CoseError, envelope.parse_mac0, cbor.encode(longer)) == "seal-size"


def test_sizes_are_bounded_on_both_sides() -> None:
    device = signer(1)
    room = message_types.MAX_SIZE - 86
    largest = envelope.seal_sign1(message_types.HELLO, device.kid, bytes(room), device)
    assert len(largest) == message_types.MAX_SIZE
    assert envelope.parse_sign1(largest).payload == bytes(room)
    arguments = (message_types.HELLO, device.kid, bytes(room + 1), device)
    assert refusal(CoseError, envelope.seal_sign1, *arguments) == "size"
    long = envelope.seal_sign1(message_types.ENROL_REQUEST, device.kid, bytes(2000), device)
    assert refusal(CoseError, envelope.parse_sign1, long) == "size"
    assert len(envelope.parse_sign1(long, message_types.MAX_ENROLMENT_SIZE).payload) == 2000


def test_unknown_types_have_no_purpose() -> None:
    for unknown in (0, 6, 15, 18, 33, 64, -1):
        assert refusal(MessageError, envelope.external_aad, unknown, signer(1).kid) == "type"
    assert refusal(CoseError, envelope.external_aad, message_types.HELLO, b"short") == "kid-size"


def test_purposes_are_all_different() -> None:
    types = _SIGNED_TYPES + _MAC_TYPES
    assert len({message_types.purpose(number) for number in types}) == len(types) == 10
