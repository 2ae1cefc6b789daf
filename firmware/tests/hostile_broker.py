"""A broker that does whatever it likes with a device's connection; see hostile_world.py.

It replays, reorders, duplicates, truncates, delays, forges and floods; what it cannot do is make
a seal.
"""

import asyncio
import random

from hostile_world import ORDER_LIFE_S
from memory_stream import MemoryStream

from protocol import answer, command, cose, topics
from tare import mqtt_packet

_IDLE_TURNS = 8
_BURST = 6


class Broker(MemoryStream):
    """One connection's broker. `honest` makes it one that keeps to MQTT and loses nothing."""

    def __init__(self, world, *, honest=False):
        super().__init__()
        self._world = world
        self._honest = honest
        self._topic = topics.down(world.device.identity.device_id)
        self._answers = []
        self._late = []
        self._left = 0 if honest else random.randrange(60)
        self._start = "" if honest or random.randrange(40) else random.choice(_STARTS)
        self._ended_with = None

    def write(self, data):
        kind = data[0] >> 4
        if kind == 1:
            self._connack()
        elif kind == 8:
            code = 0x80 if self._begins("subscription refused") else 0
            self.give(bytes((0x90, 3)) + data[2:4] + bytes((code,)))
        elif kind == mqtt_packet.PUBLISH:
            self._published(data)

    async def readexactly(self, size):
        """When the device waits, mischief goes on until there is none left to make."""
        turns = 0
        while len(self._data) < size and not self.closed and self._ended_with is None:
            await asyncio.sleep_ms(0)
            turns += 1
            if turns > _IDLE_TURNS and not self._data:
                turns = 0
                self._idle()
        if self._ended_with is not None and len(self._data) < size:
            raise EOFError
        # Whoever waits for what was read has its turn before the next packet.
        await asyncio.sleep_ms(0)
        return await super().readexactly(size)

    def _connack(self):
        if self._begins("session present"):
            self.give(b"\x20\x02\x01\x00")
        elif self._begins("connection refused"):
            self.give(b"\x20\x02\x00\x05")
        elif self._begins("no answer to connect"):
            self.give(b"\xd0\x00")
        else:
            self.give(b"\x20\x02\x00\x00")

    def _begins(self, kind):
        if self._start != kind:
            return False
        self._world.count(kind)
        return True

    def _published(self, data):
        at = 3 if data[1] & 0x80 else 2
        at += 2 + int.from_bytes(data[at : at + 2], "big")
        identifier, payload = data[at : at + 2], data[at + 2 :]
        self._world.keep(self._world.up, payload)
        if not self._honest and not random.randrange(8):
            self._mischief(_BURST)
        self.give(b"\x40\x02" + identifier)
        if not self._honest and not random.randrange(10):
            self._world.count("message lost on the way up")
            return
        reply = self._world.cloud.take(payload)
        if reply is None:
            return
        self._world.keep(self._world.down, reply)
        self._answers.append(reply)
        if self._honest:
            self._give(reply)
            return
        way = random.randrange(10)
        if way == 0:
            self._world.count("answer lost")
        elif way == 1:
            self._world.count("answer delayed")
            self._late.append(reply)
        else:
            if way == 2:
                self._mischief(_BURST)
            self._give(reply)
        if not random.randrange(4):
            self._order()

    def _order(self):
        order = self._world.cloud.order()
        self._world.keep(self._world.down, order)
        if random.randrange(3):
            self._give(order)

    def _idle(self):
        """Nothing is under way: more mischief, what was held back, time, or the end."""
        if self._late:
            self._give(self._late.pop())
        elif self._left > 0:
            self._mischief(_BURST)
            if not random.randrange(6):
                self._world.count("silence")
                self._world.board.now_ms += random.choice((3_000, 11_000, 31_000))
        else:
            self._end()

    def _end(self):
        kind = "closed" if self._honest else random.choice(_ENDINGS)
        self._ended_with = kind
        if self._honest:
            return
        self._world.count(kind)
        if kind == "closed in a packet":
            whole = self._packet(self._message())
            self.give(whole[: random.randrange(len(whole))])
        elif kind == "second answer to connect":
            self.give(b"\x20\x02\x00\x00")
        elif kind == "packet too long":
            self.give(b"\x30\xff\xff\xff\x7f")
        elif kind == "length malformed":
            self.give(b"\x30\x80\x80\x80\x80\x01")
        elif kind == "packet not allowed":
            self.give(bytes((random.choice((0x00, 0x12, 0x62, 0xA2, 0xF0, 0x3B)), 0)))
        elif kind == "flood":
            for _ in range(40):
                self._world.count("message of a flood")
                self._give(self._message())

    def _mischief(self, most):
        for _ in range(min(self._left, 1 + random.randrange(most))):
            self._left -= 1
            kind = random.choice(_ALL_KINDS)
            self._world.count(kind)
            self.give(self._made(kind))

    def _made(self, kind):
        if kind == "acknowledgement of nothing":
            return b"\x40\x02" + bytes((0xF0, random.randrange(256)))
        if kind == "subscription of nothing":
            return b"\x90\x03" + bytes((0xF0, random.randrange(256), 0))
        if kind == "ping of nothing":
            return b"\xd0\x00"
        if kind == "other topic":
            return self._packet(self._message(), topic=self._topic[:-4] + "up")
        if kind == "retained":
            return self._packet(self._message(), first=0x31)
        return self._packet(self._payload(kind))

    def _payload(self, kind):
        if kind in _FORGERIES:
            return _FORGERIES[kind](self._world)
        if kind == "our own message" and self._world.up:
            return random.choice(self._world.up)
        if kind == "uplink replayed" and self._world.up:
            self._replay_up(random.choice(self._world.up))
        return self._spoilt(kind)

    def _spoilt(self, kind):
        message = bytearray(self._message())
        if kind == "bit flipped":
            message[random.randrange(len(message))] ^= 1 << random.randrange(8)
        elif kind == "truncated":
            message = message[: random.randrange(len(message))]
        elif kind == "duplicated" and self._answers:
            return self._answers[-1]
        elif kind == "reordered" and self._answers:
            return random.choice(self._answers)
        return bytes(message)

    def _replay_up(self, message):
        """The cloud gets it again, and answers again; the answer is one more to replay."""
        reply = self._world.cloud.take(message)
        if reply is not None:
            self._world.keep(self._world.down, reply)

    def _message(self):
        """A genuine message of some time."""
        down = self._world.down
        return random.choice(down) if down else self._world.cloud.ack()

    def _give(self, payload):
        self.give(self._packet(payload))

    def _packet(self, payload, topic=None, first=0x30):
        name = (topic or self._topic).encode()
        return mqtt_packet._packet(first, len(name).to_bytes(2, "big") + name + payload)


