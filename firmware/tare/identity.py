"""Who this device is, and how it becomes somebody: keys, certificates, enrolment (SPEC 2, 10).

Keys are made in memory and stored in one write, after the cloud's answer was checked. Touches the
flash object and the source of randomness that it is given. Nothing here prints anything.
"""

from protocol import envelope, message_types, p256, topics
from protocol.enrolment import FIRST_GENERATION, Answer, Reply, Request, mac_key
from protocol.errors import ProtocolError
from tare import der
from tare import flash as flash_map
from tare.errors import EnrolmentError, StorageError
from tare.two_copies import TwoCopies

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    MakeSigner = Callable[[bytes], envelope.Signer]
    Random = Callable[[int], bytes]

_SEED_SIZE = 40
_FIELDS = 10


class Identity:
    """An enrolled device: its signer and id, and what it needs to reach and believe its cloud."""

    def __init__(self, item: "list[Any]", make_signer: "MakeSigner") -> None:
        if not isinstance(item, list) or len(item) != _FIELDS:
            raise StorageError("identity in a form that is not known")
        (
            private,
            self._tls_private,
            self.mac_key,
            self.generation,
            self.certificate,
            self.ca_certificate,
            self.command_key,
            self.host,
            self.port,
            self.server_name,
        ) = item
        self.signer = make_signer(private)
        self.kid = self.signer.kid
        self.device_id = topics.device_id(self.kid)

    def tls_key(self) -> bytes:
        """The private key for the client certificate, as DER."""
        return der.private_key(self._tls_private, p256.public_key(self._tls_private))


class IdentityStore:
    """The identity in flash. `load` before anything else; None means not enrolled."""

    def __init__(self, flash: flash_map.Flash, make_signer: "MakeSigner") -> None:
        self._copies = TwoCopies(flash, flash_map.IDENTITY)
        self._make_signer = make_signer

    def load(self) -> Identity | None:
        """Return the stored identity."""
        item: Any = self._copies.item()
        return None if item is None else Identity(item, self._make_signer)

    def store(self, item: list[object]) -> Identity:
        """Store a new identity in one write and return it as read back."""
        self._copies.store(item)
        return Identity(item, self._make_signer)


class Enrolment:
    """One attempt: `begin` makes keys and the request, `finish` takes the cloud's reply.

    A second `begin` makes new keys and forgets the old ones.
    """

    def __init__(self, store: IdentityStore, random: "Random", make_signer: "MakeSigner") -> None:
        self._store = store
        self._random = random
        self._make_signer = make_signer
        self._keys: tuple[bytes, bytes, bytes] | None = None
        self._challenge = b""

    def begin(self, challenge: bytes, model: str, firmware: str) -> bytes:
        """Return the sealed enrolment request; `EnrolmentError` when enrolled already."""
        if self._store.load() is not None:
            raise EnrolmentError("already enrolled")
        identity, tls, ephemeral = (
            p256.private_from_seed(self._random(_SEED_SIZE)) for _ in range(3)
        )
        signer = self._make_signer(identity)
        try:
            request = Request(
                challenge=challenge,
                identity_key=signer.public_key,
                tls_key=p256.public_key(tls),
                ephemeral_key=p256.public_key(ephemeral),
                model=model,
                firmware=firmware,
            )
        except ProtocolError as error:
            raise EnrolmentError(error.reason)
        self._keys = (identity, tls, ephemeral)
        self._challenge = challenge
        return envelope.seal_sign1(Request.TYPE, signer.kid, request.encode(), signer)

    def finish(self, data: bytes) -> Identity:
        """Check the cloud's reply and store the identity; nothing is kept when it is wrong."""
        if self._keys is None:
            raise EnrolmentError("no enrolment has begun")
        identity, tls, ephemeral = self._keys
        kid = self._make_signer(identity).kid
        try:
            reply = Reply.parse(data)
            shared = p256.ecdh(ephemeral, reply.ephemeral_key)
            key = mac_key(shared, self._challenge, kid, FIRST_GENERATION)
            answer = _opened(reply.answer, kid, key)
        except ProtocolError as error:
            raise EnrolmentError(error.reason)
        if answer.challenge != self._challenge:
            raise EnrolmentError("answer to another request")
        public, name = der.certificate_key_and_name(answer.device_certificate)
        if public != p256.public_key(tls) or name != topics.device_id(kid):
            raise EnrolmentError("certificate for another device")
        self._keys = None
        return self._store.store(_item(identity, tls, key, answer))


def _opened(data: bytes, kid: bytes, key: bytes) -> Answer:
    message = envelope.parse_mac0(data, message_types.MAX_ENROLMENT_SIZE)
    if envelope.generation_of(message) != FIRST_GENERATION:
        raise EnrolmentError("answer under another key generation")
    envelope.verify_mac0(message, Answer.TYPE, kid, key)
    return Answer.parse(message.payload)


def _item(identity: bytes, tls: bytes, key: bytes, answer: Answer) -> list[object]:
    return [
        identity,
        tls,
        key,
        FIRST_GENERATION,
        answer.device_certificate,
        answer.ca_certificate,
        answer.command_key,
        answer.host,
        answer.port,
        answer.server_name,
    ]
