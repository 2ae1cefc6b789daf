"""Who this device is, and how it becomes somebody: keys, certificates, enrolment (SPEC 2, 10).

Keys are made in memory and stored in one write, after the cloud's answer was checked. Touches the
flash object and the source of randomness that it is given. Nothing here prints anything.
"""

from protocol import envelope, message_types, p256, topics
from protocol.enrolment import FIRST_GENERATION, Answer, Reply, Request, mac_key
from protocol.errors import ProtocolError
from tare import der
from tare import flash as flash_map
from tare.errors import EnrolmentError, FirmwareError, StorageError
from tare.two_copies import TwoCopies

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    MakeSigner = Callable[[bytes], envelope.Signer]
    Random = Callable[[int], bytes]

SEED_SIZE = 40
# What an enrolment stores; firmware before the verb trust knew no more.
_ENROLLED_FIELDS = 10
_FIELDS = 13
# So many connections may fail with an authority or address that is on trial.
_TRIALS = 3


class Identity:
    """An enrolled device: its signer and id, and what it needs to reach and believe its cloud.

    `ca_certificate`, `host`, `port` and `server_name` are those of the next connection. What the
    verb trust may change is changed in place, and stored by `save`.
    """

    def __init__(self, item: "list[Any]", store: "IdentityStore") -> None:
        #: The MAC key before this one, until a welcome came under this one; None: there is none.
        self.older_mac_key: bytes | None = None
        #: The cloud's ephemeral key and ours, of which this MAC key was made; None: enrolment.
        self.agreed: list[bytes] | None = None
        # [authority or None, [host, port, server name] or None, connections left], or None.
        self._trial: list[Any] | None = None
        # Of the next connection: what is on trial, else what has proved good.
        self.ca_certificate = b""
        self.host = ""
        self.port = 0
        self.server_name = ""
        self._store = store
        self._take(item)
        self.signer = store.make_signer(self._private)
        self.kid = self.signer.kid
        self.device_id = topics.device_id(self.kid)

    def tls_key(self) -> bytes:
        """The private key for the client certificate, as DER."""
        return der.private_key(self.tls_private, p256.public_key(self.tls_private))

    def mac_key_of(self, generation: int) -> bytes | None:
        """Return the key that an answer of this generation must be sealed with, if there is one."""
        if generation == self.generation:
            return self.mac_key
        if generation == self.generation - 1:
            return self.older_mac_key
        return None

    def try_out(self, authority: bytes | None, address: "list[Any] | None") -> None:
        """Believe this authority (DER), or look for the broker at [host, port, server name]: on
        trial from the next connection on, together with what is on trial already.
        """
        tried = self._trial or [None, None, 0]
        if authority is not None:
            tried[0] = authority
        if address is not None:
            tried[1] = address
        self._trial = [tried[0], tried[1], _TRIALS]
        self.save()

    def connecting(self) -> None:
        """A connection begins: count it when something is on trial; give that up after three."""
        if self._trial is None:
            return
        if self._trial[2] > 0:
            self._trial[2] -= 1
        else:
            self._trial = None
        try:
            self.save()
        except FirmwareError:
            # What cannot be counted would be tried for ever: the way of before is taken.
            self._trial = None
            self._choose()

    def welcomed(self, generation: int) -> None:
        """A welcome under the key of this generation was accepted: what it proves is kept."""
        if self._trial is not None:
            self._ca_certificate, self._trial = self.ca_certificate, None
            self._host, self._port, self._server_name = self.host, self.port, self.server_name
            self.save()
        if self.older_mac_key is not None and generation == self.generation:
            self.older_mac_key = None
            # It may be left in the other copy: who reads that reads the present key as well.
            self.save()

    def save(self) -> None:
        """Store what was changed.

        Where that fails, with `StorageError` or `FlashError`, it is what it was before.
        """
        try:
            self._store.save(self.item())
        except FirmwareError:
            self._take(self._store.item())
            raise
        self._choose()

    def item(self) -> list[object]:
        """What is stored (SPEC 12.6)."""
        return [
            self._private,
            self.tls_private,
            self.mac_key,
            self.generation,
            self.certificate,
            self._ca_certificate,
            self.command_key,
            self._host,
            self._port,
            self._server_name,
            self.older_mac_key,
            self.agreed,
            self._trial,
        ]

    def _take(self, item: "list[Any]") -> None:
        if not isinstance(item, list) or len(item) not in {_ENROLLED_FIELDS, _FIELDS}:
            raise StorageError("identity in a form that is not known")
        (
            self._private,
            self.tls_private,
            self.mac_key,
            self.generation,
            self.certificate,
            self._ca_certificate,
            self.command_key,
            self._host,
            self._port,
            self._server_name,
        ) = item[:_ENROLLED_FIELDS]
        added = item[_ENROLLED_FIELDS:] or (None, None, None)
        self.older_mac_key, self.agreed, self._trial = added
        self._choose()

    def _choose(self) -> None:
        authority, address, _ = self._trial or (None, None, 0)
        self.ca_certificate = authority or self._ca_certificate
        self.host, self.port, self.server_name = address or (
            self._host,
            self._port,
            self._server_name,
        )


class IdentityStore:
    """The identity in flash. `load` before anything else; None means not enrolled."""

    def __init__(self, flash: flash_map.Flash, make_signer: "MakeSigner") -> None:
        self._copies = TwoCopies(flash, flash_map.IDENTITY)
        self.make_signer = make_signer

    def load(self) -> Identity | None:
        """Return the stored identity."""
        item = self.item()
        return None if item is None else Identity(item, self)

    def item(self) -> "Any":
        """Return what is stored, None when there is nothing."""
        return self._copies.item()

    def store(self, item: list[object]) -> Identity:
        """Store a new identity in one write and return it as read back."""
        self.save(item)
        return Identity(item, self)

    def save(self, item: list[object]) -> None:
        """Store an identity in one write."""
        self._copies.store(item)


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

    @property
    def has_begun(self) -> bool:
        """Tell whether keys were made that are nowhere but in memory yet."""
        return self._keys is not None

    def begin(self, challenge: bytes, model: str, firmware: str) -> bytes:
        """Return the sealed enrolment request; `EnrolmentError` when enrolled already."""
        if self._store.load() is not None:
            raise EnrolmentError("already enrolled")
        identity, tls, ephemeral = (
            p256.private_from_seed(self._random(SEED_SIZE)) for _ in range(3)
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
    return [  # an Identity fills in what it knows beyond this
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
