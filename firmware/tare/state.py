"""What the device remembers besides its records: claim, people, command, boots, last time.

Each lives in two raw copies (tare/two_copies.py). Touches only the flash object it is given.
"""

from protocol.command import Person
from protocol.errors import ProtocolError
from tare import flash as flash_map
from tare.errors import StorageError
from tare.two_copies import TwoCopies

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class State:
    """`claim_epoch` (0: not claimed), `people`, `command_counter`, `pending`: stored with `save`.

    `pending` is the payload of a command that was accepted and is not finished, or None.
    """

    def __init__(self, flash: flash_map.Flash) -> None:
        self._copies = TwoCopies(flash, flash_map.STATE)
        self.claim_epoch = 0
        self.people: list[Person] = []
        self.command_counter = 0
        self.pending: bytes | None = None
        item: Any = self._copies.item()
        if item is not None:
            try:
                self.claim_epoch, people, self.command_counter, self.pending = item
                self.people = [Person.parse(person) for person in people]
            except (ProtocolError, ValueError, TypeError):
                raise StorageError("state in a form that is not known")

    def save(self) -> None:
        """Store; an older copy stays until the next write."""
        self._copies.store(self._item())

    def save_without_trace(self) -> None:
        """Store, so that nothing of what was there before can be read from the flash."""
        self._copies.store_without_trace(self._item())

    def _item(self) -> list[object]:
        people = [person.item() for person in self.people]
        return [self.claim_epoch, people, self.command_counter, self.pending]


class BootState:
    """`counter` and `reason` of this start, the number of the clock epoch, the last known time.

    `failed` starts in a row came to nothing so far, the last for the reason `why` (boot_guard.py).
    """

    def __init__(self, flash: flash_map.Flash) -> None:
        self._copies = TwoCopies(flash, flash_map.BOOT)
        self.counter = 0
        self.reason = 0
        self.clock_epoch = 0
        self.last_known_s = 0
        self.failed = 0
        self.why = 0
        item: Any = self._copies.item()
        if item is not None:
            try:
                # Firmware before the boot guard stored no more than these.
                self.counter, self.reason, self.clock_epoch, self.last_known_s = item[:4]
                self.failed, self.why = item[4:] or (0, 0)
            except (ValueError, TypeError):
                raise StorageError("boot state in a form that is not known")

    def save(self) -> None:
        """Store."""
        item: list[object] = [self.counter, self.reason, self.clock_epoch, self.last_known_s]
        item.extend((self.failed, self.why))
        self._copies.store(item)
