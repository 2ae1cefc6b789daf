"""The cloud's side of the cable for tests on CPython: an authority, certificates, the reply."""

from __future__ import annotations

import datetime as dt
import secrets
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from cloud_agent.devices.console_client import Console
from cloud_agent.devices.errors import ConsoleError
from protocol import enrolment, envelope, message_types, p256, topics

_BEGIN = dt.datetime(2025, 1, 1, tzinfo=dt.UTC)
_END = dt.datetime(2045, 1, 1, tzinfo=dt.UTC)


class Authority:
    """A certificate authority with a key of its own."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test authority")])
        self._name = name
        builder = _builder(name, name, self._key.public_key(), _BEGIN, _END)
        builder = builder.add_extension(
            x509.BasicConstraints(ca=True, path_length=0), critical=True
        )
        self._certificate = builder.sign(self._key, hashes.SHA256())

    @property
    def der(self) -> bytes:
        """Its certificate."""
        return self._certificate.public_bytes(serialization.Encoding.DER)

    def own(self) -> bytes:
        """Its key and its own certificate in one PEM text: for a server that vouches for itself."""
        return _pem(self._key, self._certificate)

    def device(self, name: str, public: ec.EllipticCurvePublicKey) -> bytes:
        """The certificate of a device, DER."""
        uri = x509.UniformResourceIdentifier(f"spiffe://tare/device/{name}")
        return self._sign(name, public, uri, _BEGIN, _END).public_bytes(serialization.Encoding.DER)

    def server(
        self,
        name: str = enrolment.SERVER_NAME,
        begin: dt.datetime = _BEGIN,
        end: dt.datetime = _END,
    ) -> bytes:
        """Key and certificate of a server in one PEM text."""
        key = ec.generate_private_key(ec.SECP256R1())
        signed = self._sign(name, key.public_key(), x509.DNSName(name), begin, end)
        return _pem(key, signed)

    def _sign(
        self,
        name: str,
        public: ec.EllipticCurvePublicKey,
        alternative: x509.GeneralName,
        begin: dt.datetime,
        end: dt.datetime,
    ) -> x509.Certificate:
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        builder = _builder(subject, self._name, public, begin, end).add_extension(
            x509.SubjectAlternativeName([alternative]), critical=False
        )
        return builder.sign(self._key, hashes.SHA256())


def _pem(key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate) -> bytes:
    form = serialization.PrivateFormat.PKCS8
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, form, serialization.NoEncryption())
    return private + certificate.public_bytes(pem)


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    public: ec.EllipticCurvePublicKey,
    begin: dt.datetime,
    end: dt.datetime,
) -> x509.CertificateBuilder:
    return x509.CertificateBuilder(
        issuer_name=issuer,
        subject_name=subject,
        public_key=public,
        serial_number=x509.random_serial_number(),
        not_valid_before=begin,
        not_valid_after=end,
    )


def reply(sealed: bytes, authority: Authority, *, name: str = "", port: int = 1) -> bytes:
    """The answer to an enrolment request; `name` puts another one into the certificate."""
    message = envelope.parse_sign1(sealed, message_types.MAX_ENROLMENT_SIZE)
    request = enrolment.Request.parse(message.payload)
    assert message.kid is not None
    ephemeral = ec.generate_private_key(ec.SECP256R1())
    scalar = ephemeral.private_numbers().private_value.to_bytes(32, "big")
    shared = p256.ecdh(scalar, request.ephemeral_key)
    key = enrolment.mac_key(shared, request.challenge, message.kid, 1)
    tls = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), b"\x04" + request.tls_key)
    answer = enrolment.Answer(
        challenge=request.challenge,
        device_certificate=authority.device(name or topics.device_id(message.kid), tls),
        ca_certificate=authority.der,
        command_key=_public(ec.generate_private_key(ec.SECP256R1())),
        host="127.0.0.1",
        port=port,
        server_name=enrolment.SERVER_NAME,
        time_s=1_790_000_000,
    )
    sealed_answer = envelope.seal_mac0(answer.TYPE, message.kid, answer.encode(), 1, key)
    return enrolment.Reply(ephemeral_key=_public(ephemeral), answer=sealed_answer).encode()


def await_boot(console: Console) -> dict[str, Any]:
    """Asks until the device answers: a request sent while it boots is lost. Returns `about`."""
    for _ in range(20):
        try:
            return dict(console.request("about", timeout_s=1))
        except ConsoleError:
            continue
    raise AssertionError("the device does not answer")


def enrol(console: Console, authority: Authority, port: int = 1) -> str:
    """Enrols a device that may still boot, for a broker at this port; returns its id."""
    await_boot(console)
    request = console.enrol_begin(secrets.token_bytes(16))
    return console.enrol_finish(reply(request, authority, port=port))


def _public(private: ec.EllipticCurvePrivateKey) -> bytes:
    form = serialization.PublicFormat.UncompressedPoint
    return private.public_key().public_bytes(serialization.Encoding.X962, form)[1:]
