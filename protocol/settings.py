"""What a person can set on a device (SPEC 6.8): one schema for command, console and display. Pure.

`parse` and `text` are for people, `checked` for messages; `TABLE` is what there is.
"""

from protocol import fields
from protocol.errors import MessageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

UNIT = 1
AWAKE_S = 2
SHOWN_S = 3

AWAKE_DEFAULT_S = 60

KILOGRAM = 0
POUND = 1
STONE = 2

MAX_CHANGES = 8
MAX_NUMBER = 255
MAX_VALUE = 0x7FFFFFFF


class Setting:
    """Setting `number`, for people `name`: `limits` low .. high, `default` until it is set.

    The `words` name its values from 0 on, where they have names.
    """

    def __init__(
        self,
        number: int,
        name: str,
        limits: tuple[int, int],
        default: int,
        words: tuple[str, ...] = (),
    ) -> None:
        self.number = number
        self.name = name
        self.low, self.high = limits
        self.default = default
        self.words = words

    def allows(self, value: object) -> bool:
        """Tell whether a decoded value may be stored under this setting."""
        if not isinstance(value, int) or isinstance(value, bool):
            return False
        return self.low <= value <= self.high

    def text(self, value: int) -> str:
        """Return a value as people write it."""
        return self.words[value] if self.words else str(value)

    def expected(self) -> str:
        """Say what it can be, such as "kg, lb, st" or "15 to 300"."""
        if self.words:
            return ", ".join(self.words)
        return f"{self.low} to {self.high}"


TABLE = (
    Setting(UNIT, "unit", (KILOGRAM, STONE), KILOGRAM, ("kg", "lb", "st")),
    Setting(AWAKE_S, "awake_s", (15, 300), AWAKE_DEFAULT_S),
    Setting(SHOWN_S, "shown_s", (2, 30), 5),
)


def named(name: str) -> Setting | None:
    """Return the setting that people call so."""
    for setting in TABLE:
        if setting.name == name:
            return setting
    return None


def numbered(number: object) -> Setting | None:
    """Return the setting of this number; None also for one of newer software."""
    for setting in TABLE:
        if setting.number == number:
            return setting
    return None


def parse(name: str, text: str) -> tuple[int, int]:
    """Return number and value of a setting as people write it; `MessageError` when there is none.

    What would have been right is in `named(name).expected()`.
    """
    setting = named(name)
    if setting is None:
        raise MessageError("settings-name")
    for value, word in enumerate(setting.words):
        if text == word:
            return setting.number, value
    is_number = 0 < len(text) <= 9 and all(digit in "0123456789" for digit in text)
    if setting.words or not is_number or not setting.allows(int(text)):
        raise MessageError("settings-value")
    return setting.number, int(text)


def checked(changes: object) -> list[tuple[int, int]]:
    """Return the changes of a command, `(number, value)` each; all of them are right or none is.

    Raises `MessageError` for a number that is not known, given twice, or out of its range.
    """
    pairs: list[tuple[int, int]] = []
    for change in fields.array(changes, 1, MAX_CHANGES, "settings-shape"):
        number, value = fields.array(change, 2, 2, "settings-shape")
        number = fields.integer(number, 1, MAX_NUMBER, "settings-number")
        value = fields.integer(value, 0, MAX_VALUE, "settings-value")
        setting = numbered(number)
        if setting is None or any(number == earlier for earlier, _ in pairs):
            raise MessageError("settings-number")
        if not setting.allows(value):
            raise MessageError("settings-value")
        pairs.append((number, value))
    return pairs


def items(pairs: "Iterable[tuple[int, int]]") -> list[object]:
    """Return the arrays that are encoded."""
    return [[number, value] for number, value in pairs]