def _forged_welcome(world):
    nonce = world.board.random(16) if random.randrange(2) else world.nonce()
    return world.cloud.welcome(nonce, world.board.random(32), time_s=world.now_s() + 315_360_000)


def _everything_settled(world):
    return answer.Ack(settled=world.journal.next_sequence - 1, refusals=())


def _forged_command(world):
    counter = world.cloud.counter + 10**6
    return world.cloud.command(counter, command.VERB_ERASE, [], signer=world.stranger)


def _under_our_kid(world):
    message, stranger = _forged_command(world), world.stranger.kid
    at = message.find(stranger)  # the key id stands in plain bytes in the protected header
    wanted = cose.key_id(world.device.identity.command_key)
    return message[:at] + wanted + message[at + len(stranger) :]


_FORGERIES = {
    "forged welcome": _forged_welcome,
    "forged ack": lambda world: world.cloud.sealed(
        _everything_settled(world), world.board.random(32)
    ),
    "forged command": _forged_command,
    "forged command under the true key id": _under_our_kid,
    "answer for another device": lambda world: world.cloud.sealed(
        _everything_settled(world), kid=b"otherkid"
    ),
    "other generation": lambda world: world.cloud.sealed(_everything_settled(world), generation=2),
    "expired command": lambda world: world.cloud.order(
        age_s=ORDER_LIFE_S + 60 + random.randrange(10**6)
    ),
    "noise": lambda world: world.board.random(random.randrange(200)),
}
_KINDS = (
    "replayed",
    "replayed",
    "duplicated",
    "reordered",
    "bit flipped",
    "truncated",
    "our own message",
    "uplink replayed",
    "acknowledgement of nothing",
    "subscription of nothing",
    "ping of nothing",
    "other topic",
    "retained",
)
_ALL_KINDS = _KINDS + tuple(_FORGERIES)
_ENDINGS = (
    "closed",
    "closed in a packet",
    "second answer to connect",
    "packet too long",
    "length malformed",
    "packet not allowed",
    "flood",
)
_STARTS = (
    "session present",
    "connection refused",
    "no answer to connect",
    "subscription refused",
)
