"""Random messages of every type, and what can go wrong with them, from a seed.

Payloads are plain items, made by SPEC's ranges and by nothing of `protocol`: two implementations
are put before them. `Traffic.case` gives good messages, damaged bytes, damaged payloads under a
right seal, seals for something else, and envelopes that are nearly right.
"""

import hmac
import random
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec

from protocol.tests import second

UPLINK, ANSWER, COMMAND = "uplink", "answer", "command"
ENROL_REQUEST, ENROL_ANSWER = "enrol-request", "enrol-answer"
_TYPES = [3] * 8 + [1, 2, 4, 4, 5, 16, 16, 17, 17, 32, 32, 48, 49]
_MOST, _TIME = 2**63 - 1, 2**36 - 1
_EDGES = (0, 1, 2, 3, 15, 16, 23, 24, 32, 255, 256, 65_535, 65_536, 2**32, _TIME, _TIME + 1, _MOST)
_ODD: tuple[Any, ...] = (
    None, True, False, "", "x", "\u00fc" * 17, b"", bytes(8), bytes(16), bytes(64),
    [], [[]], {}, {1: 2}, -1, -(2**64), 2**63, 2**64 - 1,
)  # fmt: skip


@dataclass(frozen=True)
class Case:
    """Bytes for a reader. `made` says how, for the report of a difference."""

    reader: str
    data: bytes
    made: str


class Party:
    """A key pair with its kid."""

    def __init__(self, number: int) -> None:
        self.private = ec.derive_private_key(0x7A3E + number, ec.SECP256R1())
        self.public = self.private.public_key()
        self.raw = second.raw_key(self.public)
        self.kid = second.kid_of(self.raw)


DEVICE, OTHER, CLOUD, STRANGER = Party(1), Party(2), Party(3), Party(4)
MAC_KEYS = {DEVICE.kid: b"\x11" * 32, OTHER.kid: b"\x22" * 32}
GENERATION = 1


def reader_of(number: int) -> str:
    """Which reader a message type is for."""
    if number < 16:
        return UPLINK
    return {16: ANSWER, 17: ANSWER, 32: COMMAND, 48: ENROL_REQUEST}.get(number, ENROL_ANSWER)


def sealed(item: list[Any], party: Party = DEVICE) -> bytes:
    """Seal as the type asks, from or for a device."""
    if item[0] in {16, 17, 49}:
        return second.seal_maced(item, party.kid, MAC_KEYS[party.kid], GENERATION)
    signer = CLOUD if item[0] == 32 else party
    return second.seal_signed(item, party.kid, signer.private, signer.kid)


