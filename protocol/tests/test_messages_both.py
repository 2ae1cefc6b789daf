"""Every message: what is sent comes back, and what SPEC 4, 5, 6 and 10 exclude is refused."""

from protocol import (
    answer,
    cbor,
    command,
    enrolment,
    fields,
    frame,
    message_types,
    p256,
    settings,
    trust,
)
from protocol.errors import CborError, CurveError, MessageError, ProtocolError
from protocol.tests import support
from protocol.tests.support import NONCE, NOW_S, refusal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_TOO_LARGE = 1 << 63
_LATE = fields.MAX_TIME + 1
_KEY = p256.public_key(support.private_key(3))


def test_every_message_comes_back_from_bytes_and_from_a_decoded_item() -> None:
    for sample in support.samples():
        encoded = sample.encode()
        for data in (encoded, bytearray(encoded), memoryview(encoded), cbor.decode(encoded)):
            received = type(sample).parse(data)
            assert received == sample
            assert received.encode() == encoded


def test_the_receiver_of_several_types_tells_them_apart() -> None:
    for sample in support.samples():
        for types, parse in (
            (message_types.UPLINK, frame.parse),
            (message_types.ANSWERS, answer.parse),
        ):
            if sample.TYPE not in types:
                assert refusal(MessageError, parse, sample.encode()) == "type"
                continue
            for data in (sample.encode(), cbor.decode(sample.encode())):
                received: object = parse(data)
                assert type(received) is type(sample)
                assert received == sample


def test_samples_cover_every_type() -> None:
    types = {sample.TYPE for sample in support.samples()}
    everything = message_types.UPLINK + message_types.ANSWERS
    assert types == set(everything) | {
        message_types.COMMAND,
        message_types.ENROL_REQUEST,
        message_types.ENROL_ANSWER,
    }


def test_no_parser_takes_another_type() -> None:
    for sample in support.samples():
        for other in support.samples():
            if other.TYPE != sample.TYPE:
                assert refusal(MessageError, type(sample).parse, other.encode()) == "type"
    strangers: "tuple[object, ...]" = ([], {}, None, "x", [True], [[1]], [1.0], [-1], [6], ["1"])
    for item in strangers:
        assert refusal(MessageError, frame.parse, item) == "type"
        assert refusal(MessageError, answer.parse, item) == "type"
    assert refusal(CborError, frame.parse, b"\x81\x18\x01") == "not-shortest"


def test_missing_and_additional_elements_are_refused() -> None:
    for sample in support.samples():
        item = sample.item()
        refusal(MessageError, type(sample).parse, item[:-1])
        refusal(MessageError, type(sample).parse, item + [0])  # noqa: RUF005 - MicroPython


def test_every_element_of_another_type_is_refused() -> None:
    # Replaces each element, at every depth, by one of another type.
    strangers: "tuple[object, ...]" = (True, None, "text" * 20, b"", [], -1, _TOO_LARGE, {})
    checked = 0
    for sample in support.samples():
        if isinstance(sample, command.Command) and sample.order() is None:
            continue  # arguments of an unknown verb are anything
        for path in _paths(sample.item()):
            for stranger in strangers:
                item = cbor.decode(sample.encode())
                same_type = type(_get(item, path)) is type(stranger)
                if same_type and not isinstance(stranger, int):
                    continue
                _set(item, path, stranger)
                if not _is_another_legal_form(sample, path, stranger):
                    refusal(ProtocolError, _parse_fully, type(sample), item)
                    checked += 1
    assert checked > 1_000


def _parse_fully(kind: "type[Any]", item: object) -> None:
    message = kind.parse(item)
    if isinstance(message, command.Command):
        message.order()


def _is_another_legal_form(sample: object, path: "list[int]", stranger: object) -> bool:
    """The places where SPEC allows the stranger as well."""
    if isinstance(sample, frame.Hello):
        return path == [5, 2] and stranger is None
    if isinstance(sample, command.Command):
        return path == [5] and stranger == [] and sample.verb == command.VERB_ERASE
    if isinstance(sample, answer.Ack):
        return path == [2] and stranger == []
    return False


def _paths(item: object) -> "list[list[int]]":
    found: list[list[int]] = []
    if isinstance(item, list):
        for index, element in enumerate(item):
            found.append([index])
            # MicroPython does not unpack there.
            found.extend([[index] + path for path in _paths(element)])  # noqa: RUF005
    return found


def _get(item: "Any", path: "list[int]") -> object:
    for index in path:
        item = item[index]
    return item


def _set(item: "Any", path: "list[int]", value: object) -> None:
    for index in path[:-1]:
        item = item[index]
    item[path[-1]] = value


