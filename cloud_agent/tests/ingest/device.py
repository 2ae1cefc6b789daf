"""A device for tests, on CPython: real keys, real messages, a real connection; no flash, no clock.
It says what the test wants, and tells what it was answered.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from cloud_agent.devices.pki import TlsFiles
from cloud_agent.devices.signing import CommandSigner, raw_public_key
from cloud_agent.tests.broker.wire import WAIT_S, Wire, connect
from protocol import (
    answer,
    claim_code,
    command,
    enrolment,
    envelope,
    frame,
    message_types,
    p256,
    reading,
    topics,
)
from protocol.fields import Payload

NOW_S = 1_770_000_000


def _verify_with(public: bytes):  # type: ignore[no-untyped-def]  # it returns a function
    return lambda digest, signature: p256.verify(public, digest, signature)


def weight(grams: int, *, at_s: int = NOW_S, attribution: int = 1) -> reading.Reading:
    return reading.weight(at_s, grams, since_epoch=False, attribution=attribution)


@dataclass
class Answers:
    """What came down, opened: only what carries a right MAC or signature is in here."""

    welcomes: list[answer.Welcome]
    acks: list[answer.Ack]
    commands: list[command.Command]


class Device:
    """One identity. `enrol` it, `connect` it, then let it speak."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._identity = ec.generate_private_key(ec.SECP256R1())
        self._tls = ec.generate_private_key(ec.SECP256R1())
        self._ephemeral = ec.generate_private_key(ec.SECP256R1())
        self.signer = CommandSigner(self._identity)
        self.kid = self.signer.kid
        self.id = topics.device_id(self.kid)
        self.mac_key = b""
        self.enrolled: enrolment.Answer | None = None
        self.nonce = b""
        self.next_sequence = 1
        self.claim_epoch = 0
        self.obeyed = 0
        self.wire: Wire | None = None

    # Enrolment

    def request(self, challenge: bytes) -> bytes:
        asked = enrolment.Request(
            challenge=challenge,
            identity_key=self.signer.public_key,
            tls_key=raw_public_key(self._tls.public_key()),
            ephemeral_key=raw_public_key(self._ephemeral.public_key()),
            model="test scale",
            firmware="0.0.1",
        )
        return self.seal(asked)

    def take(self, reply: bytes) -> enrolment.Answer:
        """Accepts the cloud's reply as SPEC 10.3 says."""
        parsed = enrolment.Reply.parse(reply)
        message = envelope.parse_mac0(parsed.answer, message_types.MAX_ENROLMENT_SIZE)
        theirs = ec.EllipticCurvePublicKey.from_encoded_point(
            ec.SECP256R1(), b"\x04" + parsed.ephemeral_key
        )
        shared = self._ephemeral.exchange(ec.ECDH(), theirs)
        answered = enrolment.Answer.parse(message.payload)
        key = enrolment.mac_key(shared, answered.challenge, self.kid, 1)
        envelope.verify_mac0(message, message_types.ENROL_ANSWER, self.kid, key)
        self.mac_key, self.enrolled = key, answered
        return answered

    @property
    def files(self) -> TlsFiles:
        """The certificate and key as files, as a TLS library wants them."""
        assert self.enrolled is not None
        ca, own = self._folder / f"{self.id}.ca", self._folder / f"{self.id}.crt"
        key = self._folder / f"{self.id}.key"
        pem = serialization.Encoding.PEM
        for path, der in (
            (ca, self.enrolled.ca_certificate),
            (own, self.enrolled.device_certificate),
        ):
            path.write_bytes(x509.load_der_x509_certificate(der).public_bytes(pem))
        key.write_bytes(
            self._tls.private_bytes(
                pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        return TlsFiles(ca, own, key)

    # Conversation

    def connect(self) -> None:
        assert self.enrolled is not None
        self.wire = connect(self.enrolled.port, self.files, self.id)
        self.wire.subscribe(topics.down(self.id))

    def disconnect(self) -> None:
        if self.wire is not None:
            self.wire.close()
            self.wire = None

    def seal(self, message: Payload) -> bytes:
        return envelope.seal_sign1(message.TYPE, self.kid, message.encode(), self.signer)

    def send(self, data: bytes | Payload, *, topic: str | None = None) -> None:
        assert self.wire is not None
        signed = self.seal(data) if isinstance(data, Payload) else data
        self.wire.publish(topic or topics.up(self.id), signed)

    def hello_message(self, *, oldest: int | None = None) -> frame.Hello:
        self.nonce = secrets.token_bytes(16)
        return frame.Hello(
            nonce=self.nonce,
            model="test scale",
            firmware="0.0.1",
            boot_counter=1,
            boot_reason=0,
            clock_epoch=1,
            clock_s=5,
            wall_s=None,
            oldest=self.next_sequence if oldest is None else oldest,
            next_sequence=self.next_sequence,
            claim_epoch=self.claim_epoch,
            command_counter=self.obeyed,
        )

    def hello(self) -> answer.Welcome:
        """Says hello and returns the welcome, which must echo the nonce."""
        self.send(self.hello_message())
        welcome = self.next_answer()
        assert isinstance(welcome, answer.Welcome)
        assert welcome.nonce == self.nonce
        return welcome

    def window(self, code: bytes, *, window_s: int = 60) -> None:
        proof = claim_code.proof(self.kid, code)
        self.send(frame.ClaimWindow(nonce=self.nonce, proof=proof, window_s=window_s))

    def readings(
        self,
        records: Sequence[reading.Reading],
        *,
        first: int | None = None,
        oldest: int | None = None,
        epoch: int | None = None,
        handle: int = 1,
        clock: frame.Clock | None = None,
    ) -> frame.Readings:
        """The next records as a message; the sequence goes on behind them."""
        start = self.next_sequence if first is None else first
        self.next_sequence = max(self.next_sequence, start + len(records))
        return frame.Readings(
            oldest=start if oldest is None else oldest,
            first=start,
            claim_epoch=self.claim_epoch if epoch is None else epoch,
            handle=handle,
            clock=clock or frame.Clock(1),
            records=list(records),
        )

    def deliver(self, message: Payload | bytes) -> answer.Ack:
        """Sends and returns the ack."""
        self.send(message)
        ack = self.next_answer()
        assert isinstance(ack, answer.Ack)
        return ack

    def next_answer(self, wait_s: float = WAIT_S) -> answer.Welcome | answer.Ack | command.Command:
        found = self.poll(wait_s)
        assert found is not None, "no answer"
        return found

    def poll(self, wait_s: float) -> answer.Welcome | answer.Ack | command.Command | None:
        """The next message that the device would believe; None when there is none in time."""
        assert self.wire is not None
        deadline = time.monotonic() + wait_s
        message = self.wire.message(max(0.001, deadline - time.monotonic()))
        return None if message is None else self.open(message.payload)

    def open(self, data: bytes) -> answer.Welcome | answer.Ack | command.Command:
        assert self.enrolled is not None
        if envelope.is_mac0(data):
            sealed = envelope.parse_mac0(data)
            opened = answer.parse(sealed.payload)
            envelope.verify_mac0(sealed, opened.TYPE, self.kid, self.mac_key)
            return opened
        signed = envelope.parse_sign1(data)
        verify = _verify_with(self.enrolled.command_key)
        envelope.verify_sign1(signed, message_types.COMMAND, self.kid, verify)
        return command.Command.parse(signed.payload)

    def obey(self, ordered: command.Command, outcome: int = frame.OUTCOME_DONE) -> answer.Ack:
        """Believes a command, does what matters here, sends the receipt, returns its ack."""
        assert ordered.counter > self.obeyed
        self.obeyed = ordered.counter
        order = ordered.order()
        if outcome == frame.OUTCOME_DONE and isinstance(order, command.Claim):
            self.claim_epoch = order.epoch
        if outcome == frame.OUTCOME_DONE and isinstance(order, command.Erase):
            self.claim_epoch = 0
        receipt = frame.Receipt(ordered.counter, ordered.verb, outcome)
        first = self.next_sequence
        self.next_sequence += 1
        return self.deliver(frame.Receipts(oldest=first, first=first, receipts=[receipt]))


def new_code() -> bytes:
    return secrets.token_bytes(claim_code.CODE_SIZE)


def high_s(signed: bytes) -> bytes:
    """The same message with the other of the two signatures that ECDSA holds for right."""
    s = int.from_bytes(signed[-32:], "big")
    return signed[:-32] + (p256.N - s).to_bytes(32, "big")
