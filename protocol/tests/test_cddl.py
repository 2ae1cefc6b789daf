"""The grammar `tare.cddl` and the parsers say the same, message by message, good and damaged.

What a grammar cannot express is listed here by the reason that the parser gives; anything
else on which the two differ is an error in one of them. Where the CDDL library is there, all
that fits is put before it too: the grammar is CDDL, and not only what our reader takes for it.
"""

import functools
import importlib
import re
from pathlib import Path
from typing import Any

import pytest

from protocol import (
    answer,
    cbor,
    command,
    enrolment,
    envelope,
    fields,
    frame,
    message_types,
    p256,
    reading,
    trust,
)
from protocol.errors import ProtocolError
from protocol.tests import cddl, support

pycddl: Any
try:
    pycddl = importlib.import_module("pycddl")
except ImportError:  # no wheel for this platform
    pycddl = None

_TEXT = Path(__file__).resolve().parent.parent.joinpath("tare.cddl").read_text("utf-8")
_GRAMMAR = cddl.Grammar(_TEXT)
_RULES = {
    message_types.HELLO: "hello",
    message_types.CLAIM_WINDOW: "claim-window",
    message_types.READINGS: "readings",
    message_types.RECEIPTS: "receipts",
    message_types.VOIDS: "voids",
    message_types.WELCOME: "welcome",
    message_types.ACK: "ack",
    message_types.COMMAND: "command",
    message_types.ENROL_REQUEST: "enrol-request",
    message_types.ENROL_ANSWER: "enrol-answer",
}
# The library (0.6.4) applies .cbor to every element of an array, and loses its way in a
# choice between many arrays.
_BEYOND_THE_LIBRARY = {
    "signed",
    "authenticated",
    "envelope",
    "message",
    "uplink",
    "answer",
    "trust",
}
_KEY = p256.public_key(support.private_key(3))
_RECORD = support.weigh_in().item()
# Orders between elements, points on the curve, lengths in bytes after UTF-8.
_BEYOND_A_GRAMMAR = {
    "hello-journal",
    "frame-sequence",
    "frame-clock",
    "ack-sequence",
    "ack-hold-settled",
    "command-expires",
    "command-issued",
    "not-on-curve",
}
# Replacements that reach both sides of every range.
_REPLACEMENTS: tuple[Any, ...] = (
    0, 1, 2, 4, 5, 8, 9, 15, 16, 17, 31, 32, 600, 601, 3_500, 3_501, 4_000, 4_001, 30_000, 30_001,
    65_535, 65_536, 300_000, 300_001, 2**36 - 1, 2**36, 2**63 - 1, 2**63, -1, True, None, "", "x",
    "x" * 32, "x" * 33, "x" * 253, "x" * 254, b"", bytes(8), bytes(16), bytes(32), bytes(64),
    bytes(1_500), bytes(1_501), [], [1], {}, [[1, 1, 0]],
)  # fmt: skip


@functools.cache
def _schema(rule: str) -> Any:
    # A CDDL document is about its first rule.
    return pycddl.Schema(f"start = {rule}\n{_TEXT}")


def _library_takes(rule: str, item: object) -> bool:
    try:
        _schema(rule).validate_cbor(cbor.encode(item))
    except pycddl.ValidationError:
        return False
    return True


def _fits(rule: str, item: object) -> bool:
    """Tell whether an item fits a rule; what fits must be right for the library as well."""
    fits = _GRAMMAR.fits(rule, item)
    if fits and pycddl is not None and rule not in _BEYOND_THE_LIBRARY:
        assert _library_takes(rule, item), (rule, item)
    return fits


def _verdict(kind: type[Any], item: object) -> str:
    """Return why a sender may not send this item: the parser's reason or a record's verdict."""
    try:
        message = kind.parse(item)
    except ProtocolError as error:
        return error.reason
    if isinstance(message, frame.Readings):
        verdicts = {message.judge(index) for index in range(len(message.records))}
        return "fine" if verdicts == {reading.FINE} else "judged"
    return "fine"


def _replaced(item: Any, path: list[int], value: object) -> object:
    if not path:
        return value
    copy = list(item)
    copy[path[0]] = _replaced(copy[path[0]], path[1:], value)
    return copy


def _paths(item: object) -> list[list[int]]:
    if not isinstance(item, list):
        return [[]]
    return [[]] + [[at, *path] for at, element in enumerate(item) for path in _paths(element)]


