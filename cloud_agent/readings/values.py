"""What a reading's numbers mean: kinds, flags, units (SPEC 4.4), and how they are kept. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from cloud_agent.errors import CiphertextError
from protocol import cbor, reading
from protocol.errors import ProtocolError

_WEIGHT_FLAGS: Final = {
    reading.FLAG_MOVED: "did not stand still",
    reading.FLAG_ZERO_CORRECTED: "corrected by the zero after step-off",
}
_PRESSURE_FLAGS: Final = {
    reading.FLAG_MOVED: "movement",
    reading.FLAG_CUFF_LOOSE: "cuff too loose",
    reading.FLAG_IRREGULAR_PULSE: "irregular pulse",
    reading.FLAG_PULSE_OUT_OF_RANGE: "pulse out of range",
}


@dataclass(frozen=True, slots=True)
class Quantity:
    """One value of a reading: stored as an integer of `1 / divisor` of `unit`."""

    name: str
    unit: str  # UCUM
    divisor: int

    def text(self, value: int) -> str:
        """The exact decimal text in `unit`: no float is involved."""
        whole, rest = divmod(value, self.divisor)
        if self.divisor == 1:
            return str(whole)
        digits = len(str(self.divisor)) - 1
        return f"{whole}.{rest:0{digits}d}"


_WEIGHT: Final = Quantity("weight", "kg", 1_000)
_IMPEDANCE: Final = Quantity("impedance", "Ohm", 10)
_PRESSURES: Final = (
    Quantity("systolic", "mm[Hg]", 10),
    Quantity("diastolic", "mm[Hg]", 10),
    Quantity("mean", "mm[Hg]", 10),
    Quantity("pulse", "/min", 10),
)

QUANTITIES: Final[dict[int, tuple[Quantity, ...]]] = {
    reading.KIND_WEIGHT: (_WEIGHT,),
    reading.KIND_WEIGHT_IMPEDANCE: (_WEIGHT, _IMPEDANCE),
    reading.KIND_BLOOD_PRESSURE: _PRESSURES,
}
KIND_NAMES: Final = {
    reading.KIND_WEIGHT: "weight",
    reading.KIND_WEIGHT_IMPEDANCE: "weight and impedance",
    reading.KIND_BLOOD_PRESSURE: "blood pressure",
}
# The columns of a table of readings, in this order.
ALL_QUANTITIES: Final = (_WEIGHT, _IMPEDANCE, *_PRESSURES)


@dataclass(frozen=True, slots=True)
class Content:
    """What a reading's ciphertext holds: the record's packed field and values (SPEC 4.4)."""

    packed: int
    values: tuple[int, ...]

    @property
    def kind(self) -> int:
        """Weight, weight and impedance, blood pressure."""
        return reading.Reading(0, self.packed, list(self.values)).kind

    @property
    def kind_name(self) -> str:
        """The kind in words."""
        return KIND_NAMES.get(self.kind, f"kind {self.kind}")

    def texts(self) -> dict[str, str]:
        """Quantity name -> exact decimal text in its unit."""
        quantities = QUANTITIES.get(self.kind, ())
        return {
            quantity.name: quantity.text(value)
            for quantity, value in zip(quantities, self.values, strict=False)
        }

    def flags(self) -> list[str]:
        """What the device remarked, in words."""
        names = _PRESSURE_FLAGS if self.kind == reading.KIND_BLOOD_PRESSURE else _WEIGHT_FLAGS
        return [text for flag, text in names.items() if self.packed & flag]


def encode(packed: int, values: Sequence[int]) -> bytes:
    """The plaintext of a reading's ciphertext."""
    return cbor.encode([packed, list(values)])


def decode(plaintext: bytes) -> Content:
    """What `encode` made; raises `CiphertextError` for anything else."""
    try:
        item = cbor.decode(plaintext)
    except ProtocolError as error:
        raise CiphertextError("a reading's content cannot be read") from error
    match item:
        case [int(packed), list(values)] if all(isinstance(value, int) for value in values):
            return Content(packed, tuple(values))
        case _:
            raise CiphertextError("a reading's content cannot be read")
