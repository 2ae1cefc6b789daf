"""The world around a hostile broker: one device, its cloud, and what is true.

`World` lives connection after connection with the firmware's link, client, conversation, journal
and commands, and checks after each that nothing was accepted wrongly. Seals are real COSE with
cheap signatures, because those of a hundred thousand messages would take hours.
"""

import hashlib
import random

import memory_cloud

from protocol import cbor, command, envelope, frame, message_types, p256
from protocol.errors import ProtocolError
from protocol.signer import PortableSigner
from sim.memory_folder import MemoryFolder
from sim.nor import Memory, Nor
from tare import flash as flash_map
from tare import sync
from tare.clock import Clock
from tare.commands import Commands
from tare.errors import FirmwareError
from tare.journal import Journal
from tare.link import Link
from tare.settings import Settings
from tare.state import BootState, State
from tare.sync import Device

_RING = 6
_EPOCH = 7
#: How long an order may be obeyed.
ORDER_LIFE_S = 3600
_POOL = 48
# A welcome counts up to 30 s after its hello, and is taken for the middle of that time.
_TIME_WRONG_S = 20


def _ignore(*_):
    pass


class _CheapSigner(PortableSigner):
    """Seals with a keyed hash in the form of a low-s signature."""

    keys: dict[bytes, bytes] = {}  # noqa: RUF012 - one table for all, as the real check has none

    def __init__(self, private):
        super().__init__(private)
        self.keys[self.public_key] = private

    def sign(self, digest):
        half = hashlib.sha256(self._private + digest).digest()
        return half + bytes((half[0] & 0x3F,)) + half[1:]

    @classmethod
    def verify(cls, public_key, digest, signature):
        half = hashlib.sha256(cls.keys[public_key] + digest).digest()
        return signature == half + bytes((half[0] & 0x3F,)) + half[1:]


class _Cloud(memory_cloud.Cloud):
    """The true cloud: its time runs with the world's, and it counts what it is given."""

    def __init__(self, world, identity):
        super().__init__(identity.kid, identity.signer.public_key)
        self._world = world
        self._signer = _CheapSigner(memory_cloud.COMMAND_PRIVATE)
        self._verify = lambda digest, seal: _CheapSigner.verify(self._public_key, digest, seal)
        self.counter = 0
        self.issued = {}

    def take(self, data):
        self.now_s = self._world.now_s()
        return super().take(data)

    def _store(self, item):
        if isinstance(item, frame.Readings):
            for place, record in enumerate(item.records):
                self._world.arrived(item.first + place, record.item())
        self.frames = []
        self.hellos = []
        for sequence in [each for each in self.stored if each + 200 < self.settled]:
            del self.stored[sequence]
        return super()._store(item)

    def order(self, *, age_s=0):
        """Make a genuine order of its own, `age_s` seconds ago."""
        self.counter += 1
        self.now_s = self._world.now_s() - age_s
        self.issued[self.counter] = self.now_s + ORDER_LIFE_S
        people = [[[1 + self.counter % 60_000, 1, 0]]]
        message = self.command(self.counter, command.VERB_PEOPLE, people, life_s=ORDER_LIFE_S)
        self.now_s = self._world.now_s()
        return message


class _Commands(Commands):
    """Notes what is obeyed."""

    def __init__(self, state, journal, world):
        super().__init__(state, journal, Settings(MemoryFolder(), _ignore), None)
        self._world = world

    def obey(self, command, now_s):
        obeyed = super().obey(command, now_s)
        if obeyed:
            self._world.obeyed.append((command.counter, self._world.now_s()))
        return obeyed


class _Board:
    """The virtual time, and the next connection."""

    awake_ms = 3_600_000

    def __init__(self):
        self.now_ms = 0
        self.stream = None

    def monotonic_ms(self):
        return self.now_ms

    def random(self, size):
        return bytes(random.getrandbits(8) for _ in range(size))

    async def open_stream(self, _identity):
        return self.stream


