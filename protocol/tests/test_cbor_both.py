"""The deterministic encoding and its strict reader (SPEC 1), on both runtimes."""

from protocol import cbor, cbor_generic
from protocol.errors import CborError
from protocol.tests.support import refusal

_PAIRS: "tuple[tuple[object, str], ...]" = (
    (0, "00"),
    (23, "17"),
    (24, "1818"),
    (255, "18ff"),
    (256, "190100"),
    (65_535, "19ffff"),
    (65_536, "1a00010000"),
    (4_294_967_295, "1affffffff"),
    (4_294_967_296, "1b0000000100000000"),
    (18_446_744_073_709_551_615, "1bffffffffffffffff"),
    (-1, "20"),
    (-24, "37"),
    (-25, "3818"),
    (-18_446_744_073_709_551_616, "3bffffffffffffffff"),
    (True, "f5"),
    (False, "f4"),
    (None, "f6"),
    (b"", "40"),
    (b"\x01\x02", "420102"),
    ("", "60"),
    ("\u00fc\u6c34\U00010151", "69c3bce6b0b4f0908591"),
    ([], "80"),
    ([1, [2, None]], "820182 02f6"),
    ({}, "a0"),
    # Bytewise order of the encoded keys: 10 < 100 < -1 < h'' < "z" < "aa".
    (
        {"aa": 1, "z": 2, -1: 3, 100: 4, 10: 5, b"": 6},
        "a60a05186404200340066 17a02626161 01",
    ),
)

_REFUSED = (
    ("", "too-short"),
    ("0000", "trailing-bytes"),
    ("1817", "not-shortest"),
    ("1900ff", "not-shortest"),
    ("1a0000ffff", "not-shortest"),
    ("1b00000000ffffffff", "not-shortest"),
    ("3817", "not-shortest"),
    ("580100", "not-shortest"),
    ("980100", "not-shortest"),
    ("5f4100ff", "indefinite-length"),
    ("9fff", "indefinite-length"),
    ("bfff", "indefinite-length"),
    ("ff", "simple-not-allowed"),
    ("1c", "reserved-head"),
    ("fd", "simple-not-allowed"),
    ("f7", "simple-not-allowed"),
    ("f93c00", "simple-not-allowed"),
    ("fb3ff0000000000000", "simple-not-allowed"),
    ("a201000100", "duplicate-key"),
    ("a202000100", "unsorted-keys"),
    ("a2616100 0100", "unsorted-keys"),
    ("a1f500", "key-type"),
    ("a1f600", "key-type"),
    ("a18000", "key-type"),
    ("a101", "too-short"),
    ("c100", "tag-not-allowed"),
    ("d28440a04040", "tag-not-allowed"),
    ("61ff", "not-utf8"),
    ("62c328", "not-utf8"),
    ("62c080", "not-utf8"),
    ("63e08080", "not-utf8"),
    ("63eda080", "not-utf8"),
    ("64f4908080", "not-utf8"),
    ("64f0808080", "not-utf8"),
    ("62e6b0", "not-utf8"),
    ("6180", "not-utf8"),
)


def test_every_item_has_one_encoding() -> None:
    for item, encoded in _PAIRS:
        raw = bytes.fromhex(encoded.replace(" ", ""))
        assert cbor.encode(item) == raw, encoded
        decoded = cbor.decode(raw)
        assert decoded == item, encoded
        # On CPython True equals 1, so equality alone would not tell them apart.
        assert type(decoded) is type(item), encoded


def test_other_encodings_are_refused_with_their_reason() -> None:
    for encoded, reason in _REFUSED:
        raw = bytes.fromhex(encoded.replace(" ", ""))
        assert refusal(CborError, cbor.decode, raw) == reason, encoded


def test_every_proper_prefix_is_refused() -> None:
    for item, _ in _PAIRS:
        raw = cbor.encode([item])
        for size in range(len(raw)):
            assert refusal(CborError, cbor.decode, raw[:size]) == "too-short"


