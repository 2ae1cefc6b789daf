"""Topics, device ids, key ids and claim codes (SPEC 2.1, 4.2, 7), on both runtimes."""

from protocol import cbor, claim_code, cose, mac, topics
from protocol.errors import MessageError
from protocol.tests.support import refusal, signer

_ID = "0123456789abcdef"


def test_kid_is_the_beginning_of_the_thumbprint_of_the_required_members() -> None:
    device = signer(1)
    public = device.public_key
    # Written out by hand: {1: 2, -1: 1, -2: x, -3: y}, keys in bytewise order.
    key = b"\xa4\x01\x02\x20\x01\x21\x58\x20" + public[:32] + b"\x22\x58\x20" + public[32:]
    assert cose.thumbprint(public) == mac.sha256(key)
    assert device.kid == cose.key_id(public) == mac.sha256(key)[:8]


def test_topics_carry_the_device_id() -> None:
    assert topics.up(_ID) == "tare/1/0123456789abcdef/up"
    assert topics.down(_ID) == "tare/1/0123456789abcdef/down"
    assert topics.sender(topics.up(_ID)) == _ID
    assert topics.ALL_UP == "tare/1/+/up"
    assert topics.device_id(bytes.fromhex(_ID)) == _ID
    assert topics.kid_of(_ID) == bytes.fromhex(_ID)


def test_other_topics_have_no_sender() -> None:
    for topic in (
        "",
        "/",
        "tare/1/",
        topics.down(_ID),
        topics.up(_ID) + "/",
        topics.up(_ID) + "p",
        "/" + topics.up(_ID),
        "tare/2/" + _ID + "/up",
        "tare/1/" + _ID[:15] + "/up",
        "tare/1/" + _ID + "0/up",
        "tare/1/" + "0123456789ABCDEF" + "/up",
        "tare/1/" + "0123456789abcde " + "/up",
        "tare/1/" + "0123456789abcd\u0660" + "f/up",
        "tare/1/+/up",
        "tare/1/#",
        "tare/1/" + _ID + "\x00/up",
    ):
        assert refusal(MessageError, topics.sender, topic) == "topic"


def test_other_device_ids_are_refused() -> None:
    for device in ("", _ID[:15], _ID + "0", _ID.upper(), "g" * 16, "01 23456789abcde"):
        assert refusal(MessageError, topics.kid_of, device) == "device-id"
        assert refusal(MessageError, topics.up, device) == "device-id"
        assert refusal(MessageError, topics.down, device) == "device-id"
    assert refusal(MessageError, topics.device_id, bytes(7)) == "kid-size"


def test_claim_code_reads_as_it_is_shown() -> None:
    for code, text in (
        (bytes(10), "0000-0000-0000-0000"),
        (b"\xff" * 10, "ZZZZ-ZZZZ-ZZZZ-ZZZZ"),
        (bytes(9) + b"\x20", "0000-0000-0000-0010"),
        (bytes.fromhex("00443214c74254b635cf"), "0123-4567-89AB-CDEF"),
        (bytes.fromhex("84653a56d7c675be77df"), "GHJK-MNPQ-RSTV-WXYZ"),
    ):
        assert claim_code.to_text(code) == text
        assert claim_code.from_text(text) == code


def test_claim_code_forgives_how_people_type() -> None:
    code = claim_code.from_text("0123-4567-89AB-CDEF")
    for text in (
        "0123456789abcdef",
        " 0123 4567 89ab cdef ",
        "o1z3-4567-89ab-cdef".replace("z", "2"),
        "Oi23-4567-89AB-CDEF",
        "0L23-4567-89AB-CDEF",
    ):
        assert claim_code.from_text(text) == code


def test_what_is_no_claim_code_is_refused() -> None:
    for text in (
        "",
        "0123-4567-89AB-CDE",
        "0123-4567-89AB-CDEF0",
        "0123-4567-89AB-CDEU",
        "0123-4567-89AB-CDE*",
        "0123-4567-89AB-CDE\u00df",
        "0123_4567_89AB_CDEF",
    ):
        assert refusal(MessageError, claim_code.from_text, text) == "claim-code"
    for code in (b"", bytes(9), bytes(11)):
        assert refusal(MessageError, claim_code.to_text, code) == "claim-code"
        assert refusal(MessageError, claim_code.proof, bytes(8), code) == "claim-code"


def test_claim_proof_binds_code_and_device() -> None:
    kid, code = bytes(8), bytes(range(10))
    proof = claim_code.proof(kid, code)
    assert proof == mac.sha256(cbor.encode(["tare/1/claim-code", kid, code]))
    assert proof != claim_code.proof(b"\x01" * 8, code)
    assert proof != claim_code.proof(kid, bytes(10))