@pytest.mark.parametrize("sample", support.samples(), ids=lambda sample: type(sample).__name__)
def test_every_message_fits_its_rule_and_no_other(sample: Any) -> None:
    for number, rule in _RULES.items():
        assert _fits(rule, sample.item()) == (number == sample.TYPE), rule
    assert _fits("message", sample.item())
    assert _fits("uplink", sample.item()) == (sample.TYPE in message_types.UPLINK)
    assert _fits("answer", sample.item()) == (sample.TYPE in message_types.ANSWERS)


@pytest.mark.parametrize("sample", support.samples(), ids=lambda sample: type(sample).__name__)
def test_grammar_and_parser_agree_on_every_replaced_element(sample: Any) -> None:
    item = cbor.decode(sample.encode())
    outcomes: dict[bool, int] = {True: 0, False: 0}
    for path in _paths(item):
        for value in _REPLACEMENTS:
            changed = _replaced(item, path, value)
            fits = _fits(_RULES[sample.TYPE], changed)
            verdict = _verdict(type(sample), changed)
            explained = verdict in _BEYOND_A_GRAMMAR | {"fine", "judged"}
            assert explained if fits else verdict != "fine", (path, value, fits, verdict)
            outcomes[fits] += 1
    assert outcomes[True] > 0
    assert outcomes[False] > 0


@pytest.mark.parametrize("sample", support.samples(), ids=lambda sample: type(sample).__name__)
def test_grammar_and_parser_refuse_missing_and_additional_elements(sample: Any) -> None:
    item = sample.item()
    for changed in (item[:-1], [*item, 0], item[1:], [*item, item]):
        assert not _fits(_RULES[sample.TYPE], changed)
        assert _verdict(type(sample), changed) != "fine"


@pytest.mark.parametrize(
    ("rule", "inside", "outside"),
    [
        ("grams", [1, reading.MAX_WEIGHT_G], [0, reading.MAX_WEIGHT_G + 1]),
        ("impedance", [1, reading.MAX_IMPEDANCE_DOHM], [0, reading.MAX_IMPEDANCE_DOHM + 1]),
        ("pressure", [1, reading.MAX_PRESSURE_DMMHG], [0, reading.MAX_PRESSURE_DMMHG + 1]),
        ("pulse", [1, reading.MAX_PULSE_DBPM], [0, reading.MAX_PULSE_DBPM + 1]),
        ("natural", [0, fields.MAX_INTEGER], [-1, fields.MAX_INTEGER + 1]),
        ("seconds", [0, fields.MAX_TIME], [-1, fields.MAX_TIME + 1]),
        ("handle", [0, frame.MAX_HANDLE], [-1, frame.MAX_HANDLE + 1]),
        ("verb", [1, frame.MAX_VERB], [0, frame.MAX_VERB + 1]),
        (
            "person",
            [[1, 1, 0], [frame.MAX_HANDLE, command.MAX_SLOT, reading.MAX_WEIGHT_G]],
            [[0, 1, 0], [1, 0, 0], [1, command.MAX_SLOT + 1, 0], [1, 1, reading.MAX_WEIGHT_G + 1]],
        ),
        ("person", [[1, 1, 0]], [[frame.MAX_HANDLE + 1, 1, 0], [1, 1], [1, 1, 0, 0], 1]),
        ("people", [[], [[1, 1, 0]] * command.MAX_SLOT], [[[1, 1, 0]] * (command.MAX_SLOT + 1)]),
        ("records", [[_RECORD], [_RECORD] * frame.MAX_READINGS], [[], [_RECORD] * 33, [1]]),
        ("receipt-list", [[[1, 1, 0]], [[1, 1, 0]] * frame.MAX_RECEIPTS], [[], [[1, 1, 0]] * 17]),
        (
            "receipt",
            [[1, 6, 0, b"x"], [1, 6, 0, bytes(64)]],
            [[1, 6, 0, b""], [1, 6, 0, bytes(65)]],
        ),
        ("receipt", [[1, 6, 0]], [[1, 6, 0, 1], [1, 6, 0, b"x", b"x"], [1, 6, b"x"]]),
        (
            "trust",
            [[1, b"x"], [2, bytes(900)], [3, _KEY], [4, 1, _KEY]],
            [[1, bytes(901)], [3, b""]],
        ),
        (
            "trust",
            [[5, ["a", 1], "b"]],
            [[], [0], [1], [4, 0, _KEY], [4, _KEY], [5, ["a", 1]], [6]],
        ),
        ("refusals", [[], [[1, 1]] * answer.MAX_REFUSALS], [[[1, 1]] * 33, [[1, 32]], [[0, 1]]]),
        ("arguments", [[], [None] * 16], [[None] * 17]),
    ],
)
def test_ends_of_each_range_are_those_of_the_code(
    rule: str, inside: list[object], outside: list[object]
) -> None:
    for item in inside:
        assert _fits(rule, item), item
    for item in outside:
        assert not _fits(rule, item), item


