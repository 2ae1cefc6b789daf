"""Enrolling a device over the cable (SPEC 10): challenge, answer, confirmation.

Challenges are kept in memory, ten minutes, each for one use. The MAC key is agreed on here and
kept wrapped under the key-encryption key; it is never shown or logged.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass

import sqlalchemy as sa
from cryptography.hazmat.primitives.asymmetric import ec

from cloud_agent.broker.settings import Endpoint
from cloud_agent.devices.errors import EnrolmentError, PublicKeyError, UnknownDeviceError
from cloud_agent.devices.pki import Authority, public_key
from cloud_agent.devices.signing import CommandSigner, raw_public_key
from cloud_agent.ingest.errors import MalformedError
from cloud_agent.ingest.strict import strict_decode
from cloud_agent.ingest.verify import signature_holds
from cloud_agent.service import Service
from cloud_agent.storage import schema
from protocol import cose, enrolment, envelope, message_types, topics
from protocol.errors import ProtocolError

MAC_KEY_LABEL = "device.mac_key"

_CHALLENGE_LIFE_S = 600
_MOST_CHALLENGES = 64


@dataclass(frozen=True, slots=True)
class Enrolled:
    """The answer for the cable, and the device that it makes."""

    device: str
    reply: bytes


class Enrolment:
    """Enrols devices into one installation; they will look for its broker at `endpoint`."""

    def __init__(self, service: Service, authority: Authority, endpoint: Endpoint) -> None:
        self._service = service
        self._authority = authority
        self._endpoint = endpoint
        self._challenges: dict[bytes, int] = {}

    def begin(self) -> bytes:
        """A new challenge, 16 bytes. Raises EnrolmentError when too many are open."""
        now_s = self._service.now()
        for challenge, until_s in list(self._challenges.items()):
            if until_s <= now_s:
                del self._challenges[challenge]
        if len(self._challenges) >= _MOST_CHALLENGES:
            raise EnrolmentError("too many enrolments have begun: wait ten minutes")
        challenge = secrets.token_bytes(enrolment.CHALLENGE_SIZE)
        self._challenges[challenge] = now_s + _CHALLENGE_LIFE_S
        return challenge

    async def answer(self, data: bytes) -> Enrolled:
        """Checks the device's request and answers it. Raises EnrolmentError.

        Checked in this order: form, kid, signature, challenge, keys never seen before.
        """
        kid, request = _verified(data)
        if self._challenges.pop(request.challenge, 0) <= self._service.now():
            raise EnrolmentError("the challenge is not ours, was used, or is too old: begin again")
        ephemeral = ec.generate_private_key(ec.SECP256R1())
        shared_x = ephemeral.exchange(ec.ECDH(), public_key(request.ephemeral_key))
        generation = enrolment.FIRST_GENERATION
        mac_key = enrolment.mac_key(shared_x, request.challenge, kid, generation)
        device = topics.device_id(kid)
        sealed = envelope.seal_mac0(
            message_types.ENROL_ANSWER,
            kid,
            self._payload(device, request).encode(),
            generation,
            mac_key,
        )
        reply = enrolment.Reply(ephemeral_key=raw_public_key(ephemeral.public_key()), answer=sealed)
        await self._store(device, request, mac_key)
        return Enrolled(device, reply.encode())

    async def finish(self, device: str) -> None:
        """The device says that it has stored everything. Raises UnknownDeviceError."""
        now_s = self._service.now()
        if not await self._service.writer.run(lambda c: confirm(c, device, now_s)):
            raise UnknownDeviceError(f"no device {device} is being enrolled here")

    def _payload(self, device: str, request: enrolment.Request) -> enrolment.Answer:
        return enrolment.Answer(
            challenge=request.challenge,
            device_certificate=self._authority.issue_device(device, request.tls_key),
            ca_certificate=self._authority.certificate_der,
            command_key=CommandSigner(self._authority.command_key).public_key,
            host=self._endpoint.host,
            port=self._endpoint.port,
            server_name=enrolment.SERVER_NAME,
            time_s=self._service.now(),
        )

    async def _store(self, device: str, request: enrolment.Request, mac_key: bytes) -> None:
        values = {
            "id": device,
            "public_key": request.identity_key,
            "tls_key": request.tls_key,
            "algorithm": cose.ALG_ESP256,
            "mac_key": self._service.vault.wrap(MAC_KEY_LABEL, device, mac_key),
            "mac_generation": enrolment.FIRST_GENERATION,
            "model": request.model,
            "firmware": request.firmware,
            "state": "enrolling",
        }

        def insert(connection: sa.Connection) -> None:
            _refuse_seen(connection, device, request)
            connection.execute(schema.device.insert().values(**values))

        await self._service.writer.run(insert)


def confirm(connection: sa.Connection, device: str, now_s: int) -> bool:
    """Counts the device as enrolled, on its word over the cable or by its first hello.

    Returns whether it is known here; doing it again changes nothing.
    """
    table = schema.device
    connection.execute(
        table.update()
        .where(table.c.id == device, table.c.state == "enrolling")
        .values(state="enrolled", enrolled_s=now_s)
    )
    query = sa.select(sa.exists().where(table.c.id == device))
    return bool(connection.execute(query).scalar_one())


def _verified(data: bytes) -> tuple[bytes, enrolment.Request]:
    """Reads the request and proves that the device has the identity key in it."""
    try:
        message = envelope.parse_sign1(data, message_types.MAX_ENROLMENT_SIZE)
        request = enrolment.Request.parse(strict_decode(message.payload))
        kid = cose.key_id(request.identity_key)
        if message.kid != kid:
            raise EnrolmentError("the request is signed by another key than the one in it")
        key = public_key(request.identity_key)

        def holds(digest: bytes, signature: bytes) -> bool:
            return signature_holds(key, digest, signature)

        envelope.verify_sign1(message, message_types.ENROL_REQUEST, kid, holds)
    except (ProtocolError, MalformedError, PublicKeyError) as error:
        raise EnrolmentError(f"the device's request is not acceptable: {error}") from error
    keys = {request.identity_key, request.tls_key, request.ephemeral_key}
    if len(keys) != 3:
        raise EnrolmentError("the device uses one key for two purposes")
    return kid, request


def _refuse_seen(connection: sa.Connection, device: str, request: enrolment.Request) -> None:
    """SPEC 2.6, for either key in either place; the id is a hash of the key and is checked too."""
    table = schema.device
    keys = (request.identity_key, request.tls_key)
    seen = sa.or_(table.c.id == device, table.c.public_key.in_(keys), table.c.tls_key.in_(keys))
    if connection.execute(sa.select(sa.exists().where(seen))).scalar_one():
        raise EnrolmentError("this device's keys were seen before: reset it to factory state")
