"""Records and frames of readings (SPEC 4.3, 4.4, 4.7): ranges, judging, clock forms, budgets."""

from protocol import cbor, envelope, fields, frame, message_types, reading
from protocol.errors import MessageError
from protocol.tests import support
from protocol.tests.support import NOW_S, blood_pressure, readings, refusal, weigh_in

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_WEIGHT_G = 72_500
_ALL_FLAGS = 0x0780


def _size(records: "list[reading.Reading]") -> int:
    device = support.signer(1)
    payload = readings(records).encode()
    return len(envelope.seal_sign1(message_types.READINGS, device.kid, payload, device))


def test_budgets_hold_with_every_flag_set() -> None:
    moved = reading.FLAG_MOVED | reading.FLAG_ZERO_CORRECTED
    for flags in (0, moved):
        one = _size([weigh_in(flags=flags)])
        assert one <= 120
        two = _size([weigh_in(flags=flags), weigh_in(NOW_S + 1, flags=flags)])
        assert two - one <= 20
    for flags in (0, _ALL_FLAGS):
        one = _size([blood_pressure(flags=flags)])
        assert one <= 124
        two = _size([blood_pressure(flags=flags), blood_pressure(NOW_S + 1, flags=flags)])
        assert two - one <= 22


def test_a_full_frame_fits_into_a_message() -> None:
    assert _size([blood_pressure(NOW_S + number, flags=_ALL_FLAGS) for number in range(32)]) <= 1024


def test_makers_refuse_what_is_out_of_range() -> None:
    base: "dict[str, Any]" = {"since_epoch": False, "attribution": 1}
    for grams in (0, -1, reading.MAX_WEIGHT_G + 1):
        assert _weight_refusal(NOW_S, grams, None, base)
    for impedance_dohm in (0, -1, reading.MAX_IMPEDANCE_DOHM + 1):
        assert _weight_refusal(NOW_S, _WEIGHT_G, impedance_dohm, base)
    for seconds in (-1, fields.MAX_TIME + 1):
        assert _weight_refusal(seconds, _WEIGHT_G, None, base)
    for attribution in (-1, 3, 4):
        changed: "dict[str, Any]" = {"since_epoch": False, "attribution": attribution}
        assert _weight_refusal(NOW_S, _WEIGHT_G, None, changed)
    for flags in (1, 0x20, reading.FLAG_IRREGULAR_PULSE, 0x8000, 0x10000):
        changed = {"since_epoch": False, "attribution": 1, "flags": flags}
        assert _weight_refusal(NOW_S, _WEIGHT_G, None, changed)


def _weight_refusal(
    seconds: int, grams: int, impedance_dohm: int | None, arguments: "dict[str, Any]"
) -> bool:
    try:
        reading.weight(seconds, grams, impedance_dohm, **arguments)
    except MessageError as error:
        return error.reason.startswith("record-")
    return False


def test_ends_of_the_ranges_are_taken() -> None:
    for grams in (1, reading.MAX_WEIGHT_G):
        assert reading.weight(0, grams, since_epoch=True, attribution=0).values == [grams]
    for impedance_dohm in (1, reading.MAX_IMPEDANCE_DOHM):
        made = reading.weight(fields.MAX_TIME, 1, impedance_dohm, since_epoch=False, attribution=2)
        assert made.values == [1, impedance_dohm]
    for values in ([4_000, 3_998, 3_999, 3_500], [3, 1, 2, 1]):
        made = reading.blood_pressure(0, values, since_epoch=True, attribution=0)
        assert made.values == values


def test_blood_pressure_must_make_sense() -> None:
    for values in (
        [1_200, 800, 800, 600],
        [1_200, 800, 1_200, 600],
        [800, 1_200, 1_000, 600],
        [4_001, 800, 900, 600],
        [1_200, 0, 900, 600],
        [1_200, 800, 900, 0],
        [1_200, 800, 900, 3_501],
        [1_200, 800, 900],
        [1_200, 800, 900, 600, 1],
    ):
        record = reading.parse([NOW_S, reading.KIND_BLOOD_PRESSURE | 1 << 5, values])
        assert record.judge(1) == reading.OUT_OF_RANGE


def test_record_tells_its_parts() -> None:
    flags = reading.FLAG_MOVED | reading.FLAG_IRREGULAR_PULSE
    record = blood_pressure(90, since_epoch=True, attribution=2, flags=flags)
    assert record.kind == reading.KIND_BLOOD_PRESSURE
    assert record.since_epoch
    assert record.attribution == reading.ATTRIBUTION_SAID
    assert record.flags == flags
    assert record.packed == 3 | 1 << 4 | 2 << 5 | 1 << 7 | 1 << 9
    assert reading.parse(record.item()) == record
    assert record != weigh_in()
    assert not weigh_in().since_epoch
    assert weigh_in().kind == reading.KIND_WEIGHT_IMPEDANCE


def test_one_bad_record_is_judged_alone() -> None:
    good = weigh_in().item()
    item = readings([weigh_in()] * 5).item()
    item[6] = [
        good,
        [NOW_S, 2 | 1 << 5, [0, 5_000]],
        [NOW_S, 9 | 1 << 5, [1, 2, 3]],
        [fields.MAX_TIME + 1, 2 | 1 << 5, [72_500, 5_000]],
        good,
    ]
    parsed = frame.parse(cbor.encode(item))
    assert isinstance(parsed, frame.Readings)
    assert [parsed.judge(index) for index in range(5)] == [
        reading.FINE,
        reading.OUT_OF_RANGE,
        reading.UNKNOWN_KIND,
        reading.OUT_OF_RANGE,
        reading.FINE,
    ]
    assert parsed.encode() == cbor.encode(item)