def test_lengths_beyond_the_input_are_refused_before_anything_is_allocated() -> None:
    for major in (0x40, 0x60, 0x80, 0xA0):
        for argument in ("1a7fffffff", "1b7fffffffffffffff", "1bffffffffffffffff"):
            tail = bytes.fromhex(argument)
            raw = bytes([major + tail[0]]) + tail[1:]
            assert refusal(CborError, cbor.decode, raw) == "too-short"
            assert refusal(CborError, cbor_generic.decode, raw) == "too-short"


def test_nesting_of_eight_is_read_and_of_nine_refused() -> None:
    for opened, closed in (("81", "80"), ("a100", "a0"), ("d2", "80")):
        deepest = bytes.fromhex(opened * 7 + closed)
        item = cbor.decode(deepest, (18,))
        assert cbor.encode(item) == deepest
        assert refusal(CborError, cbor.decode, bytes.fromhex(opened) + deepest, (18,)) == "too-deep"
        assert refusal(CborError, cbor.encode, [item]) == "too-deep"


def test_a_scalar_may_stand_inside_eight_arrays() -> None:
    raw = bytes.fromhex("81" * 8 + "00")
    assert cbor.encode(cbor.decode(raw)) == raw


def test_deep_input_is_refused_and_does_not_exhaust_the_stack() -> None:
    for opened in (b"\x81", b"\xa1\x00", b"\xd2"):
        assert refusal(CborError, cbor.decode, opened * 20_000, (18,)) == "too-deep"
    for opened in (b"\x9f", b"\xbf\x00", b"\xc1"):
        assert refusal(CborError, cbor_generic.decode, opened * 20_000) == "too-deep"


def test_a_tag_is_read_only_where_it_is_allowed() -> None:
    raw = bytes.fromhex("d2820102")
    assert cbor.decode(raw, (17, 18)) == cbor.Tag(18, [1, 2])
    assert cbor.encode(cbor.Tag(18, [1, 2])) == raw
    assert refusal(CborError, cbor.decode, raw, (17,)) == "tag-not-allowed"


def test_items_outside_the_data_model_are_not_written() -> None:
    assert refusal(CborError, cbor.encode, 1.5) == "type-not-allowed"
    assert refusal(CborError, cbor.encode, [{1, 2}]) == "type-not-allowed"
    assert refusal(CborError, cbor.encode, object()) == "type-not-allowed"
    assert refusal(CborError, cbor.encode, 1 << 64) == "integer-out-of-range"
    assert refusal(CborError, cbor.encode, -(1 << 64) - 1) == "integer-out-of-range"
    assert refusal(CborError, cbor.encode, "\ud800") == "not-utf8"
    assert refusal(CborError, cbor.encode, {True: 1}) == "key-type"
    assert refusal(CborError, cbor.encode, {None: 1}) == "key-type"
    assert refusal(CborError, cbor.encode, {(1, 2): 1}) == "key-type"


def test_bytes_like_input_and_items_are_taken() -> None:
    raw = bytes.fromhex("8243010203f6")
    for data in (raw, bytearray(raw), memoryview(raw)):
        decoded = cbor.decode(data)
        assert decoded == [b"\x01\x02\x03", None]
        assert isinstance(decoded, list)
        assert isinstance(decoded[0], bytes)
    assert cbor.encode([bytearray(b"\x01\x02\x03"), None]) == raw
    assert cbor.encode((memoryview(b"\x01\x02\x03"), None)) == raw


def test_generic_layer_still_refuses_what_is_ambiguous() -> None:
    assert refusal(CborError, cbor_generic.decode, bytes.fromhex("a201000100")) == "duplicate-key"
    assert refusal(CborError, cbor_generic.decode, bytes.fromhex("bf01000100ff")) == "duplicate-key"
    assert cbor_generic.decode(bytes.fromhex("a202000100")) == {1: 0, 2: 0}
    assert cbor_generic.decode(bytes.fromhex("1817")) == 23
