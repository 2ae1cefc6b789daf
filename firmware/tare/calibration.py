"""Counts of the load cell's converter to grams, by the two points kept in flash (SPEC 12).

Pure. Counts at the ends of the range are refused: a broken wire must not become a weight.
"""

from tare.errors import SensorError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from tare.two_copies import TwoCopies

_HIGHEST = 0x7FFFFF
_LOWEST = -0x800000


class Calibration:
    """`zero` counts without load, `per_kg` counts for each kilogram."""

    def __init__(self, zero: int, per_kg: int) -> None:
        if per_kg <= 0:
            raise SensorError("calibration without a span")
        self.zero = zero
        self.per_kg = per_kg

    def grams(self, counts: int) -> int:
        """Return the load in g; `SensorError` when the converter is at an end of its range."""
        if counts >= _HIGHEST or counts <= _LOWEST:
            raise SensorError("load cell out of range")
        return ((counts - self.zero) * 2000 + self.per_kg) // (2 * self.per_kg)


def load(store: "TwoCopies", default: Calibration) -> Calibration:
    """Return the stored calibration, or the board's default when none was made yet."""
    item = store.item()
    if not isinstance(item, list) or len(item) != 2:
        return default
    return Calibration(item[0], item[1])
