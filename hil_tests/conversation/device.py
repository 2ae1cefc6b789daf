"""The device in the search: the firmware's journal, state, commands and conversation over flash.

A `Device` is never changed once it is in the search: an event works on a copy. Its `key` says all
that can make a difference to what it does next.
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from hil_tests import cores
from protocol import answer, command, cose, envelope, p256, reading
from protocol.signer import PortableSigner

NOW_S = 1_795_000_000
CODE = bytes(range(10))
_SECTORS = 12
_JOURNAL_SECTORS = 4
_WINDOW_MS = 600_000

# The search shows the same few commands to thousands of states: each signature is checked once.
cores.sync.verify = lru_cache(maxsize=4096)(cores.sync.verify)


class _QuickSigner:
    """Seals that nobody checks here: the search is about order, not about curves."""

    kid = cose.key_id(p256.public_key(b"\x01" * 32))
    public_key = p256.public_key(b"\x01" * 32)

    def sign(self, digest: bytes) -> bytes:
        return digest + bytes(32)


COMMAND_SIGNER = PortableSigner(b"\x02" * 32)
SIGNER: envelope.Signer = _QuickSigner()


class Identity:
    """What the conversation needs of tare.identity.Identity."""

    signer = SIGNER
    kid = SIGNER.kid
    mac_key = b"\x03" * 32
    generation = 1
    command_key = COMMAND_SIGNER.public_key

    def mac_key_of(self, generation: int) -> bytes | None:
        """Return the one key that there is."""
        return self.mac_key if generation == self.generation else None

    def welcomed(self, generation: int) -> None:
        """Nothing is on trial."""

    def __deepcopy__(self, memo: object) -> Identity:
        return self


IDENTITY = Identity()


def nonce(number: int) -> bytes:
    """Return the nonce of the connection with this number."""
    return number.to_bytes(16, "big")


def _quiet(_line: str) -> None:
    """Takes the log."""


class Device:
    """One device. `connection`: the number of its connection, whose nonce is `nonce` of it."""

    def __init__(self) -> None:
        self.memory = cores.nor.Memory(_SECTORS * cores.flash.SECTOR)
        # What the search wants to know afterwards, and no device keeps.
        self.saved: list[int] = []
        self.obeyed: list[tuple[int, int, str]] = []
        self.believed: bytes | None = None
        self._arriving: bytes | None = None
        self.conversation: Any = None
        self.window: Any = None
        self.connection = 0
        self.boot()

    # Events

    def boot(self) -> None:
        """Power is back: everything in RAM is gone, and a stored command is finished."""
        self.conversation = self.window = self.believed = None
        self.flash = cores.nor.Nor(self.memory)
        self._wire()
        self.commands.finish()
        self._note_obeyed()

    def claim(self, epoch: int) -> None:
        """Belong to a claim from the beginning (for scenarios that start there)."""
        self.state.claim_epoch = epoch
        self.state.save()

    def weigh(self, handle: int) -> None:
        """A person is weighed: saved when this returns."""
        attribution = reading.ATTRIBUTION_RECOGNISED if handle else reading.ATTRIBUTION_UNKNOWN
        grams = 50_000 + self.journal.next_sequence
        record = reading.weight(NOW_S, grams, since_epoch=False, attribution=attribution)
        epoch = self.state.claim_epoch
        sequence = self.journal.append_reading(epoch, handle, self.clock.epoch, record.item())
        self.saved.append(sequence)

    def connect(self, number: int) -> bytes:
        """Begin a conversation; returns the hello."""
        self.connection = number
        self.believed = None
        self.conversation = cores.sync.Conversation(self._parts(), nonce(number), _quiet)
        hello: bytes = self.conversation.hello(0)
        return hello

    def press(self) -> None:
        """The button: a claim window is open (its code is always the same here)."""
        self.window = cores.sync.ClaimWindow(CODE, _WINDOW_MS)

    def speak(self, now_ms: int = 0) -> bytes | None:
        """Return what is to be sent now, or None; raises LinkError when the cloud is silent."""
        self.conversation.window = self.window
        message: bytes | None = self.conversation.next_message(now_ms)
        return message

    def receive(self, message: bytes) -> str:
        """Take a message of the cloud. The link closes the window once a command has claimed."""
        self._arriving = message
        outcome: str = self.conversation.receive(message, 0)
        if outcome == cores.sync.WELCOME:
            self.believed = answer.Welcome.parse(envelope.parse_mac0(message).payload).nonce
        if outcome == cores.sync.COMMAND and self.state.claim_epoch:
            self.window = None
        self._note_obeyed()
        return outcome

    def _note_obeyed(self) -> None:
        """A command counts as obeyed as soon as its counter is in flash."""
        noted = self.obeyed[-1][0] if self.obeyed else 0
        if self._arriving is not None and self.state.command_counter != noted:
            order = command.Command.parse(envelope.parse_sign1(self._arriving).payload)
            self.obeyed.append((order.counter, order.verb, repr(order.arguments)))
        self._arriving = None

    def drop_link(self) -> None:
        """The connection is gone; the device is awake."""
        self.conversation = self.believed = None

    # Copies

    def after(self, event: Callable[[Device], Any]) -> tuple[Device, Any]:
        """Return a copy on which the event has happened, and what it returned."""
        changed = copy.deepcopy(self)
        return changed, event(changed)

    def after_cuts(self, event: Callable[[Device], Any]) -> list[Device]:
        """Return what power cuts before each flash operation of the event leave, booted again."""
        whole, _ = self.after(event)
        found = []
        for operation in range(self.flash.operations + 1, whole.flash.operations + 1):
            cut = copy.deepcopy(self)
            cut.flash._cut_at = operation  # noqa: SLF001 - what its constructor takes
            with contextlib.suppress(cores.nor.PowerCutError):
                event(cut)
            cut.boot()
            found.append(cut)
        return found

    @property
    def records(self) -> list[tuple[int, int, Any]]:
        """(kind, sequence, body) of what the journal keeps."""
        return list(self.journal._records(self.journal.oldest))  # noqa: SLF001 - ours to look into

    @property
    def welcomed(self) -> bool:
        """Whether this connection has been welcomed."""
        return self.conversation is not None and self.conversation.welcomed

    @property
    def quiet(self) -> bool:
        """Whether the conversation has nothing under way."""
        # Its state is what is searched.
        return self.conversation is not None and self.conversation._flight is None  # noqa: SLF001

    @property
    def key(self) -> tuple[object, ...]:
        """All that makes a difference."""
        state, journal = self.state, self.journal
        return (
            journal.oldest,
            journal.next_sequence,
            repr(self.records),
            tuple(self.saved),
            tuple(self.obeyed),
            state.claim_epoch,
            tuple((each.handle, each.slot, each.reference_g) for each in state.people),
            state.command_counter,
            state.pending,
            self.clock.zero_s,
            self.boot_state.last_known_s,
            self.window is not None,
            self._conversation_key(),
        )

    def _conversation_key(self) -> tuple[object, ...] | None:
        talk = self.conversation
        if talk is None:
            return None
        flight = talk._flight  # noqa: SLF001 - its state is what is searched
        return (
            self.connection,
            talk.welcomed,
            self.believed,
            talk._position,  # noqa: SLF001 - its state is what is searched
            talk._window_told is not None,  # noqa: SLF001 - its state is what is searched
            None if flight is None else (flight.data, flight.last),
        )

    def _wire(self) -> None:
        first = cores.flash.JOURNAL_FIRST
        self.journal = cores.journal.Journal(self.flash, first, _JOURNAL_SECTORS)
        self.state = cores.state.State(self.flash)
        self.boot_state = cores.state.BootState(self.flash)
        self.clock = cores.clock.Clock(1, 0)
        settings = cores.settings.Settings(cores.memory_folder.MemoryFolder(), str)
        self.commands = cores.commands.Commands(self.state, self.journal, settings, None)

    def _parts(self) -> Any:
        return cores.sync.Device(
            model="model",
            identity=IDENTITY,
            journal=self.journal,
            state=self.state,
            boot=self.boot_state,
            clock=self.clock,
            commands=self.commands,
        )
