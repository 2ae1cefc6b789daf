"""Corners that the shared vectors reach too: with these, no branch depends on that folder.

The generic CBOR reader, numbers that signing meets once in 2**32 or never, and what is nobody's.
"""

from protocol import cbor, cbor_generic, curve, fields, mac, p256, reading
from protocol.errors import CborError, CurveError
from protocol.tests.support import private_key, refusal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

TIMEOUT_S = 120

# RFC 6979 A.2.5's key, and a message whose first candidate for a nonce lies beyond the order.
_KEY = bytes.fromhex("c9afa9d845ba75166b5c215767b1d6934e50c3db36e89b127b8a622b120f6721")
_REJECTED_ONCE = b"wv[vnX"


def _generic(text: str) -> "Any":
    return cbor_generic.decode(bytes.fromhex(text))


def _refused(text: str) -> str:
    return refusal(CborError, _generic, text)


def test_generic_reader_takes_what_is_well_formed() -> None:
    assert _generic("5f42010243030405ff") == b"\x01\x02\x03\x04\x05"
    assert _generic("7f657374726561646d696e67ff") == "streaming"
    assert _generic("9f0102ff") == [1, 2]
    assert _generic("bf61610161629f0203ffff") == {"a": 1, "b": [2, 3]}
    assert _generic("f93c00") == 1.0
    assert _generic("fa47c35000") == 100_000.0
    assert _generic("fbbff0000000000000") == -1.0
    assert _generic("c249010000000000000000") == 1 << 64
    assert _generic("c349010000000000000000") == -1 - (1 << 64)
    assert _generic("c11a514b67b0").number == 1
    assert _generic("c201").number == 2
    assert _generic("f0").number == 16
    assert _generic("f8ff").number == 255
    assert [_generic(text) for text in ("f4", "f5", "f6")] == [False, True, None]


def test_generic_reader_refuses_what_is_not() -> None:
    assert _refused("5f00ff") == "chunk-type"
    assert _refused("5f5f4100ffff") == "chunk-type"
    assert _refused("5f6100ff") == "chunk-type"
    assert _refused("df00ff") == "reserved-head"
    assert _refused("fc") == "reserved-head"
    assert _refused("f818") == "reserved-simple"
    assert _refused("9f01") == "too-short"
    assert _refused("bf0001") == "too-short"
    assert _refused("b900020001") == "too-short"
    assert _refused("a2000100") == "too-short"
    assert _refused("9f" * 9 + "ff" * 9) == "too-deep"


def test_a_candidate_beyond_the_order_is_passed_over() -> None:
    digest = mac.sha256(_REJECTED_ONCE)
    first = _hmac_candidate(digest)
    assert first >= curve.N
    assert p256.Nonces(_KEY, digest, b"").take() != first
    assert p256.verify(p256.public_key(_KEY), digest, p256.sign(_KEY, digest))


def _hmac_candidate(digest: bytes) -> int:
    """Return the first output of RFC 6979's generator, whether or not it is a nonce."""
    seed = _KEY + (int.from_bytes(digest, "big") % curve.N).to_bytes(32, "big")
    key, value = bytes(32), b"\x01" * 32
    for mark in (b"\x00", b"\x01"):
        key = mac.hmac_sha256(key, value + mark + seed)
        value = mac.hmac_sha256(key, value)
    return int.from_bytes(mac.hmac_sha256(key, value), "big")


class _Nonces:
    """Gives these numbers, one after the other."""

    left: "list[int]" = []  # noqa: RUF012 - filled by the test

    def __init__(self, *_: object) -> None:
        pass

    def take(self) -> int:
        return self.left.pop(0)


def test_a_signature_with_a_zero_in_it_is_not_given() -> None:
    """Half of it is zero for one digest in 2**256; then the next nonce is taken."""
    private = private_key(1)
    x, _ = curve.multiply_base(5)
    zero_s = (-x * int.from_bytes(private, "big")) % curve.N
    digest = zero_s.to_bytes(32, "big")
    real = p256.Nonces
    _Nonces.left = [5, 11, 12, 7, 13, 14]
    try:
        p256.Nonces = _Nonces  # type: ignore[misc, assignment]  # replaced for one test
        signature = p256.sign(private, digest)
    finally:
        p256.Nonces = real  # type: ignore[misc]  # replaced for one test
    assert _Nonces.left == []
    assert p256.verify(p256.public_key(private), digest, signature)


def test_infinity_has_no_coordinates() -> None:
    base = curve.multiply_base(1)
    assert refusal(CurveError, curve.multiply, curve.N, base) == "infinity"


def test_a_record_with_too_many_or_few_values_is_out_of_range() -> None:
    for kind, values in ((1, [1, 1]), (2, [1]), (2, [1, 1, 1]), (3, [1, 1, 1])):
        assert reading.Reading(1, kind | 1 << 5, values).judge(1) == reading.OUT_OF_RANGE


def test_a_payload_of_no_type_has_no_encoding() -> None:
    try:
        fields.Payload().encode()
    except NotImplementedError:
        return
    raise AssertionError("encoded")


def test_keys_of_maps_are_bytes_texts_or_integers_also_for_the_generic_reader() -> None:
    for text in ("a1f500", "a18000", "bff600ff"):
        assert _refused(text) == "key-type"
    assert cbor.encode(_generic("bf0000ff")) == b"\xa1\x00\x00"
