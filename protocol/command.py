"""Commands of the cloud (SPEC 6): `Command`, and what its verbs carry.

A command with a verb that is not known, or with arguments that are refused, is still a
command: the device answers it with a receipt. So `Command.parse` leaves the arguments
alone, and `Command.order` reads them: `Claim`, `People`, `Settings`,
`Erase`, `Release`, `Trust`. Pure.
"""

from protocol import fields, message_types, reading, settings, trust
from protocol.errors import MessageError
from protocol.frame import MAX_HANDLE, MAX_VERB

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

VERB_CLAIM = 1
VERB_PEOPLE = 2
VERB_SETTINGS = 3
VERB_ERASE = 4
VERB_RELEASE = 5
VERB_TRUST = 6
VERB_UPDATE = 7

MAX_LIFE_S = 86_400
MAX_SLOT = 8
_MAX_ARGUMENTS = 16
_MAX = fields.MAX_INTEGER


class Person:
    """A person on one device: `handle`, display `slot` (1..8), `reference_g` or 0."""

    __slots__ = ("handle", "reference_g", "slot")

    def __init__(self, handle: int, slot: int, reference_g: int) -> None:
        self.handle = fields.integer(handle, 1, MAX_HANDLE, "person-handle")
        self.slot = fields.integer(slot, 1, MAX_SLOT, "person-slot")
        self.reference_g = fields.integer(reference_g, 0, reading.MAX_WEIGHT_G, "person-reference")

    @staticmethod
    def parse(item: object) -> "Person":
        """Return the person that a decoded item is."""
        handle, slot, reference_g = fields.array(item, 3, 3, "person-shape")
        return Person(handle, slot, reference_g)

    def item(self) -> list[object]:
        """Return the array that is encoded."""
        return [self.handle, self.slot, self.reference_g]


class Claim:
    """The device belongs to claim `epoch` (1 ..) from now on, and these `people` use it."""

    VERB = VERB_CLAIM

    def __init__(self, epoch: int, people: "Sequence[Person]") -> None:
        self.epoch = fields.integer(epoch, 1, _MAX, "claim-epoch")
        self.people = _distinct(people)

    def arguments(self) -> list[object]:
        """Return the arguments of the command."""
        return [self.epoch, [person.item() for person in self.people]]


class People:
    """These `people` use the device: they replace the ones before."""

    VERB = VERB_PEOPLE

    def __init__(self, people: "Sequence[Person]") -> None:
        self.people = _distinct(people)

    def arguments(self) -> list[object]:
        """Return the arguments of the command."""
        return [[person.item() for person in self.people]]


class Settings:
    """These `changes`, `(number, value)` each, in the device's settings: see settings.py."""

    VERB = VERB_SETTINGS

    def __init__(self, changes: "Sequence[tuple[int, int]]") -> None:
        self.changes = settings.checked(settings.items(changes))

    def arguments(self) -> list[object]:
        """Return the arguments of the command."""
        return [settings.items(self.changes)]


class Erase:
    """Forget one person `handle`, or everything where it is None."""

    VERB = VERB_ERASE

    def __init__(self, handle: int | None = None) -> None:
        self.handle = handle
        if handle is not None:
            fields.integer(handle, 0, MAX_HANDLE, "erase-handle")

    def arguments(self) -> list[object]:
        """Return the arguments of the command."""
        return [] if self.handle is None else [self.handle]


class Release:
    """Forget everything, and the Wi-Fi once the receipt is settled."""

    VERB = VERB_RELEASE

    def arguments(self) -> list[object]:
        """Return the arguments of the command."""
        return []


if TYPE_CHECKING:
    # What a verb orders.
    Order = Claim | People | Settings | Erase | Release | trust.Trust


class Command(fields.Payload):
    """One signed order. `arguments` are as received; `order` gives them a meaning."""

    TYPE = message_types.COMMAND

    def __init__(
        self, *, counter: int, issued_s: int, expires_s: int, verb: int, arguments: list[object]
    ) -> None:
        self.counter = fields.integer(counter, 1, _MAX, "command-counter")
        self.issued_s = fields.integer(issued_s, 0, fields.MAX_TIME - MAX_LIFE_S, "command-issued")
        last_s = issued_s + MAX_LIFE_S
        self.expires_s = fields.integer(expires_s, issued_s + 1, last_s, "command-expires")
        self.verb = fields.integer(verb, 1, MAX_VERB, "command-verb")
        self.arguments = fields.array(arguments, 0, _MAX_ARGUMENTS, "command-arguments")

    @staticmethod
    def parse(data: object) -> "Command":
        """Return the command that a payload is."""
        rest = fields.payload(data, Command.TYPE, 6, "command-shape")
        counter, issued_s, expires_s, verb, arguments = rest
        return Command(
            counter=counter,
            issued_s=issued_s,
            expires_s=expires_s,
            verb=verb,
            arguments=arguments,
        )

    def item(self) -> list[object]:
        """Return the array that is encoded."""
        return [
            self.TYPE,
            self.counter,
            self.issued_s,
            self.expires_s,
            self.verb,
            self.arguments,
        ]

    def order(self) -> "Order | None":
        """Return what is ordered; None for a verb that this version does not know.

        Raises `MessageError` or `CurveError` when the verb is known and its arguments are not
        acceptable.
        """
        read = _ORDERS.get(self.verb)
        return None if read is None else read(self.arguments)


def _claim(arguments: list[object]) -> Claim:
    epoch, people = fields.array(arguments, 2, 2, "claim-arguments")
    return Claim(epoch, _people(people))


def _renewal(arguments: list[object]) -> People:
    return People(_people(fields.array(arguments, 1, 1, "people-arguments")[0]))


def _settings(arguments: list[object]) -> Settings:
    return Settings(settings.checked(fields.array(arguments, 1, 1, "settings-arguments")[0]))


def _erase(arguments: list[object]) -> Erase:
    handles = fields.array(arguments, 0, 1, "erase-arguments")
    # Not Erase(*handles): a null that was sent must not mean "everything".
    if handles:
        return Erase(fields.integer(handles[0], 0, MAX_HANDLE, "erase-handle"))
    return Erase()


def _release(arguments: list[object]) -> Release:
    fields.array(arguments, 0, 0, "release-arguments")
    return Release()


_ORDERS: "dict[int, Callable[[list[object]], Order]]" = {
    VERB_CLAIM: _claim,
    VERB_PEOPLE: _renewal,
    VERB_SETTINGS: _settings,
    VERB_ERASE: _erase,
    VERB_RELEASE: _release,
    VERB_TRUST: trust.parse,
}


def _people(item: object) -> list[Person]:
    return [Person.parse(person) for person in fields.array(item, 0, MAX_SLOT, "people-shape")]


def _distinct(people: "Sequence[Person]") -> list[Person]:
    handles = {person.handle for person in people}
    slots = {person.slot for person in people}
    if len(people) > MAX_SLOT or len(handles) < len(people) or len(slots) < len(people):
        raise MessageError("people-distinct")
    return list(people)
