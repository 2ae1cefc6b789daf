"""What the display shows, as lines of text; the board draws them or mirrors them. Pure.

The display is the one place besides the cloud where a weight or a claim code may appear.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

WIDTH = 20
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

    def weight(self, grams: int, note: str) -> None:
        """Show a weight to 50 g and what became of it."""
        self.put(kilograms(grams), note)

    def claim_code(self, text: str) -> None:
        """Show the code that claims the device, two groups a line."""
        self.put("Enter this code:", text[:_CODE_GROUP], text[_CODE_GROUP + 1 :])


def kilograms(grams: int) -> str:
    """Return a weight as it is shown, for example 72.50 kg."""
    hundredths = (grams + 5) // 10
    return "%d.%02d kg" % (hundredths // 100, hundredths % 100)
