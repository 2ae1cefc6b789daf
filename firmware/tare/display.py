"""What the display shows, as lines of text; the board draws them or mirrors them. Pure.

The display is the one place besides the cloud where a weight or a claim code may appear.
"""

from protocol import settings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

WIDTH = 20
# The international pound is 0.45359237 kg by definition (1959).
_POUND_UG = 453_592_370
_TENTHS_PER_STONE = 140
_CODE_GROUP = 9


class Display:
    """`show(lines)` is the board's: it is called only when something changed."""

    def __init__(self, show: "Callable[[list[str]], None]") -> None:
        self._show = show
        self.lines: list[str] = []

    def put(self, *lines: str) -> None:
        """Show these lines, cut to the width of the display."""
        cut = [line[:WIDTH] for line in lines]
        if cut != self.lines:
            self.lines = cut
            self._show(cut)

    def weight(self, grams: int, unit: int, note: str) -> None:
        """Show a weight in a unit of the settings, and what became of it."""
        self.put(weight(grams, unit), note)

    def claim_code(self, text: str) -> None:
        """Show the code that claims the device, two groups a line."""
        self.put("Enter this code:", text[:_CODE_GROUP], text[_CODE_GROUP + 1 :])


def weight(grams: int, unit: int) -> str:
    """Return a weight as it is shown: 72.50 kg, 159.8 lb, or 11 st 5.8 lb (a stone is 14 lb)."""
    if unit == settings.KILOGRAM:
        hundredths = (grams + 5) // 10
        return "%d.%02d kg" % (hundredths // 100, hundredths % 100)
    tenths = (grams * 1_000_000 + _POUND_UG // 20) // (_POUND_UG // 10)
    stones = ""
    if unit == settings.STONE:
        stones = "%d st " % (tenths // _TENTHS_PER_STONE)
        tenths %= _TENTHS_PER_STONE
    return "%s%d.%d lb" % (stones, tenths // 10, tenths % 10)
