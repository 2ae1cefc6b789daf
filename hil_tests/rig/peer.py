"""Someone else on the broker: a client with a certificate of its own, and frames to send from it.

Certificates come from the cloud's own authority, as if an operator had issued them by mistake:
what is refused here is refused by more than the lack of a certificate.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from cloud_agent.broker.rules import AGENT_NAME
from cloud_agent.devices.pki import Authority, TlsFiles
from cloud_agent.devices.signing import raw_public_key
from cloud_agent.tests.broker.wire import Wire, connect
from protocol import curve, envelope, frame, message_types, reading
from protocol.signer import PortableSigner


def files_for(name: str, authority: Authority, folder: Path) -> TlsFiles:
    """A new TLS key and its certificate for a device id."""
    key = ec.generate_private_key(ec.SECP256R1())
    der = authority.issue_device(name, raw_public_key(key.public_key()))
    stem = folder / f"{name}-{secrets.token_hex(4)}"
    certificate, key_file = stem.with_suffix(".crt"), stem.with_suffix(".key")
    pem = x509.load_der_x509_certificate(der).public_bytes(serialization.Encoding.PEM)
    certificate.write_bytes(pem)
    key_file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return TlsFiles(authority.server_files.ca, certificate, key_file)


@contextmanager
def device_client(port: int, device: str, authority: Authority, folder: Path) -> Iterator[Wire]:
    """Connected under a device's id. The device itself must be off: the broker takes one."""
    wire = connect(port, files_for(device, authority, folder), device)
    try:
        yield wire
    finally:
        wire.close()


@contextmanager
def in_place_of_the_agent(port: int, authority: Authority) -> Iterator[Wire]:
    """Connected as the agent, subscribed to all that devices send. The agent must be off."""
    wire = connect(port, authority.agent_files, AGENT_NAME)
    try:
        wire.subscribe("tare/1/+/up", qos=1)
        yield wire
    finally:
        wire.close()


def type_of(message: bytes) -> int:
    """The type of a signed uplink message, unverified."""
    return frame.parse(envelope.parse_sign1(message).payload).TYPE


def stranger(pretends: bytes | None = None) -> PortableSigner:
    """An identity key that nobody enrolled; `pretends`: the kid that it puts into its messages."""
    signer = PortableSigner((1 + secrets.randbelow(curve.N - 1)).to_bytes(32, "big"))
    signer.kid = pretends or signer.kid
    return signer


def readings_frame(signer: envelope.Signer, sequence: int, time_s: int) -> bytes:
    """A well-formed frame of one reading, signed by `signer`."""
    record = reading.weight(
        time_s, 81_250, since_epoch=False, attribution=reading.ATTRIBUTION_RECOGNISED
    )
    message = frame.Readings(
        oldest=sequence,
        first=sequence,
        claim_epoch=1,
        handle=1,
        clock=frame.Clock(1),
        records=[record],
    )
    return envelope.seal_sign1(message_types.READINGS, signer.kid, message.encode(), signer)


def flipped(message: bytes, bit: int) -> bytes:
    """The same message with one bit turned over."""
    changed = bytearray(message)
    changed[bit // 8] ^= 1 << (bit % 8)
    return bytes(changed)
