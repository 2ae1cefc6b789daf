"""Someone who has stolen a device's certificate from its flash, and publishes what they like.

The broker lets them speak for that device, so that it is the agent that has to refuse.
"""

from __future__ import annotations

import secrets
import socket
import ssl
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from paho.mqtt.client import Client, MQTTMessage, MQTTv311
from paho.mqtt.enums import CallbackAPIVersion

from protocol import answer, cbor, cose, envelope, message_types, p256, topics
from protocol.errors import ProtocolError
from protocol.signer import PortableSigner
from tools.demo.errors import DemoError
from tools.demo.flash_image import Stolen

_CONNECT_S = 15
_PUBLISH_S = 10
_ANSWER_S = 10
_AROUND = 16


class _NamedContext(ssl.SSLContext):
    """The broker's certificate names it whatever its address (SPEC 9.4)."""

    server_name = ""

    # Its many options are handed on.
    def wrap_socket(self, sock: socket.socket, **options: Any) -> ssl.SSLSocket:  # type: ignore[override]
        options["server_hostname"] = self.server_name
        return super().wrap_socket(sock, **options)


class Intruder:
    """A connection to the broker with a stolen certificate."""

    def __init__(self, stolen: Stolen) -> None:
        self._stolen = stolen
        self._acks: list[answer.Ack] = []
        self._heard = threading.Condition()
        self._subscribed = threading.Event()
        self._client = Client(CallbackAPIVersion.VERSION2, stolen.device_id, protocol=MQTTv311)
        self._client.tls_set_context(_context(stolen))
        self._client.on_connect = self._on_connect
        self._client.on_subscribe = lambda *_: self._subscribed.set()
        self._client.on_message = self._on_message

    @contextmanager
    def connected(self) -> Iterator[None]:
        """Connects, and listens to what the cloud answers this device."""
        self._client.connect(self._stolen.host, self._stolen.port, keepalive=30)
        self._client.loop_start()
        try:
            if not self._subscribed.wait(_CONNECT_S):
                raise DemoError("the intruder could not connect to the broker")
            yield
        finally:
            self._client.disconnect()
            self._client.loop_stop()

    def publish(self, message: bytes, device_id: str | None = None) -> None:
        """Publishes on the topic of the stolen device, or of another."""
        topic = topics.up(device_id or self._stolen.device_id)
        self._client.publish(topic, message, qos=1).wait_for_publish(_PUBLISH_S)

    def ack(self) -> answer.Ack:
        """The next ack that comes (its MAC is right under the device's key)."""
        with self._heard:
            if not self._heard.wait_for(lambda: bool(self._acks), _ANSWER_S):
                raise DemoError("the cloud gave no ack")
            return self._acks.pop(0)

    def _on_connect(self, client: Client, *_: Any) -> None:
        client.subscribe(topics.down(self._stolen.device_id))

    def _on_message(self, _client: Client, _userdata: Any, message: MQTTMessage) -> None:
        data = bytes(message.payload)
        if not envelope.is_mac0(data):
            return
        try:
            parsed = envelope.parse_mac0(data)
            kid = topics.kid_of(self._stolen.device_id)
            envelope.verify_mac0(parsed, message_types.ACK, kid, self._stolen.mac_key)
            ack = answer.Ack.parse(parsed.payload)
        except ProtocolError:
            return  # a welcome, or not for us
        with self._heard:
            self._acks.append(ack)
            self._heard.notify_all()


def flip_a_bit(message: bytes) -> tuple[bytes, bytes]:
    """The same message with the lowest bit of its last weight changed, and the bytes around that
    bit, which occur in no genuine message.
    """
    payload = envelope.parse_sign1(message).payload
    place = message.rindex(payload) + len(payload) - 1
    flipped = message[:place] + bytes([message[place] ^ 1]) + message[place + 1 :]
    return flipped, flipped[place - _AROUND : place + _AROUND]


def sign_anew(message: bytes) -> bytes:
    """The same payload, rightly signed, by a key that nobody enrolled."""
    signer = PortableSigner(p256.private_from_seed(secrets.token_bytes(40)), secrets.token_bytes)
    payload = envelope.parse_sign1(message).payload
    return envelope.seal_sign1(message_types.READINGS, signer.kid, payload, signer)


def plain_records(message: bytes) -> list[bytes]:
    """The records of a readings frame as they lie in a device's flash."""
    payload: Any = cbor.decode(envelope.parse_sign1(message).payload)
    return [cbor.encode(record) for record in payload[6]]


def signature(message: bytes) -> bytes:
    """The signature of a frame: 64 bytes that occur nowhere else."""
    return message[-cose.SIGNATURE_SIZE :]


def _context(stolen: Stolen) -> ssl.SSLContext:
    context = _NamedContext(ssl.PROTOCOL_TLS_CLIENT)
    context.server_name = stolen.server_name
    context.load_verify_locations(cadata=stolen.ca_certificate)
    key = ec.derive_private_key(int.from_bytes(stolen.tls_private, "big"), ec.SECP256R1())
    certificate = x509.load_der_x509_certificate(stolen.certificate)
    with tempfile.NamedTemporaryFile() as file:
        file.write(certificate.public_bytes(serialization.Encoding.PEM))
        file.write(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        file.flush()
        context.load_cert_chain(Path(file.name))
    return context