def _refused(make: "Callable[..., object]", field: str, value: object) -> str:
    try:
        make(**{field: value})
    except ProtocolError as error:
        return error.reason
    raise AssertionError(field + " not refused")


def test_hello_fields_are_bounded() -> None:
    for field, value in (
        ("nonce", bytes(15)),
        ("nonce", bytes(17)),
        ("model", ""),
        ("model", "x" * 33),
        ("firmware", "\u00fc" * 17),
        ("boot_counter", -1),
        ("boot_reason", 5),
        ("clock_epoch", 0),
        ("clock_s", _LATE),
        ("wall_s", -1),
        ("wall_s", _LATE),
        ("oldest", 0),
        ("oldest", 10),
        ("next_sequence", 4),
        ("next_sequence", _TOO_LARGE),
        ("claim_epoch", -1),
        ("command_counter", _TOO_LARGE),
    ):
        assert _refused(support.hello, field, value).startswith("hello-")
    # Positive control: the ends of the ranges.
    support.hello(oldest=9, next_sequence=9, firmware="\u00fc" * 16, wall_s=fields.MAX_TIME)


def test_claim_window_fields_are_bounded() -> None:
    def make(**changes: "Any") -> frame.ClaimWindow:
        arguments: "dict[str, Any]" = {"nonce": NONCE, "proof": bytes(32), "window_s": 600}
        arguments.update(changes)
        return frame.ClaimWindow(**arguments)

    assert make().window_s == 600
    for field, value in (
        ("nonce", bytes(15)),
        ("proof", bytes(31)),
        ("window_s", 0),
        ("window_s", 601),
    ):
        assert _refused(make, field, value).startswith("claim-")


def test_a_receipt_has_a_detail_or_none() -> None:
    for detail in (b"", b"x", bytes(frame.MAX_DETAIL_SIZE)):
        receipt = frame.Receipt(7, command.VERB_TRUST, frame.OUTCOME_DONE, detail)
        assert len(receipt.item()) == (4 if detail else 3)
        assert frame.Receipt.parse(receipt.item()).detail == detail
    for item in ([7, 6, 0, b""], [7, 6, 0, bytes(65)], [7, 6, 0, 1], [7, 6, 0, None]):
        assert refusal(MessageError, frame.Receipt.parse, item) == "receipt-detail"
    for item in ([7, 6], [7, 6, 0, b"x", b"x"]):
        assert refusal(MessageError, frame.Receipt.parse, item) == "receipt-shape"


def test_receipts_and_voids_are_bounded() -> None:
    receipt = frame.Receipt(1, 1, 0)
    for arguments in ((0, 1, 0), (1, 0, 0), (1, 65_536, 0), (1, 1, 5), (1, 1, -1)):
        refusal(MessageError, frame.Receipt, *arguments)
    for count in (0, 17):
        listed = {"oldest": 1, "first": 1, "receipts": [receipt] * count}
        assert _refused_call(frame.Receipts, listed) == "frame-receipts"
    last = fields.MAX_INTEGER
    assert frame.Receipts(oldest=1, first=last - 15, receipts=[receipt] * 16).last == last
    assert frame.Voids(oldest=1, first=last, count=1).last == last
    for voids in (
        {"oldest": 1, "first": last, "count": 2},
        {"oldest": 1, "first": 1, "count": 0},
        {"oldest": 1, "first": 1, "count": 65_536},
        {"oldest": 2, "first": 1, "count": 1},
        {"oldest": 0, "first": 1, "count": 1},
    ):
        _refused_call(frame.Voids, voids)


def _refused_call(make: "Callable[..., object]", arguments: "dict[str, Any]") -> str:
    try:
        make(**arguments)
    except ProtocolError as error:
        return error.reason
    raise AssertionError("not refused")


def test_welcome_and_ack_are_bounded() -> None:
    good: "dict[str, Any]" = {"nonce": NONCE, "time_s": NOW_S, "settled": 0, "claim_epoch": 0}
    answer.Welcome(**good)
    for field, value in (("nonce", b""), ("time_s", _LATE), ("settled", -1), ("claim_epoch", -1)):
        changed = dict(good)
        changed[field] = value
        assert _refused_call(answer.Welcome, changed).startswith("welcome-")


