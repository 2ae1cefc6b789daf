"""What was set on this device (SPEC 6.8, 12.5): by a command or over the console.

It must never stop the weighing: what cannot be read counts as never set, and the log says so.
Touches only the folder that it is given. What can be set is in protocol/settings.py.
"""

from protocol import cbor, fields
from protocol import settings as schema
from protocol.errors import CborError, MessageError
from tare import console as console_rules
from tare.errors import ConsoleError, StorageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from tare.console import Console
    from tare.littlefs import Folder

_FILE = "settings"
_MAX_SIZE = 512


class Settings:
    """`awake_s`: how long this board stays awake until that is set (tests are in a hurry)."""

    def __init__(
        self,
        folder: "Folder",
        log: "Callable[[str], None]",
        awake_s: int = schema.AWAKE_DEFAULT_S,
    ) -> None:
        self._folder = folder
        self._log = log
        self._awake_s = awake_s
        self._set = self._load()

    def value(self, number: int) -> int:
        """Return a setting by its number in the schema."""
        setting = schema.numbered(number)
        if setting is None:
            raise StorageError("no setting %d" % number)
        default = self._awake_s if number == schema.AWAKE_S else setting.default
        value = self._set.get(number, default)
        # What newer firmware set may be beyond what this one knows: it is kept, and not used.
        return value if setting.allows(value) or value == default else default

    @property
    def unit(self) -> int:
        """The unit of the display, a constant of the schema."""
        return self.value(schema.UNIT)

    def awake_ms(self) -> int:
        """How long the device stays connected after the last act."""
        return 1000 * self.value(schema.AWAKE_S)

    def shown_ms(self) -> int:
        """How long a result is shown after the person has left the plate."""
        return 1000 * self.value(schema.SHOWN_S)

    def change(self, changes: list[tuple[int, int]]) -> None:
        """Store changes that the schema has checked: all of them or, after a power cut, none.

        Nothing is written when nothing changes. Raises `StorageError` when it cannot be stored.
        """
        changed = dict(self._set)
        changed.update(changes)
        if changed == self._set:
            return
        data = cbor.encode(schema.items(sorted(changed.items())))
        # Not after a failed write: other files may be there, and can be read.
        self._folder.ensure()
        self._folder.replace(_FILE, data)
        self._set = changed

    def reset(self) -> None:
        """Set all back to what it was at first; done twice, nothing is written."""
        self._folder.clear()
        self._set = {}

    def add_verbs(self, console: "Console") -> None:
        """Give the console its verbs `settings` and `set`."""
        console.add("settings", self._show)
        console.add("set", self._change)

    def _show(self, arguments: list[str]) -> object:
        console_rules.expect(arguments, 0)
        shown: dict[str, object] = {}
        for setting in schema.TABLE:
            value = self.value(setting.number)
            shown[setting.name] = setting.words[value] if setting.words else value
        return shown

    def _change(self, arguments: list[str]) -> object:
        console_rules.expect(arguments, 2)
        try:
            self.change([schema.parse(arguments[0], arguments[1])])
        except MessageError:
            setting = schema.named(arguments[0])
            if setting is None:
                raise ConsoleError("arguments", "no such setting; settings lists them")
            raise ConsoleError("arguments", "%s: %s" % (setting.name, setting.expected()))
        return None

    def _load(self) -> dict[int, int]:
        if self._folder.is_blank():
            return {}
        try:
            data = self._folder.read(_FILE, _MAX_SIZE)
            return {} if data is None else _parsed(data)
        except (StorageError, CborError, MessageError):
            self._log("settings cannot be read: they are as at first")
            return {}


def _parsed(data: bytes) -> dict[int, int]:
    """Return what was set; what newer firmware set is kept, and used by nobody."""
    found: dict[int, int] = {}
    item = cbor.decode(data)
    if not isinstance(item, list):
        raise MessageError("settings-shape")
    for pair in item:
        number, value = fields.array(pair, 2, 2, "settings-shape")
        number = fields.integer(number, 1, schema.MAX_NUMBER, "settings-number")
        value = fields.integer(value, 0, schema.MAX_VALUE, "settings-value")
        found[number] = value
    return found
