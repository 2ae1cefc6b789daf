"""Enrolment over the cable (SPEC 10): `Request`, `Reply`, `Answer`, `mac_key`.

The device sends a sealed `Request`; the cloud returns a `Reply`, which carries its
ephemeral key and the sealed `Answer`. Pure: keys and certificates are made elsewhere.
"""

from protocol import cbor, fields, mac, message_types, p256
from protocol.frame import MAX_LABEL_SIZE
from protocol.trust import MAX_HOST_SIZE

CHALLENGE_SIZE = 16
MAC_KEY_SIZE = 32
FIRST_GENERATION = 1
SERVER_NAME = "broker.tare.internal"
MAX_CERTIFICATE_SIZE = 1500
_PURPOSE = "tare/1/mac-key"


def mac_key(shared_x: bytes, salt: bytes, kid: bytes, generation: int) -> bytes:
    """Return the device's MAC key, 32 bytes, from the x coordinate of the ECDH point.

    `salt`: the challenge of the enrolment; for a later generation the key before (SPEC 6.7).
    """
    info = cbor.encode([_PURPOSE, kid, generation])
    return mac.hkdf_sha256(shared_x, salt, info, MAC_KEY_SIZE)


class Request(fields.Payload):
    """The device asks to be enrolled: its three public keys (64 bytes each) and what it is."""

    TYPE = message_types.ENROL_REQUEST

    def __init__(
        self,
        *,
        challenge: bytes,
        identity_key: bytes,
        tls_key: bytes,
        ephemeral_key: bytes,
        model: str,
        firmware: str,
    ) -> None:
        self.challenge = _challenge(challenge)
        self.identity_key = _public_key(identity_key)
        self.tls_key = _public_key(tls_key)
        self.ephemeral_key = _public_key(ephemeral_key)
        self.model = fields.text(model, MAX_LABEL_SIZE, "enrol-model")
        self.firmware = fields.text(firmware, MAX_LABEL_SIZE, "enrol-firmware")

    @staticmethod
    def parse(data: object) -> "Request":
        """Return the request that a payload is; `CurveError` for a key that is not a point."""
        rest = fields.payload(data, Request.TYPE, 7, "enrol-shape")
        challenge, identity_key, tls_key, ephemeral_key, model, firmware = rest
        return Request(
            challenge=challenge,
            identity_key=identity_key,
            tls_key=tls_key,
            ephemeral_key=ephemeral_key,
            model=model,
            firmware=firmware,
        )

    def item(self) -> list[object]:
        """Return the array that is encoded."""
        return [
            self.TYPE,
            self.challenge,
            self.identity_key,
            self.tls_key,
            self.ephemeral_key,
            self.model,
            self.firmware,
        ]


class Answer(fields.Payload):
    """What the device stores to belong to this cloud. Certificates are DER."""

    TYPE = message_types.ENROL_ANSWER

    def __init__(
        self,
        *,
        challenge: bytes,
        device_certificate: bytes,
        ca_certificate: bytes,
        command_key: bytes,
        host: str,
        port: int,
        server_name: str,
        time_s: int,
    ) -> None:
        self.challenge = _challenge(challenge)
        self.device_certificate = _certificate(device_certificate)
        self.ca_certificate = _certificate(ca_certificate)
        self.command_key = _public_key(command_key)
        self.host = fields.text(host, MAX_HOST_SIZE, "enrol-host")
        self.port = fields.integer(port, 1, 0xFFFF, "enrol-port")
        self.server_name = fields.text(server_name, MAX_HOST_SIZE, "enrol-server-name")
        self.time_s = fields.integer(time_s, 0, fields.MAX_TIME, "enrol-time")

    @staticmethod
    def parse(data: object) -> "Answer":
        """Return the answer that a payload is; `CurveError` for a key that is not a point."""
        rest = fields.payload(data, Answer.TYPE, 8, "enrol-shape")
        challenge, device_certificate, ca_certificate, command_key, address, name, time_s = rest
        host, port = fields.array(address, 2, 2, "enrol-address")
        return Answer(
            challenge=challenge,
            device_certificate=device_certificate,
            ca_certificate=ca_certificate,
            command_key=command_key,
            host=host,
            port=port,
            server_name=name,
            time_s=time_s,
        )

    def item(self) -> list[object]:
        """Return the array that is encoded."""
        return [
            self.TYPE,
            self.challenge,
            self.device_certificate,
            self.ca_certificate,
            self.command_key,
            [self.host, self.port],
            self.server_name,
            self.time_s,
        ]


class Reply:
    """The cloud's ephemeral public key, and the sealed answer that the MAC key opens."""

    def __init__(self, *, ephemeral_key: bytes, answer: bytes) -> None:
        self.ephemeral_key = _public_key(ephemeral_key)
        self.answer = fields.octets(answer, 1, message_types.MAX_ENROLMENT_SIZE, "enrol-answer")

    @staticmethod
    def parse(data: bytes) -> "Reply":
        """Return the reply that came over the cable."""
        ephemeral_key, answer = fields.array(cbor.decode(data), 2, 2, "enrol-reply")
        return Reply(ephemeral_key=ephemeral_key, answer=answer)

    def encode(self) -> bytes:
        """Return the bytes for the cable; `MessageError` if the device could not hold them."""
        encoded = cbor.encode([self.ephemeral_key, self.answer])
        return fields.octets(encoded, 1, message_types.MAX_ENROLMENT_SIZE, "enrol-size")


def _challenge(challenge: bytes) -> bytes:
    return fields.octets(challenge, CHALLENGE_SIZE, CHALLENGE_SIZE, "enrol-challenge")


def _public_key(key: bytes) -> bytes:
    size = p256.PUBLIC_SIZE
    return p256.import_public(fields.octets(key, size, size, "enrol-key"))


def _certificate(certificate: bytes) -> bytes:
    return fields.octets(certificate, 1, MAX_CERTIFICATE_SIZE, "enrol-certificate")
