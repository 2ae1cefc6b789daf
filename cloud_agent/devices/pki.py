"""The cloud's own keys: the certificate authority, which issues the certificates of the broker, the
agent and the devices (SPEC 2.5, 7, 9.4), and the command key (SPEC 2.4). Touches only its folder,
which it writes once, whole and 0600. Devices' private keys never come here.
"""

from __future__ import annotations

import datetime as dt
import secrets
import shutil
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from cloud_agent.broker.rules import AGENT_NAME, SERVER_NAME, spiffe_agent, spiffe_device
from cloud_agent.devices.errors import AuthorityError, PublicKeyError
from cloud_agent.files import sync_folder, write_private

# SPEC 9.4: before any firmware build, so that a device that only knows its build date accepts it.
NOT_BEFORE = dt.datetime(2025, 1, 1, tzinfo=dt.UTC)
# The last second that X.509 writes with two-digit years, which every small TLS stack reads. Long,
# because a device without the order `trust` could only be given a new certificate over the cable.
NOT_AFTER = dt.datetime(2049, 12, 31, 23, 59, 59, tzinfo=dt.UTC)

_NAMES = ("ca", "server", "agent")
_FILES = (*(f"{name}.{kind}" for name in _NAMES for kind in ("crt", "key")), "command.key")


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """What one side of a TLS connection needs: paths of PEM files."""

    ca: Path
    certificate: Path
    key: Path


class Authority:
    """An opened authority. Make one with `Authority.open`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._key = _read_key(folder / "ca.key")
        self._own = _read_ca(folder)
        self._command_key = _read_key(folder / "command.key")

    @classmethod
    def open(cls, folder: Path) -> Authority:
        """Opens the authority in `folder`, or makes it if the folder is absent or empty.

        Raises AuthorityError when files are missing, readable by others or do not fit together:
        a new authority in their place would lock out every enrolled device.
        """
        if not folder.is_dir() or not any(folder.iterdir()):
            _make(folder)
        for name in _FILES:
            _check_file(folder / name)
        return cls(folder)

    @property
    def certificate_der(self) -> bytes:
        """The authority's own certificate, DER."""
        return self._own.public_bytes(serialization.Encoding.DER)

    @property
    def server_files(self) -> TlsFiles:
        """For the broker."""
        return self._files("server")

    @property
    def agent_files(self) -> TlsFiles:
        """For the cloud agent's own connection to the broker."""
        return self._files("agent")

    @property
    def command_key(self) -> ec.EllipticCurvePrivateKey:
        """Signs commands and nothing else."""
        return self._command_key

    def issue_device(self, device_id: str, tls_key: bytes) -> bytes:
        """Returns the DER certificate of a device for its TLS public key (64 bytes, x then y).

        Raises PublicKeyError when `tls_key` is not a point of P-256.
        """
        alternative = x509.SubjectAlternativeName(
            [x509.UniformResourceIdentifier(spiffe_device(device_id))]
        )
        certificate = _sign(
            device_id, public_key(tls_key), alternative, _CLIENT, self._key, self._own
        )
        return certificate.public_bytes(serialization.Encoding.DER)

    def _files(self, name: str) -> TlsFiles:
        folder = self._folder
        return TlsFiles(folder / "ca.crt", folder / f"{name}.crt", folder / f"{name}.key")


_SERVER = ExtendedKeyUsageOID.SERVER_AUTH
_CLIENT = ExtendedKeyUsageOID.CLIENT_AUTH


def public_key(raw: bytes) -> ec.EllipticCurvePublicKey:
    """Reads a public key as SPEC 1.4 writes it: 64 bytes. Raises PublicKeyError."""
    if len(raw) != 64:
        raise PublicKeyError("a public key has 64 bytes")
    try:
        return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), b"\x04" + raw)
    except ValueError as error:
        raise PublicKeyError("not a point of P-256") from error