class World:
    """One device, its cloud and a hostile broker between them, all from one seed."""

    def __init__(self, seed):
        random.seed(seed)
        sync.verify = _CheapSigner.verify
        self.counts = {}
        self.obeyed = []
        self.board = _Board()
        identity = memory_cloud.Identity()
        identity.signer = _CheapSigner(memory_cloud.IDENTITY_PRIVATE)
        self.cloud = _Cloud(self, identity)
        identity.command_key = self.cloud.command_key()
        self.stranger = _CheapSigner(b"\x0d" * 32)
        flash = Nor(Memory((flash_map.JOURNAL_FIRST + _RING) * flash_map.SECTOR))
        state, boot = State(flash), BootState(flash)
        state.claim_epoch, boot.clock_epoch = _EPOCH, 1
        self.journal = Journal(flash, flash_map.JOURNAL_FIRST, _RING)
        self.clock = Clock(1, 0)
        self.link = Link(self.board, _ignore, _ignore, _ignore)
        self.device = Device(
            model="test",
            identity=identity,
            journal=self.journal,
            state=state,
            boot=boot,
            clock=self.clock,
            commands=_Commands(state, self.journal, self),
        )
        self.down, self.up = [], []
        self._expected = {}
        self._delivered = 0
        self._checked = 0
        self._last_obeyed = 0

    def nonce(self):
        """The nonce that this device has sent last: the broker reads everything."""
        for message in reversed(self.up):
            item = cbor.decode(envelope.parse_sign1(message).payload)
            if item[0] == message_types.HELLO:
                return item[1]
        return bytes(16)

    def now_s(self):
        """The true time."""
        return 1_790_000_000 + self.board.now_ms // 1000

    def count(self, kind):
        self.counts[kind] = self.counts.get(kind, 0) + 1

    def events(self):
        return sum(self.counts.values())

    def keep(self, pool, message):
        """Remember a message for later mischief."""
        pool.append(message)
        if len(pool) > _POOL:
            pool.pop(random.randrange(_POOL))

    def weigh(self):
        """Somebody weighs themselves: what is in flash now must arrive once, as it is."""
        wall = self.clock.wall(self.board.now_ms)
        packed = 1 if wall is not None else 17
        seconds = self.clock.seconds(self.board.now_ms) if wall is None else wall
        record = [seconds, packed, [1 + random.randrange(200_000)]]
        self._expected[self.journal.append_reading(_EPOCH, 0, 1, record)] = record

    def arrived(self, sequence, record):
        expected = self._expected.get(sequence)
        if expected is None:
            assert sequence <= self._checked, ("a reading that nobody took", sequence)
            return
        assert record == expected, ("another reading arrived than was taken", sequence)
        self._delivered = max(self._delivered, sequence)

    async def connect(self, broker):
        """Live one connection, and check afterwards."""
        self.board.stream = broker
        self.link.wake()
        try:
            await self.link._session(self.device)
        except (FirmwareError, ProtocolError):
            pass
        self._check()

    def _check(self):
        assert self.journal.oldest - 1 <= self.cloud.settled, "trimmed what the cloud has not"
        wall = self.clock.wall(self.board.now_ms)
        assert wall is None or abs(wall - self.now_s()) <= _TIME_WRONG_S, "believed a wrong time"
        last = self._last_obeyed
        for counter, now_s in self.obeyed:
            assert counter in self.cloud.issued, "obeyed an order that the cloud never gave"
            assert counter > last, "obeyed an order again, or an older one"
            assert now_s <= self.cloud.issued[counter] + _TIME_WRONG_S, "obeyed an expired order"
            last = counter
        self.obeyed.clear()
        self._last_obeyed = last
        for sequence in [each for each in self._expected if each < self.journal.oldest]:
            del self._expected[sequence]
            self._checked = max(self._checked, sequence)

    def forget(self):
        """Let go of what only the world needs, so that the heap in use is the device's."""
        for each in (self.up, self.down, self.cloud.stored, self.cloud.issued, self.obeyed):
            each.clear()

    async def heal(self, honest_broker):
        """The broker behaves again (a new one for each connection): everything arrives."""
        for _ in range(10):
            if not self.journal.kept:
                break
            await self.connect(honest_broker())
        assert self.journal.kept == 0, "not everything arrived after the broker had healed"
        assert self.cloud.settled == self.journal.next_sequence - 1


def real_signatures():
    """Undo what `World` has put in place of the real check."""
    sync.verify = p256.verify