def test_reserved_bits_count_as_a_kind_not_known_yet() -> None:
    for packed in (
        1 | 3 << 5,
        1 | 1 << 5 | 1 << 9,
        1 | 1 << 5 | 1 << 15,
        3 | 1 << 5 | 1 << 11,
        0,
        4 | 1 << 5,
        15 | 1 << 5,
    ):
        values = [1_200, 800, 900, 600] if packed & 15 == 3 else [72_500]
        assert reading.parse([NOW_S, packed, values]).judge(1) == reading.UNKNOWN_KIND


def test_handle_and_attribution_go_together() -> None:
    unknown = weigh_in(attribution=reading.ATTRIBUTION_UNKNOWN)
    known = weigh_in()
    assert unknown.judge(0) == known.judge(1) == reading.FINE
    assert unknown.judge(1) == known.judge(0) == reading.OUT_OF_RANGE


def test_what_is_no_record_spoils_the_frame() -> None:
    for record in (
        [NOW_S, 33],
        [NOW_S, 33, [], 0],
        [-1, 33, [72_500]],
        [NOW_S, 65_536, [72_500]],
        [NOW_S, -1, [72_500]],
        [NOW_S, 33, []],
        [NOW_S, 33, [1] * 17],
        [NOW_S, 33, [-1]],
        [NOW_S, 33, [True]],
        [NOW_S, 33, 72_500],
        "record",
    ):
        item = readings([weigh_in()]).item()
        item[6] = [weigh_in().item(), record]
        assert refusal(MessageError, frame.parse, item).startswith("record-")


def test_frames_are_bounded() -> None:
    record = weigh_in()
    for changes, reason in (
        ({"records": []}, "frame-records"),
        ({"records": [record] * 33}, "frame-records"),
        ({"oldest": 0}, "frame-sequence"),
        ({"oldest": 65_536}, "frame-sequence"),
        ({"first": fields.MAX_INTEGER + 1}, "frame-sequence"),
        ({"first": fields.MAX_INTEGER, "records": [record] * 2}, "frame-sequence"),
        ({"claim_epoch": -1}, "frame-claim"),
        ({"handle": 65_536}, "frame-handle"),
        ({"handle": -1}, "frame-handle"),
    ):
        arguments: "dict[str, Any]" = {"records": [record]}
        arguments.update(changes)
        assert refusal(MessageError, _readings, arguments) == reason
    assert readings([record] * 32).last == 65_535 + 31


def _readings(arguments: "dict[str, Any]") -> None:
    readings(**arguments)


def test_clock_forms_date_their_records() -> None:
    wall = frame.Clock.parse(3)
    assert not wall.since_epoch
    assert wall.taken(NOW_S) == (NOW_S, NOW_S)
    dated = frame.Clock.parse([3, NOW_S])
    assert dated.since_epoch
    assert dated.taken(90) == (NOW_S + 90, NOW_S + 90)
    bounded = frame.Clock.parse([3, NOW_S, NOW_S + 60])
    assert bounded.since_epoch
    assert bounded.taken(90) == (NOW_S + 90, NOW_S + 150)
    for clock, item in ((wall, 3), (dated, [3, NOW_S]), (bounded, [3, NOW_S, NOW_S + 60])):
        assert clock.item() == item
    assert frame.Clock(3, NOW_S, NOW_S).item() == [3, NOW_S]


def test_other_clock_forms_are_refused() -> None:
    for item in (
        0,
        -1,
        None,
        True,
        [],
        [3],
        [0, NOW_S],
        [3, -1],
        [3, fields.MAX_TIME + 1],
        [3, NOW_S, NOW_S],
        [3, NOW_S, NOW_S - 1],
        [3, NOW_S, fields.MAX_TIME + 1],
        [3, None, NOW_S],
        [3, NOW_S, None],
        [3, NOW_S, NOW_S + 1, 0],
    ):
        assert refusal(MessageError, frame.Clock.parse, item) == "frame-clock"
    assert refusal(MessageError, frame.Clock, 3, None, NOW_S) == "frame-clock"


def test_time_basis_of_a_record_must_be_the_one_of_its_frame() -> None:
    for record, clock, verdict in (
        (weigh_in(), frame.Clock(3), reading.FINE),
        (weigh_in(), frame.Clock(3, NOW_S), reading.OUT_OF_RANGE),
        (weigh_in(90, since_epoch=True), frame.Clock(3), reading.OUT_OF_RANGE),
        (weigh_in(90, since_epoch=True), frame.Clock(3, NOW_S), reading.FINE),
    ):
        assert readings([record], clock=clock).judge(0) == verdict


def test_content_tells_a_fork_and_not_how_the_record_was_sent() -> None:
    record = weigh_in(90, since_epoch=True)
    base = readings([record], clock=frame.Clock(3, NOW_S)).content(0)
    for changes in (
        {"clock": frame.Clock(3, NOW_S + 5)},
        {"clock": frame.Clock(3, NOW_S, NOW_S + 5)},
        {"oldest": 1},
    ):
        arguments: "dict[str, Any]" = {"clock": frame.Clock(3, NOW_S)}
        arguments.update(changes)
        assert readings([record], **arguments).content(0) == base
    for changes in ({"clock": frame.Clock(4, NOW_S)}, {"handle": 2}, {"claim_epoch": 2}):
        arguments = {"clock": frame.Clock(3, NOW_S)}
        arguments.update(changes)
        assert readings([record], **arguments).content(0) != base
    other = weigh_in(91, since_epoch=True)
    assert readings([other], clock=frame.Clock(3, NOW_S)).content(0) != base
    receipts = frame.Receipts(oldest=1, first=1, receipts=[frame.Receipt(1, 4, 0)])
    assert receipts.content(0) == cbor.encode([4, 0, 0, 0, [1, 4, 0]])