def test_ack_lists_each_sequence_once_and_no_hold_that_is_settled() -> None:
    for refusals in (
        [(5, 1), (5, 1)],
        [(6, 1), (5, 1)],
        [(0, 1)],
        [(5, 0)],
        [(5, 32)],
        [(10, 16)],
        [(number, 1) for number in range(1, 34)],
    ):
        _refused_call(answer.Ack, {"settled": 10, "refusals": refusals})
    full = answer.Ack(settled=10, refusals=[(number, 1) for number in range(1, 33)])
    assert len(full.refusals) == 32
    assert answer.Ack(settled=10, refusals=[(10, 15), (11, 16), (12, 31)]).settled == 10
    assert [answer.is_hold(reason) for reason in (1, 4, 15, 16, 18, 31)] == [False] * 3 + [True] * 3


def test_command_life_and_numbers_are_bounded() -> None:
    def make(**changes: "Any") -> command.Command:
        return support.order(command.VERB_RELEASE, [], **changes)

    assert make(expires_s=NOW_S + command.MAX_LIFE_S).verb == command.VERB_RELEASE
    for field, value in (
        ("counter", 0),
        ("issued_s", -1),
        ("issued_s", _LATE),
        ("expires_s", NOW_S),
        ("expires_s", NOW_S - 1),
        ("expires_s", NOW_S + command.MAX_LIFE_S + 1),
    ):
        assert _refused(make, field, value).startswith("command-")
    for verb in (0, -1, 65_536):
        refusal(MessageError, support.order, verb, [])
    assert refusal(MessageError, support.order, 4, [0] * 17) == "command-arguments"


def test_known_verbs_with_other_arguments_are_commands_without_an_order() -> None:
    person = [1, 1, 72_500]
    wrong: "tuple[tuple[int, Any], ...]" = (
        (command.VERB_CLAIM, []),
        (command.VERB_CLAIM, [0, []]),
        (command.VERB_CLAIM, [1, [person], 0]),
        (command.VERB_CLAIM, [1, [person, person]]),
        (command.VERB_CLAIM, [1, [person, [2, 1, 0]]]),
        (command.VERB_CLAIM, [1, [[handle, handle, 0] for handle in range(1, 10)]]),
        (command.VERB_PEOPLE, [person]),
        (command.VERB_PEOPLE, [[[0, 1, 0]]]),
        (command.VERB_PEOPLE, [[[1, 0, 0]]]),
        (command.VERB_PEOPLE, [[[1, 9, 0]]]),
        (command.VERB_PEOPLE, [[[1, 1, 300_001]]]),
        (command.VERB_PEOPLE, [[[1, 1]]]),
        (command.VERB_SETTINGS, []),
        (command.VERB_SETTINGS, [[]]),
        (command.VERB_SETTINGS, [1, 1]),
        (command.VERB_SETTINGS, [[[1, 1], [1, 2]]]),
        (command.VERB_SETTINGS, [[[1, 3]]]),
        (command.VERB_SETTINGS, [[[1, True]]]),
        (command.VERB_SETTINGS, [[[2, 14]]]),
        (command.VERB_SETTINGS, [[[2, 301]]]),
        (command.VERB_SETTINGS, [[[3, 1]]]),
        (command.VERB_SETTINGS, [[[1, 1], [200, 1]]]),
        (command.VERB_SETTINGS, [[[1, 1, 1]]]),
        (command.VERB_TRUST, []),
        (command.VERB_TRUST, [1]),
        (command.VERB_TRUST, [0, b"x"]),
        (command.VERB_TRUST, [6, b"x"]),
        (command.VERB_TRUST, [True, b"x"]),
        (command.VERB_TRUST, [1, b""]),
        (command.VERB_TRUST, [2, bytes(901)]),
        (command.VERB_TRUST, [1, b"x", b"y"]),
        (command.VERB_TRUST, [3, bytes(63) + b"\x01"]),
        (command.VERB_TRUST, [3, bytes(64)]),
        (command.VERB_TRUST, [4, 0, _KEY]),
        (command.VERB_TRUST, [4, 65_536, _KEY]),
        (command.VERB_TRUST, [4, 2]),
        (command.VERB_TRUST, [4, 2, bytes(64)]),
        (command.VERB_TRUST, [5, "host", "name"]),
        (command.VERB_TRUST, [5, ["host", 0], "name"]),
        (command.VERB_TRUST, [5, ["", 1], "name"]),
        (command.VERB_TRUST, [5, ["host", 1], ""]),
        (command.VERB_TRUST, [5, ["host", 1]]),
        (command.VERB_ERASE, [None]),
        (command.VERB_ERASE, [-1]),
        (command.VERB_ERASE, [65_536]),
        (command.VERB_ERASE, [1, 2]),
        (command.VERB_RELEASE, [0]),
    )
    for verb, arguments in wrong:
        received = command.Command.parse(support.order(verb, arguments).encode())
        refusal(ProtocolError, received.order)
    for verb in (command.VERB_UPDATE, 4_000):
        assert support.order(verb, [1, "x"]).order() is None