@pytest.mark.parametrize(
    ("rule", "order"),
    [
        ("claim", command.Claim(1, [command.Person(1, 1, 0)])),
        ("claim", command.Claim(1, [])),
        ("renewal", command.People([command.Person(1, 8, 300_000)])),
        ("settings", command.Settings([(1, 2), (2, 15)])),
        ("trust", trust.certificate(b"\x30" * 900)),
        ("new-authority", trust.authority(b"\x30")),
        ("new-command-key", trust.command_key(_KEY)),
        ("new-mac-key", trust.mac_key(0xFFFF, _KEY)),
        ("new-address", trust.address("x" * 253, 65_535, "y")),
        ("erase", command.Erase(0)),
        ("erase", command.Erase()),
        ("release", command.Release()),
    ],
)
def test_arguments_of_each_verb_fit_their_rule(rule: str, order: Any) -> None:
    assert _fits(rule, order.arguments())
    assert _fits("arguments", order.arguments())
    assert not _fits(rule, [None])
    assert not _fits(rule, [1, 2, 3])


def test_envelopes_fit_and_other_headers_do_not() -> None:
    device = support.signer(1)
    signed = envelope.seal_sign1(message_types.HELLO, device.kid, b"x", device)
    sealed = envelope.seal_mac0(message_types.ACK, device.kid, b"x", 1, bytes(32))
    rules = ("signed", "authenticated")
    for data, rule in ((signed, rules[0]), (sealed, rules[1])):
        item = cbor.decode(data, (17, 18))
        assert _fits("envelope", item)
        assert [_fits(other, item) for other in rules] == [other == rule for other in rules]
    raw = cbor.encode({1: -9, 4: device.kid})
    shapes: tuple[object, ...] = (
        [raw, {4: device.kid}, b"x", bytes(64)],
        [raw, {}, None, bytes(64)],
        [raw, {}, b"x", bytes(63)],
        [cbor.encode({1: -7, 4: device.kid}), {}, b"x", bytes(64)],
    )
    for wrong in shapes:
        assert not _fits("envelope", cbor.Tag(18, wrong))
    assert _fits("external-aad", cbor.decode(envelope.external_aad(message_types.ACK, device.kid)))


def test_headers_fit_and_others_do_not() -> None:
    kid = support.signer(1).kid
    assert _fits("protected-signed", cbor.encode({1: -9, 4: kid}))
    assert _fits("protected-mac", cbor.encode({1: 5, 4: b"\x00\x01"}))
    for rule in ("protected-signed", "protected-mac"):
        for header in (
            {1: -7, 4: kid},
            {1: -9},
            {1: -9, 4: b"short"},
            {1: -9, 3: 0, 4: kid},
            {1: 5, 4: b"\x01"},
            {1: 4, 4: b"\x00\x01"},
            {},
        ):
            assert not _fits(rule, cbor.encode(header))


def test_enrolment_reply_fits() -> None:
    key = p256.public_key(support.private_key(3))
    reply = enrolment.Reply(ephemeral_key=key, answer=b"sealed")
    assert _fits("enrol-reply", cbor.decode(reply.encode()))
    assert not _fits("enrol-reply", [key, b""])
    assert not _fits("enrol-reply", [key])


@pytest.mark.skipif(pycddl is None, reason="the CDDL library has no wheel for this platform")
def test_the_library_reads_every_rule_and_refuses_other_messages() -> None:
    assert len(_GRAMMAR.rules) > 50
    for rule in _GRAMMAR.rules:
        assert _schema(rule) is not None
    refused = 0
    for sample in support.samples():
        assert _library_takes(_RULES[sample.TYPE], sample.item())
        item = sample.item()
        for wrong in (item[:-1], [*item, 0], [99, *item[1:]], [item], item[0]):
            refused += not _library_takes(_RULES[sample.TYPE], wrong)
    assert refused == 5 * len(support.samples())


def test_the_grammar_names_each_rule_once_and_uses_it() -> None:
    starts = {"message", "envelope", "external-aad", "enrol-reply", "claim", "renewal", "erase"}
    for rule in set(_GRAMMAR.rules) - starts - {"release", "settings", "trust"}:
        assert len(re.findall(rf"(?<![\w-]){rule}(?![\w-])(?!:)", _TEXT)) > 1, rule
