"""A cloud in memory that follows the SPEC as far as one device needs, and can misbehave."""

from protocol import answer, command, envelope, frame, message_types, p256, topics
from protocol.signer import PortableSigner

COMMAND_PRIVATE = b"\x07" * 32
IDENTITY_PRIVATE = b"\x09" * 32
MAC_KEY = b"\x0b" * 32


class Identity:
    """A device that was enrolled with this cloud; a bench sets `command_key`."""

    generation = 1
    mac_key = MAC_KEY
    command_key = b""

    def __init__(self):
        self.signer = PortableSigner(IDENTITY_PRIVATE)
        self.kid = self.signer.kid
        self.device_id = topics.device_id(self.kid)

    def mac_key_of(self, generation):
        """One key, one generation."""
        return self.mac_key if generation == self.generation else None

    def connecting(self):
        """Nothing is on trial."""

    def welcomed(self, generation):
        """Nothing is on trial."""


class Cloud:
    """Stores what a device sends, by sequence; `settled` is its cursor."""

    def __init__(self, kid, public_key, now_s=1_790_000_000):
        self.kid = kid
        self.now_s = now_s
        self.claim_epoch = 0
        self.settled = 0
        self.stored = {}
        self.hellos = []
        self.windows = []
        self.frames = []
        self.holds = {}
        self._public_key = public_key
        self._signer = PortableSigner(COMMAND_PRIVATE)

    def take(self, data):
        """Verify and store one uplink message; return the answer, or None."""
        sealed = envelope.parse_sign1(data)
        item = frame.parse(sealed.payload)
        envelope.verify_sign1(sealed, item.TYPE, self.kid, self._verify)
        if isinstance(item, frame.Hello):
            self.hellos.append(item)
            return self.welcome(item.nonce)
        if isinstance(item, frame.ClaimWindow):
            self.windows.append(item)
            return None
        self.frames.append(item)
        return self._store(item)

    def _verify(self, digest, signature):
        return p256.verify(self._public_key, digest, signature)

    def _store(self, item):
        count = item.last - item.first + 1
        refusals = []
        if item.first > self.settled + 1 and item.oldest > self.settled + 1:
            self.settled = min(item.oldest, item.first) - 1
        for place in range(count):
            sequence = item.first + place
            if sequence in self.holds:
                refusals.append((sequence, self.holds[sequence]))
                continue
            content = item.content(place) if hasattr(item, "content") else b"void"
            known = self.stored.setdefault(sequence, content)
            assert known == content or b"void" in (known, content), "a fork"
        if item.first <= self.settled + 1:
            last = refusals[0][0] - 1 if refusals else item.last
            self.settled = max(self.settled, last)
        return self.ack(refusals)

    def welcome(self, nonce, key=MAC_KEY, time_s=None):
        """Make a welcome."""
        message = answer.Welcome(
            nonce=nonce,
            time_s=self.now_s if time_s is None else time_s,
            settled=self.settled,
            claim_epoch=self.claim_epoch,
        )
        return self.sealed(message, key)

    def ack(self, refusals=(), settled=None):
        """Make an ack."""
        settled = self.settled if settled is None else settled
        return self.sealed(answer.Ack(settled=settled, refusals=refusals))

    def sealed(self, message, key=MAC_KEY, generation=1, kid=None):
        """Seal an answer."""
        return envelope.seal_mac0(message.TYPE, kid or self.kid, message.encode(), generation, key)

    def command(self, counter, verb, arguments, *, signer=None, kid=None, life_s=60):
        """Make a signed command."""
        order = command.Command(
            counter=counter,
            issued_s=self.now_s,
            expires_s=self.now_s + life_s,
            verb=verb,
            arguments=arguments,
        )
        return envelope.seal_sign1(
            message_types.COMMAND, kid or self.kid, order.encode(), signer or self._signer
        )

    def command_key(self):
        """The public key that devices pin."""
        return self._signer.public_key