class Traffic:
    """A stream of cases. The same seed gives the same stream."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._damages = (
            self._good, self._flipped, self._cut, self._grown, self._replaced, self._reshaped,
            self._bytes_in_payload, self._other_seal, self._header, self._odd_seal, self._noise,
        )  # fmt: skip

    def case(self) -> Case:
        """The next case: one in three is good."""
        item = self.item()
        make = self._good if self._random.random() < 0.33 else self._random.choice(self._damages)
        reader = reader_of(item[0])
        if self._random.random() < 0.05:
            reader = self._random.choice((UPLINK, ANSWER, COMMAND, ENROL_REQUEST, ENROL_ANSWER))
        return Case(reader, make(item), make.__name__)

    def item(self) -> list[Any]:
        """A good payload."""
        number = self._random.choice(_TYPES)
        return [number, *getattr(self, f"_type_{number}")()]

    # Numbers that lie at edges more often than chance would have it

    def _whole(self, low: int = 0, high: int = _MOST) -> int:
        if self._random.random() < 0.3:
            edges = [edge for edge in _EDGES if low <= edge <= high]
            return self._random.choice([low, high, *edges])
        return self._random.randint(low, min(high, low + 10 ** self._random.randint(1, 19)))

    def _bytes(self, size: int) -> bytes:
        return self._random.randbytes(size)

    def _label(self) -> str:
        return "".join(self._random.choice("ab-0.") for _ in range(self._random.randint(1, 32)))

    def _sequences(self, count: int) -> list[int]:
        first = self._whole(1, _MOST - count + 1)
        return [self._whole(1, first), first]

    # Payloads, without their type

    def _type_1(self) -> list[Any]:
        following = self._whole(1)
        wall = None if self._random.random() < 0.5 else self._whole(0, _TIME)
        return [
            self._bytes(16),
            self._label(),
            self._label(),
            [self._whole(), self._random.randint(0, 4)],
            [self._whole(1), self._whole(0, _TIME), wall],
            [self._whole(1, following), following],
            self._whole(),
            self._whole(),
        ]

    def _type_2(self) -> list[Any]:
        return [self._bytes(16), self._bytes(32), self._whole(1, 600)]

    def _type_3(self) -> list[Any]:
        count = self._random.choice((1, 1, 1, 2, 3, self._random.randint(1, 32)))
        form = self._random.randint(0, 2)
        earliest = self._whole(0, _TIME - 1)
        clock: Any = self._whole(1)
        if form:
            clock = [clock, earliest, self._whole(earliest + 1, _TIME)][: form + 1]
        handle = self._whole(0, 65_535)
        records = [self._record(handle, form) for _ in range(count)]
        return [*self._sequences(count), self._whole(), handle, clock, records]

    def _record(self, handle: int, form: int) -> list[Any]:
        kind = self._random.choice((1, 2, 2, 3, self._random.randint(0, 15)))
        attribution = (1 + self._random.randint(0, 1)) if handle else 0
        flags = self._random.choice((0, 0, 0, 1, 2, 3, 12, self._random.randint(0, 511)))
        packed = kind | (16 if form else 0) | attribution << 5 | flags << 7
        if self._random.random() < 0.05:
            packed = self._random.randint(0, 65_535)
        values = {
            1: [self._whole(0, 300_001)],
            2: [self._whole(1, 300_000), self._whole(0, 30_001)],
            3: [self._whole(1, 4_001), self._whole(1, 800), self._whole(1, 1_000), 650],
        }.get(kind, [self._whole() for _ in range(self._random.randint(1, 16))])
        return [self._whole(0, _TIME + 1), packed, values]

    def _type_4(self) -> list[Any]:
        count = self._random.randint(1, 16)
        receipts = [
            [self._whole(1), self._whole(1, 65_535), self._random.randint(0, 4), *self._detail()]
            for _ in range(count)
        ]
        return [*self._sequences(count), receipts]

    def _detail(self) -> list[bytes]:
        size = self._random.choice((0, 0, 0, 0, 1, 24, 64))
        return [self._bytes(size)] if size else []

    def _type_5(self) -> list[Any]:
        count = self._whole(1, 65_535)
        return [*self._sequences(count), count]

    def _type_16(self) -> list[Any]:
        return [self._bytes(16), self._whole(0, _TIME), self._whole(), self._whole()]

    def _type_17(self) -> list[Any]:
        settled = self._whole(0, 2**40)
        refusals, sequence = [], max(0, settled - 5)
        for _ in range(self._random.randint(0, self._random.choice((2, 32)))):
            sequence += self._random.randint(1, 3)
            reason = self._random.randint(1, 15 if sequence <= settled else 31)
            refusals.append([sequence, reason])
        return [settled, refusals]

    def _type_32(self) -> list[Any]:
        issued = self._whole(0, _TIME - 86_400)
        expires = issued + self._whole(1, 86_400)
        arguments = [self._argument(0) for _ in range(self._random.randint(0, 5))]
        return [self._whole(1), issued, expires, self._whole(1, 65_535), arguments]

    def _argument(self, depth: int) -> Any:
        if depth < 6 and self._random.random() < 0.4:
            return [self._argument(depth + 1) for _ in range(self._random.randint(0, 3))]
        return self._random.choice((self._whole(), None, self._label(), self._bytes(5), True))

    def _type_48(self) -> list[Any]:
        keys = [DEVICE.raw, OTHER.raw, STRANGER.raw]
        return [self._bytes(16), *keys, self._label(), self._label()]

    def _type_49(self) -> list[Any]:
        certificates = [self._bytes(self._random.choice((1, 400, 1_500))) for _ in range(2)]
        address = [self._label(), self._whole(1, 65_535)]
        time = self._whole(0, _TIME)
        return [self._bytes(16), *certificates, CLOUD.raw, address, self._label(), time]

    # Damage

    def _good(self, item: list[Any]) -> bytes:
        return sealed(item)

    def _at(self, data: bytes | bytearray) -> int:
        # Heads and the beginning of the payload say more than the middle of a signature.
        most = len(data) if self._random.random() < 0.5 else min(len(data), 60)
        return self._random.randrange(most)

    def _flipped(self, item: list[Any]) -> bytes:
        data = bytearray(sealed(item))
        for _ in range(self._random.choice((1, 1, 2))):
            data[self._at(data)] ^= 1 << self._random.randint(0, 7)
        return bytes(data)

    def _cut(self, item: list[Any]) -> bytes:
        data = sealed(item)
        at = self._at(data)
        return data[:at] if self._random.random() < 0.5 else data[:at] + data[at + 1 :]

    def _grown(self, item: list[Any]) -> bytes:
        data = sealed(item)
        at = self._random.choice((self._at(data), len(data)))
        return data[:at] + self._bytes(self._random.choice((1, 1, 2, 1_024))) + data[at:]

    def _replaced(self, item: list[Any]) -> bytes:
        """One element of the payload, at any depth, becomes something else; the seal is right."""
        return self._around(item[0], second.encode(self._with_change(item)))

    def _with_change(self, item: list[Any]) -> list[Any]:
        changed = list(item)
        at = self._random.randrange(len(changed))
        inner = changed[at]
        if isinstance(inner, list) and len(inner) > 1 and self._random.random() < 0.7:
            changed[at] = self._with_change(inner)
        elif self._random.random() < 0.5:
            changed[at] = self._random.choice(_ODD)
        else:
            changed[at] = self._random.choice(_EDGES)
        return changed

    def _reshaped(self, item: list[Any]) -> bytes:
        changed = list(item)
        at = self._random.randrange(1, len(changed))
        if self._random.random() < 0.5:
            del changed[at]
        else:
            changed.insert(at, self._random.choice((*_ODD, changed[at])))
        return self._around(item[0], second.encode(changed))

    def _bytes_in_payload(self, item: list[Any]) -> bytes:
        """Bytes that are (mostly) no deterministic encoding, under a right seal."""
        load = bytearray(second.encode(item))
        at = self._random.randrange(len(load))
        choice = self._random.randint(0, 3)
        if choice == 0:
            load[at] ^= 1 << self._random.randint(0, 7)
        elif choice == 1:
            load[at:at] = self._random.choice(
                (b"\x18", b"\x9f", b"\xff", b"\x58", b"\xf9", b"\xc2")
            )
        elif choice == 2:
            load += b"\x00"
        else:
            del load[at]
        return self._around(item[0], bytes(load))

    def _around(self, number: int, load: bytes) -> bytes:
        device = DEVICE.kid
        if number in {16, 17, 49}:
            header = second.mac_header(GENERATION)
            covered = second.structure("MAC0", header, number, device, load)
            seal = hmac.digest(MAC_KEYS[device], covered, "sha256")
            return b"\xd1" + second.encode([header, {}, load, seal])
        signer = CLOUD if number == 32 else DEVICE
        header = second.signed_header(signer.kid)
        covered = second.structure("Signature1", header, number, device, load)
        return b"\xd2" + second.encode([header, {}, load, second.sign(signer.private, covered)])

    def _other_seal(self, item: list[Any]) -> bytes:
        """A right seal for another type, another device, or by another key."""
        choice = self._random.randint(0, 2)
        if choice == 0:
            number = self._random.choice(sorted(second.PURPOSES))
            load = second.encode(item)
            return self._around(number, load)
        if choice == 1:
            return sealed(item, OTHER)
        signer = self._random.choice((STRANGER, OTHER, DEVICE, CLOUD))
        kid = self._random.choice((DEVICE, CLOUD, OTHER)).kid
        return second.seal_signed(item, DEVICE.kid, signer.private, kid)

    def _header(self, item: list[Any]) -> bytes:
        """A protected or unprotected header that is nearly right, signed over."""
        kid = DEVICE.kid
        header: Any = self._random.choice(
            ({1: -7, 4: kid}, {1: -9}, {4: kid}, {}, {1: -9, 2: [4], 4: kid}, {1: -9, 4: kid[:7]},
             {1: -9, 4: kid, 5: 0}, {1: 5, 4: b"\0\1"}, {1: 5, 4: b"\0\0"}, {1: 5, 4: b"\1"},
             {1: -9, 4: kid.hex()}, [1, -9], {1: -9, 4: kid})
        )  # fmt: skip
        unprotected: Any = self._random.choice(({}, {}, {4: kid}, {99: 0}, [], None))
        protected, load = second.encode(header), second.encode(item)
        covered = second.structure("Signature1", protected, item[0], kid, load)
        seal = second.sign(DEVICE.private, covered)
        tag = self._random.choice(
            (b"\xd2", b"\xd2", b"\xd2", b"\xd1", b"", b"\xd8\x12", b"\xd2\xd2")
        )
        return tag + second.encode([protected, unprotected, load, seal])

    def _odd_seal(self, item: list[Any]) -> bytes:
        """High s, r or s of zero or beyond the order, a seal of another length."""
        data = sealed(item)
        if data[0] != 0xD2:
            return data[:-1] + bytes((data[-1] ^ 1,))
        r, s = data[-64:-32], int.from_bytes(data[-32:], "big")
        number = self._random.choice((second.N - s, 0, second.N, second.N + s, s))
        if self._random.random() < 0.3:
            r = self._random.choice((bytes(32), second.N.to_bytes(32, "big"), b"\xff" * 32))
        return data[:-64] + r + (number % 2**256).to_bytes(32, "big")

    def _noise(self, item: list[Any]) -> bytes:
        load = self._bytes(self._random.randint(0, 90))
        return self._random.choice((load, b"\xd2\x84" + load, self._around(item[0], load)))
