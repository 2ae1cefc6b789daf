"""Each step of a side, taken by the real core once for each pair of state and message.

States and messages get numbers: what has the same key is the same state. `Steps` is shared by the
search and by the fair runs that end it.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass, field
from typing import Any

from hil_tests.conversation.cloud import Cloud, opened
from hil_tests.conversation.device import Device
from protocol import frame
from protocol.errors import MessageError

Event = Callable[[Device], Any]
#: What an event is called: the same name on the same state is the same step.
Name = tuple[Any, ...]


def hears(message: bytes) -> Event:
    """Return the event that a message of the cloud arrives."""
    return lambda device: device.receive(message)


@dataclass
class Numbers:
    """Gives numbers to things; those with one key are one thing."""

    keys: dict[Hashable, int] = field(default_factory=dict)
    things: list[Any] = field(default_factory=list)

    def of(self, key: Hashable, thing: Any) -> int:
        """Return the number of a thing."""
        number = self.keys.get(key)
        if number is None:
            number = self.keys[key] = len(self.things)
            self.things.append(thing)
        return number


class Steps:
    """What each side does, remembered. Sets of messages are integers with a bit for each."""

    def __init__(self) -> None:
        self.devices, self.clouds = Numbers(), Numbers()
        self.messages = Numbers()
        #: For each message those that give other content to a sequence of its own.
        self.conflicts: list[int] = []
        self._done: dict[Hashable, Any] = {}

    def device(self, number: int) -> Device:
        """Return the device with this number."""
        found: Device = self.devices.things[number]
        return found

    def cloud(self, number: int) -> Cloud:
        """Return the cloud with this number."""
        found: Cloud = self.clouds.things[number]
        return found

    def of_device(self, device: Device) -> int:
        """Return the number of a device."""
        return self.devices.of(device.key, device)

    def of_cloud(self, cloud: Cloud) -> int:
        """Return the number of a cloud."""
        return self.clouds.of(cloud, cloud)

    def by_device(self, number: int, name: Name, event: Event) -> tuple[int, int]:
        """Return the device after an event, and what it sent."""
        done: tuple[int, int] | None = self._done.get((number, name))
        if done is None:
            after, sent = self.device(number).after(event)
            messages = [sent] if isinstance(sent, bytes) else []
            done = self._done[number, name] = (self.of_device(after), self.bits(messages))
        return done

    def by_cut_device(self, number: int, name: Name, event: Event) -> set[int]:
        """Return what the device may be when the power goes away during an event."""
        done: set[int] | None = self._done.get((number, name, "cut"))
        if done is None:
            found = self.device(number).after_cuts(event)
            done = self._done[number, name, "cut"] = {self.of_device(each) for each in found}
        return done

    def by_cloud(self, number: int, message: int) -> tuple[int, list[int]]:
        """Return the cloud after a message, and what it answered, in order."""
        done: tuple[int, list[int]] | None = self._done.get((number, message, "cloud"))
        if done is None:
            after, sent = self.cloud(number).handle(opened(self.messages.things[message]))
            numbers = [self.message(data) for data in sent]
            done = self._done[number, message, "cloud"] = (self.of_cloud(after), numbers)
        return done

    def message(self, data: bytes) -> int:
        """Return the number of a message."""
        number = self.messages.of(data, data)
        if number == len(self.conflicts):
            self.conflicts.append(self._conflicts_of(data))
        return number

    def bits(self, sent: list[bytes]) -> int:
        """Return a set of messages."""
        found = 0
        for data in sent:
            found |= 1 << self.message(data)
        return found

    def members(self, bits: int) -> Iterator[tuple[int, bytes]]:
        """Yield the messages of a set with their numbers."""
        at = 0
        while bits:
            if bits & 1:
                yield at, self.messages.things[at]
            bits >>= 1
            at += 1

    def _conflicts_of(self, data: bytes) -> int:
        mine = contents(data)
        found = 0
        for number, other in enumerate(self.messages.things):
            theirs = contents(other)
            if any(theirs.get(sequence, content) != content for sequence, content in mine.items()):
                found |= 1 << number
        return found


def contents(data: bytes) -> dict[int, bytes]:
    """Return the content of each record of an uplink message (voids have none)."""
    if data[0] != 0xD2:
        return {}
    try:
        message = opened(data)
    except MessageError:
        return {}  # a command
    if not isinstance(message, frame.Readings | frame.Receipts):
        return {}
    return {
        at: message.content(at - message.first) for at in range(message.first, message.last + 1)
    }
