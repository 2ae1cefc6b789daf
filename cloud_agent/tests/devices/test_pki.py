"""The authority: what it issues, how it is kept, and that damage is never papered over."""

from __future__ import annotations

import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from cloud_agent.broker.rules import SERVER_NAME
from cloud_agent.devices.errors import AuthorityError, PublicKeyError
from cloud_agent.devices.pki import Authority

ID = "0123456789abcdef"


def _tls_key() -> bytes:
    key = ec.generate_private_key(ec.SECP256R1()).public_key()
    return key.public_bytes(
        serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
    )[1:]


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority.open(tmp_path / "ca")


def _ca(authority: Authority) -> x509.Certificate:
    return x509.load_der_x509_certificate(authority.certificate_der)


def test_device_certificate_names_the_device_everywhere(authority: Authority) -> None:
    raw = _tls_key()
    certificate = x509.load_der_x509_certificate(authority.issue_device(ID, raw))
    certificate.verify_directly_issued_by(_ca(authority))
    (name,) = certificate.subject
    assert (name.oid, name.value) == (NameOID.COMMON_NAME, ID)
    alternative = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    assert list(alternative.value) == [x509.UniformResourceIdentifier(f"spiffe://tare/device/{ID}")]
    usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage)
    assert list(usage.value) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    basic = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
    assert not basic.value.ca
    key = certificate.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    assert (
        key.public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)
        == b"\x04" + raw
    )


def test_server_certificate_names_one_server_and_no_address(authority: Authority) -> None:
    certificate = x509.load_pem_x509_certificate(authority.server_files.certificate.read_bytes())
    alternative = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    assert list(alternative.value) == [x509.DNSName(SERVER_NAME)]


def test_every_certificate_begins_before_any_firmware_build(authority: Authority) -> None:
    certificates = [
        _ca(authority),
        x509.load_pem_x509_certificate(authority.server_files.certificate.read_bytes()),
        x509.load_pem_x509_certificate(authority.agent_files.certificate.read_bytes()),
        x509.load_der_x509_certificate(authority.issue_device(ID, _tls_key())),
    ]
    for certificate in certificates:
        assert certificate.not_valid_before_utc == datetime(2025, 1, 1, tzinfo=UTC)
        assert certificate.not_valid_after_utc.year == 2049


def test_authority_is_made_once(tmp_path: Path, authority: Authority) -> None:
    again = Authority.open(tmp_path / "ca")
    assert again.certificate_der == authority.certificate_der
    assert again.command_key.private_numbers() == authority.command_key.private_numbers()


def test_files_are_private(tmp_path: Path, authority: Authority) -> None:
    files = list((tmp_path / "ca").iterdir())
    assert len(files) == 7
    for path in files:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "ca").stat().st_mode) == 0o700
    assert {path.name for path in tmp_path.iterdir()} == {"ca"}  # nothing half made is left


def test_an_empty_folder_is_filled(tmp_path: Path) -> None:
    (tmp_path / "ca").mkdir()
    Authority.open(tmp_path / "ca")
    assert (tmp_path / "ca" / "ca.key").exists()


@pytest.mark.parametrize(
    "name", ["ca.key", "ca.crt", "server.key", "server.crt", "agent.crt", "command.key"]
)
def test_a_missing_file_is_never_replaced(tmp_path: Path, authority: Authority, name: str) -> None:
    (tmp_path / "ca" / name).unlink()
    with pytest.raises(AuthorityError, match="missing"):
        Authority.open(tmp_path / "ca")


def test_a_key_that_others_can_read_is_refused(tmp_path: Path, authority: Authority) -> None:
    (tmp_path / "ca" / "ca.key").chmod(0o640)
    with pytest.raises(AuthorityError, match="read by others"):
        Authority.open(tmp_path / "ca")


@pytest.mark.parametrize("name", ["ca.key", "ca.crt", "server.crt", "command.key"])
def test_damage_is_an_error(tmp_path: Path, authority: Authority, name: str) -> None:
    (tmp_path / "ca" / name).write_bytes(b"damaged")
    with pytest.raises(AuthorityError):
        Authority.open(tmp_path / "ca")


@pytest.mark.parametrize("name", ["ca.key", "ca.crt", "agent.crt"])
def test_files_of_another_authority_do_not_fit(
    tmp_path: Path, authority: Authority, name: str
) -> None:
    Authority.open(tmp_path / "other")
    (tmp_path / "other" / name).replace(tmp_path / "ca" / name)
    with pytest.raises(AuthorityError):
        Authority.open(tmp_path / "ca")


@pytest.mark.parametrize("raw", [b"", bytes(64), bytes(63), b"\xff" * 64, bytes(65)])
def test_no_certificate_for_what_is_no_point(authority: Authority, raw: bytes) -> None:
    with pytest.raises(PublicKeyError):
        authority.issue_device(ID, raw)
