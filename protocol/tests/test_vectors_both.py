"""The public vectors, on both runtimes: CBOR, RFC 6979 and COSE_Sign1 with ES256."""

from protocol import cbor, cbor_generic, cose, envelope, mac, p256
from protocol.errors import CborError, ProtocolError
from protocol.tests.support import refusal, vectors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_COSE = (
    "A_3",
    "Appendix_C_2_1",
    "ecdsa-sig-01",
    "sign-fail-01",
    "sign-fail-02",
    "sign-fail-03",
    "sign-fail-04",
    "sign-fail-06",
    "sign-fail-07",
    "sign-pass-01",
    "sign-pass-02",
    "sign-pass-03",
)
# simple(24) in two bytes: valid by RFC 7049, not well-formed by RFC 8949.
_WITHDRAWN = "f818"
# A board with 32-bit floats cannot hold all values, nor read them exactly from JSON: there it is
# enough that a float comes out.
_SMALL_FLOATS = float("1e300") == float("inf")


def test_generic_layer_reads_all_81_items_of_appendix_a() -> None:
    items = [item for item in vectors("cbor/appendix_a.json") if item["hex"] != _WITHDRAWN]
    assert len(items) == 81
    for item in items:
        decoded = cbor_generic.decode(bytes.fromhex(item["hex"]))
        if _SMALL_FLOATS and isinstance(getattr(decoded, "value", decoded), float):
            continue
        if "decoded" in item:
            assert _same(decoded, item["decoded"]), item["hex"]
        else:
            assert _diagnostic(decoded) == _plain(item["diagnostic"]), item["hex"]


def test_withdrawn_item_of_appendix_a_is_refused() -> None:
    assert refusal(CborError, cbor_generic.decode, bytes.fromhex(_WITHDRAWN)) == "reserved-simple"


def test_profile_takes_only_its_own_items_of_appendix_a_and_writes_them_back() -> None:
    taken = 0
    for item in vectors("cbor/appendix_a.json"):
        raw = bytes.fromhex(item["hex"])
        try:
            decoded = cbor.decode(raw)
        except CborError:
            assert _is_outside_the_profile(raw, item), item["hex"]
            continue
        taken += 1
        assert cbor.encode(decoded) == raw
        if "decoded" in item:
            assert decoded == item["decoded"]
    assert taken == 37


def test_nothing_that_is_not_well_formed_is_read() -> None:
    items = vectors("cbor/not_well_formed.json")["items"]
    assert len(items) == 94
    for item in items:
        raw = bytes.fromhex(item["hex"])
        refusal(CborError, cbor.decode, raw)
        refusal(CborError, cbor_generic.decode, raw)


def test_rfc6979_signatures_come_out_and_hold() -> None:
    data = vectors("rfc6979/p256_sha256.json")
    private = bytes.fromhex(data["x"])
    public = p256.public_key(private)
    assert public == bytes.fromhex(data["Ux"] + data["Uy"])
    assert len(data["signatures"]) == 3
    for vector in data["signatures"]:
        digest = mac.sha256(vector["message_utf8"].encode())
        expected = bytes.fromhex(vector["r"] + vector["s"])
        assert p256.sign(private, digest, low_s=False) == expected
        assert p256.verify(public, digest, expected)
        assert p256.is_low_s(p256.sign(private, digest))
        assert p256.sign(private, digest)[:32] == expected[:32]


def test_cose_examples_verify_or_fail_as_they_say() -> None:
    for name in _COSE:
        example = vectors("cose-sign1/" + name + ".json")
        assert _verifies(example) == (not example.get("fail", False)), name


def test_cose_examples_are_what_the_signer_makes() -> None:
    made = 0
    for name in _COSE:
        example = vectors("cose-sign1/" + name + ".json")
        structure = bytes.fromhex(example["intermediates"]["ToBeSign_hex"])
        private = _key(example)
        signature = p256.sign(private, mac.sha256(structure), low_s=False)
        assert bytes.fromhex(example["output"]["cbor"])[-64:] == signature, name
        made += 1
    assert made == 12


def test_profile_refuses_every_cose_example() -> None:
    for name in _COSE:
        example = vectors("cose-sign1/" + name + ".json")
        data = bytes.fromhex(example["output"]["cbor"])
        refusal(ProtocolError, envelope.parse_sign1, data)


def _verifies(example: "dict[str, Any]") -> bool:
    public = p256.public_key(_key(example))
    external = bytes.fromhex(example["input"]["sign0"].get("external", ""))
    try:
        message = cose.parse_sign1(bytes.fromhex(example["output"]["cbor"]))
        cose.verify_sign1(message, external, lambda digest, seal: p256.verify(public, digest, seal))
    except ProtocolError:
        return False
    return True


def _key(example: "dict[str, Any]") -> bytes:
    key = example["input"]["sign0"]["key"]
    if "d_hex" in key:
        return bytes.fromhex(key["d_hex"])
    return _base64url(key["d"])


def _base64url(text: str) -> bytes:
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    number = 0
    for character in text:
        number = number << 6 | alphabet.index(character)
    size = len(text) * 6 // 8
    return (number >> (len(text) * 6 - 8 * size)).to_bytes(size, "big")


def _is_outside_the_profile(raw: bytes, item: "dict[str, Any]") -> bool:
    # Floats, simple values and tags (major types 6 and 7), and indefinite lengths, which
    # are the ones that this list does not expect to be written back.
    return raw[0] >> 5 >= 6 or not item["roundtrip"]


def _same(decoded: object, expected: object) -> bool:
    if isinstance(expected, float) and isinstance(decoded, float):
        # MicroPython's JSON reader may be off by the last bit.
        return abs(decoded - expected) <= abs(expected) * 1e-14
    return decoded == expected


def _plain(diagnostic: str) -> str:
    # Both readers join the chunks of a string of indefinite length.
    return {"(_ h'0102', h'030405')": "h'0102030405'"}.get(diagnostic, diagnostic)


def _diagnostic(item: object) -> str:
    """Write the few items that the list gives in diagnostic notation only."""
    if isinstance(item, cbor.Tag):
        return f"{item.number}({_diagnostic(item.value)})"
    if isinstance(item, cbor_generic.Simple):
        return "undefined" if item.number == 23 else f"simple({item.number})"
    if isinstance(item, float):
        return {"inf": "Infinity", "-inf": "-Infinity", "nan": "NaN"}.get(str(item), str(item))
    if isinstance(item, dict):
        pairs = [f"{key}: {item[key]}" for key in sorted(item)]
        return "{" + ", ".join(pairs) + "}"
    # MicroPython's b"".hex() is b"".
    return "h'" + (item.hex() or "") + "'" if isinstance(item, bytes) else _json(item)


def _json(item: object) -> str:
    return '"' + item + '"' if isinstance(item, str) else str(item)