def _make(folder: Path) -> None:
    """Builds the whole folder beside its place and moves it there: it is never half made."""
    folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    for left_over in folder.parent.glob(f".{folder.name}.*"):
        shutil.rmtree(left_over, ignore_errors=True)
    building = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}")
    building.mkdir(mode=0o700)
    try:
        _fill(building)
        sync_folder(building)
        building.rename(folder)
    except OSError as error:
        raise AuthorityError(f"the certificate authority cannot be written: {error}") from error
    finally:
        shutil.rmtree(building, ignore_errors=True)
    sync_folder(folder.parent)


def _fill(folder: Path) -> None:
    ca_key = ec.generate_private_key(ec.SECP256R1())
    ca = _self_signed(ca_key)
    _write(folder, "ca", ca_key, ca)
    for name, common_name, alternative, usage in (
        ("server", SERVER_NAME, x509.DNSName(SERVER_NAME), _SERVER),
        ("agent", AGENT_NAME, x509.UniformResourceIdentifier(spiffe_agent(AGENT_NAME)), _CLIENT),
    ):
        key = ec.generate_private_key(ec.SECP256R1())
        names = x509.SubjectAlternativeName([alternative])
        _write(folder, name, key, _sign(common_name, key.public_key(), names, usage, ca_key, ca))
    _write_key(folder / "command.key", ec.generate_private_key(ec.SECP256R1()))


def _builder(common_name: str, issuer: x509.Name, key: ec.EllipticCurvePublicKey) -> _Builder:
    return (
        x509.CertificateBuilder()
        .subject_name(_name(common_name))
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOT_BEFORE)
        .not_valid_after(NOT_AFTER)
    )


_Builder = x509.CertificateBuilder


def _self_signed(key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    public = key.public_key()
    # A random part in the name, so that two deployments' authorities are never taken for one.
    name = f"Tare authority {secrets.token_hex(4)}"
    return (
        _builder(name, _name(name), public)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(authority=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .sign(key, hashes.SHA256())
    )


def _sign(  # noqa: PLR0917 - the six parts of a certificate
    common_name: str,
    public: ec.EllipticCurvePublicKey,
    alternative: x509.SubjectAlternativeName,
    usage: x509.ObjectIdentifier,
    ca_key: ec.EllipticCurvePrivateKey,
    ca: x509.Certificate,
) -> x509.Certificate:
    ca_key_id = x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key())
    return (
        _builder(common_name, ca.subject, public)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(authority=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        .add_extension(alternative, critical=False)
        .add_extension(ca_key_id, critical=False)
        .sign(ca_key, hashes.SHA256())
    )


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _key_usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not authority,
        key_cert_sign=authority,
        crl_sign=authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _write(
    folder: Path, name: str, key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate
) -> None:
    _write_key(folder / f"{name}.key", key)
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    write_private(folder / f"{name}.crt", pem, replace=False)


def _write_key(path: Path, key: ec.EllipticCurvePrivateKey) -> None:
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    write_private(path, pem, replace=False)


def _check_file(path: Path) -> None:
    try:
        mode = path.stat().st_mode
    except OSError as error:
        raise AuthorityError(f"{path.name} of the certificate authority is missing") from error
    if mode & 0o077:
        raise AuthorityError(f"{path} can be read by others: run chmod 600 on it")


def _read_key(path: Path) -> ec.EllipticCurvePrivateKey:
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    except (OSError, ValueError, TypeError) as error:
        raise AuthorityError(f"{path.name} of the certificate authority is unreadable") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise AuthorityError(f"{path.name} of the certificate authority is no P-256 key")
    return key


def _read_ca(folder: Path) -> x509.Certificate:
    """Reads the authority's certificate; makes sure that key and other certificates are its own."""
    try:
        ca, *others = (
            x509.load_pem_x509_certificate((folder / f"{name}.crt").read_bytes()) for name in _NAMES
        )
        for certificate in (ca, *others):
            certificate.verify_directly_issued_by(ca)
    except (OSError, ValueError, TypeError, InvalidSignature) as error:
        raise AuthorityError("the certificate authority's files do not fit together") from error
    if ca.public_key() != _read_key(folder / "ca.key").public_key():
        raise AuthorityError("ca.key does not belong to ca.crt")
    return ca
