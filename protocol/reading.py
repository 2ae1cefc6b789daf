"""The record of one reading (SPEC 4.4): `Reading`, made by `weight` or `blood_pressure`.

Two grades of checking. What is not a record at all raises `MessageError`. What is one,
but holds a value out of range or a kind that is not known (yet), is told by `judge`, so
that one bad record does not hold back its neighbours. Pure.
"""

from protocol import fields
from protocol.errors import MessageError

KIND_WEIGHT = 1
KIND_WEIGHT_IMPEDANCE = 2
KIND_BLOOD_PRESSURE = 3

ATTRIBUTION_UNKNOWN = 0
ATTRIBUTION_RECOGNISED = 1
ATTRIBUTION_SAID = 2

FLAG_MOVED = 1 << 7
FLAG_ZERO_CORRECTED = 1 << 8  # weight: corrected by the zero found after step-off
FLAG_CUFF_LOOSE = 1 << 8  # blood pressure
FLAG_IRREGULAR_PULSE = 1 << 9
FLAG_PULSE_OUT_OF_RANGE = 1 << 10

FINE = "fine"
OUT_OF_RANGE = "out-of-range"
UNKNOWN_KIND = "unknown-kind"

MAX_WEIGHT_G = 300_000
MAX_IMPEDANCE_DOHM = 30_000
MAX_PRESSURE_DMMHG = 4_000
MAX_PULSE_DBPM = 3_500

_SINCE_EPOCH = 1 << 4
_FLAGS_OF_KIND = {
    KIND_WEIGHT: FLAG_MOVED | FLAG_ZERO_CORRECTED,
    KIND_WEIGHT_IMPEDANCE: FLAG_MOVED | FLAG_ZERO_CORRECTED,
    KIND_BLOOD_PRESSURE: FLAG_MOVED
    | FLAG_CUFF_LOOSE
    | FLAG_IRREGULAR_PULSE
    | FLAG_PULSE_OUT_OF_RANGE,
}
# Bounds of a record that is handed on although its kind is not known.
_MAX_PACKED = 0xFFFF
_MAX_VALUES = 16


class Reading:
    """`seconds` (wall time, or since the clock epoch began), kind, flags and `values`.

    `values` by kind: [g]; [g, 0.1 ohm]; [systolic, diastolic, mean in 0.1 mmHg, pulse in
    0.1 beats/min]. Prints nothing of itself: values never belong in a log.
    """

    __slots__ = ("packed", "seconds", "values")

    def __init__(self, seconds: int, packed: int, values: list[int]) -> None:
        self.seconds = seconds
        self.packed = packed
        self.values = values

    @property
    def kind(self) -> int:
        """What was measured: one of the KIND constants, or a newer one."""
        return self.packed & 15

    @property
    def since_epoch(self) -> bool:
        """True when `seconds` count from the beginning of the clock epoch."""
        return bool(self.packed & _SINCE_EPOCH)

    @property
    def attribution(self) -> int:
        """How the device came to the handle: one of the ATTRIBUTION constants."""
        return self.packed >> 5 & 3

    @property
    def flags(self) -> int:
        """The FLAG bits, in place."""
        return self.packed & 0xFF80

    def item(self) -> list[object]:
        """Return the array that is journalled and sent."""
        return [self.seconds, self.packed, list(self.values)]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Reading) and self.item() == other.item()

    def judge(self, handle: int) -> str:
        """Return FINE, OUT_OF_RANGE or UNKNOWN_KIND for this record of this person handle.

        A reserved bit counts as a kind not known yet: newer firmware gave it a meaning.
        """
        known_flags = _FLAGS_OF_KIND.get(self.kind)
        if known_flags is None or self.flags & ~known_flags or self.attribution == 3:
            return UNKNOWN_KIND
        if self.seconds > fields.MAX_TIME or (handle == 0) != (self.attribution == 0):
            return OUT_OF_RANGE
        return FINE if _values_fit(self.kind, self.values) else OUT_OF_RANGE


def parse(item: object) -> Reading:
    """Return the record that a decoded item is; `MessageError` if it is none."""
    seconds, packed, values = fields.array(item, 3, 3, "record-shape")
    return Reading(
        fields.integer(seconds, 0, fields.MAX_INTEGER, "record-seconds"),
        fields.integer(packed, 0, _MAX_PACKED, "record-packed"),
        [
            fields.integer(value, 0, fields.MAX_INTEGER, "record-value")
            for value in fields.array(values, 1, _MAX_VALUES, "record-values")
        ],
    )


def weight(
    seconds: int,
    grams: int,
    impedance_dohm: int | None = None,
    *,
    since_epoch: bool,
    attribution: int,
    flags: int = 0,
) -> Reading:
    """Make the record of a weigh-in, impedance in 0.1 ohm; `MessageError` if out of range."""
    if impedance_dohm is None:
        return _checked(seconds, KIND_WEIGHT, since_epoch, attribution, flags, [grams])
    values = [grams, impedance_dohm]
    return _checked(seconds, KIND_WEIGHT_IMPEDANCE, since_epoch, attribution, flags, values)


def blood_pressure(
    seconds: int,
    values: list[int],
    *,
    since_epoch: bool,
    attribution: int,
    flags: int = 0,
) -> Reading:
    """Make the record of a determination; `MessageError` if out of range.

    `values` are systolic, diastolic, mean in 0.1 mmHg and pulse in 0.1 beats/min.
    """
    return _checked(seconds, KIND_BLOOD_PRESSURE, since_epoch, attribution, flags, list(values))


def _checked(  # noqa: PLR0917 - private, called from three lines above
    seconds: int,
    kind: int,
    since_epoch: bool,  # noqa: FBT001 - private, called from three lines above
    attribution: int,
    flags: int,
    values: list[int],
) -> Reading:
    basis = _SINCE_EPOCH if since_epoch else 0
    record = parse([seconds, kind | basis | attribution << 5 | flags, values])
    if record.attribution != attribution or record.flags != flags:
        raise MessageError("record-flags")
    if record.judge(attribution) != FINE:
        raise MessageError("record-range")
    return record


def _values_fit(kind: int, values: list[int]) -> bool:
    if kind == KIND_BLOOD_PRESSURE:
        return _blood_pressure_fits(values)
    limits = (MAX_WEIGHT_G,) if kind == KIND_WEIGHT else (MAX_WEIGHT_G, MAX_IMPEDANCE_DOHM)
    if len(values) != len(limits):
        return False
    return all(0 < values[index] <= limit for index, limit in enumerate(limits))


def _blood_pressure_fits(values: list[int]) -> bool:
    if len(values) != 4:
        return False
    systolic, diastolic, mean, pulse = values
    return 0 < diastolic < mean < systolic <= MAX_PRESSURE_DMMHG and 0 < pulse <= MAX_PULSE_DBPM