def test_orders_carry_their_arguments() -> None:
    people = [command.Person(1, 1, 72_500), command.Person(65_535, 8, 0)]
    claim = support.order(command.VERB_CLAIM, command.Claim(3, people).arguments()).order()
    assert isinstance(claim, command.Claim)
    assert (claim.epoch, [person.item() for person in claim.people]) == (
        3,
        [[1, 1, 72_500], [65_535, 8, 0]],
    )
    renewed = support.order(command.VERB_PEOPLE, command.People(people).arguments()).order()
    assert isinstance(renewed, command.People)
    assert len(renewed.people) == 2
    changes = [(settings.UNIT, settings.STONE), (settings.SHOWN_S, 30)]
    changed = support.order(command.VERB_SETTINGS, command.Settings(changes).arguments()).order()
    assert isinstance(changed, command.Settings)
    assert changed.changes == changes
    for handle in (0, 7, 65_535, None):
        erase = support.order(command.VERB_ERASE, command.Erase(handle).arguments()).order()
        assert isinstance(erase, command.Erase)
        assert erase.handle == handle
    for renewal in (
        trust.certificate(b"der"),
        trust.authority(b"der"),
        trust.command_key(_KEY),
        trust.mac_key(65_535, _KEY),
        trust.address("host", 1, "name"),
    ):
        renewed_trust = support.order(command.VERB_TRUST, renewal.arguments()).order()
        assert isinstance(renewed_trust, trust.Trust)
        assert renewed_trust.arguments() == renewal.arguments()
    release = support.order(command.VERB_RELEASE, command.Release().arguments()).order()
    assert isinstance(release, command.Release)


def test_enrolment_fields_are_bounded() -> None:
    off_curve = bytes(63) + b"\x01"
    request: "tuple[tuple[str, Any], ...]" = (
        ("challenge", bytes(15)),
        ("identity_key", off_curve),
        ("tls_key", bytes(65)),
        ("ephemeral_key", b""),
        ("model", ""),
        ("firmware", "x" * 33),
    )
    for field, value in request:
        _refused(support.enrol_request, field, value)
    response: "tuple[tuple[str, Any], ...]" = (
        ("challenge", bytes(17)),
        ("device_certificate", b""),
        ("ca_certificate", bytes(1_501)),
        ("command_key", off_curve),
        ("host", ""),
        ("host", "x" * 254),
        ("port", 0),
        ("port", 65_536),
        ("server_name", ""),
        ("time_s", _LATE),
    )
    for field, value in response:
        _refused(support.enrol_answer, field, value)


def test_enrolment_replies_are_bounded() -> None:
    key = p256.public_key(support.private_key(1))
    for item in ([key], [key, b""], [key, "x"], [bytes(64), b"x"], [key, b"x", 0], key):
        refusal(ProtocolError, enrolment.Reply.parse, cbor.encode(item))
    assert refusal(CurveError, enrolment.Reply.parse, cbor.encode([bytes(64), b"x"]))
    too_long = enrolment.Reply(ephemeral_key=key, answer=bytes(4_096))
    assert refusal(MessageError, too_long.encode) == "enrol-size"


def test_both_ends_of_the_cable_derive_the_same_mac_key() -> None:
    kid = support.signer(1).kid
    device, cloud = support.private_key(3), support.private_key(5)
    request = enrolment.Request.parse(support.enrol_request().encode())
    reply = enrolment.Reply(ephemeral_key=p256.public_key(cloud), answer=b"sealed")
    received = enrolment.Reply.parse(reply.encode())
    assert received.answer == b"sealed"
    generation = enrolment.FIRST_GENERATION
    there = enrolment.mac_key(
        p256.ecdh(cloud, request.ephemeral_key), request.challenge, kid, generation
    )
    here = enrolment.mac_key(p256.ecdh(device, received.ephemeral_key), NONCE, kid, generation)
    assert here == there
    assert len(here) == 32
    for other in (
        enrolment.mac_key(p256.ecdh(device, received.ephemeral_key), NONCE, kid, 2),
        enrolment.mac_key(p256.ecdh(device, received.ephemeral_key), bytes(16), kid, generation),
        enrolment.mac_key(p256.ecdh(device, received.ephemeral_key), NONCE, bytes(8), generation),
    ):
        assert other != here


def test_messages_print_nothing_of_themselves() -> None:
    for sample in support.samples():
        text = repr(sample) + str(sample)
        assert "72500" not in text
        assert "1795000000" not in text
    assert "72500" not in repr(support.weigh_in())
