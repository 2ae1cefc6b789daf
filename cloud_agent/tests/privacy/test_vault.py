"""What the vault seals opens in one place only, and never again once the keys are destroyed."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud_agent.config import DataFolder
from cloud_agent.errors import (
    CiphertextError,
    KeyEncryptionKeyError,
    KeyGoneError,
    SchemaVersionError,
    StorageError,
)
from cloud_agent.privacy.scan import files_below
from cloud_agent.privacy.vault import Purpose, Vault
from protocol import cbor

OWNER = bytes(range(16))
OTHER = bytes(range(16, 32))
ROW = b"r" * 16


@contextmanager
def open_vault(root: Path) -> Iterator[Vault]:
    folder = DataFolder(root)
    folder.create()
    vault = Vault.open(folder)
    try:
        yield vault
    finally:
        vault.close()


@pytest.fixture(scope="module")
def shared() -> Iterator[Vault]:
    root = Path(tempfile.mkdtemp())
    with open_vault(root) as vault:
        vault.create_owner(OWNER, list(Purpose))
        vault.create_owner(OTHER, list(Purpose))
        yield vault
    shutil.rmtree(root)


@given(plaintext=st.binary(max_size=2000), purpose=st.sampled_from(Purpose))
def test_sealed_opens_again(shared: Vault, plaintext: bytes, purpose: Purpose) -> None:
    sealed = shared.encrypt(OWNER, purpose, "reading", ROW, plaintext)
    assert shared.decrypt(OWNER, purpose, "reading", ROW, sealed) == plaintext
    assert sealed[:1] == b"\x01"
    assert len(sealed) == 1 + 8 + 12 + len(plaintext) + 16  # SPEC 16.2


@given(plaintext=st.binary(max_size=64), data=st.data())
def test_any_changed_byte_is_refused(shared: Vault, plaintext: bytes, data: st.DataObject) -> None:
    sealed = bytearray(shared.encrypt(OWNER, Purpose.HEALTH, "reading", ROW, plaintext))
    place = data.draw(st.integers(0, len(sealed) - 1))
    sealed[place] ^= data.draw(st.integers(1, 255))
    with pytest.raises(CiphertextError):
        shared.decrypt(OWNER, Purpose.HEALTH, "reading", ROW, bytes(sealed))


@given(st.binary(max_size=80))
def test_random_bytes_are_refused(shared: Vault, junk: bytes) -> None:
    with pytest.raises(CiphertextError):
        shared.decrypt(OWNER, Purpose.HEALTH, "reading", ROW, junk)


@pytest.mark.parametrize(
    ("owner", "purpose", "table", "row"),
    [
        (OTHER, Purpose.HEALTH, "reading", ROW),
        (OWNER, Purpose.IDENTITY, "reading", ROW),
        (OWNER, Purpose.HEALTH, "frame", ROW),
        (OWNER, Purpose.HEALTH, "reading", b"s" * 16),
    ],
)
def test_a_ciphertext_cannot_be_moved(
    shared: Vault, owner: bytes, purpose: Purpose, table: str, row: bytes
) -> None:
    sealed = shared.encrypt(OWNER, Purpose.HEALTH, "reading", ROW, b"72.5 kg")
    with pytest.raises(CiphertextError):
        shared.decrypt(owner, purpose, table, row, sealed)


def test_equal_plaintexts_are_sealed_differently(shared: Vault) -> None:
    sealed = {shared.encrypt(OWNER, Purpose.HEALTH, "reading", ROW, b"same") for _ in range(100)}
    assert len(sealed) == 100


def test_digests_are_of_owner_and_content(shared: Vault) -> None:
    one = shared.digest(OWNER, b"72500")
    assert shared.digest(OWNER, b"72500") == one
    assert len({one, shared.digest(OTHER, b"72500"), shared.digest(OWNER, b"72501")}) == 3


def test_destroyed_keys_open_nothing_and_leave_no_byte(tmp_path: Path) -> None:
    with open_vault(tmp_path) as vault:
        owners = [bytes([number]) * 16 for number in range(1, 60)]
        for owner in owners:
            vault.create_owner(owner, list(Purpose))
        wrapped = {owner: [k.wrapped for k in vault.store.keys_of(owner)] for owner in owners}
        gone, kept = owners[::2], owners[1::2]
        sealed = {o: vault.encrypt(o, Purpose.HEALTH, "reading", ROW, b"x") for o in owners}
        raw = files(tmp_path)
        for owner in owners:
            assert all(key in raw for key in wrapped[owner]), "the scan sees what is there"

        vault.destroy(gone)

        raw = files(tmp_path)
        for owner in gone:
            assert not any(key in raw for key in wrapped[owner])
            assert owner not in raw
            with pytest.raises(KeyGoneError):
                vault.decrypt(owner, Purpose.HEALTH, "reading", ROW, sealed[owner])
            with pytest.raises(KeyGoneError):
                vault.digest(owner, b"x")
        for owner in kept:
            assert vault.decrypt(owner, Purpose.HEALTH, "reading", ROW, sealed[owner]) == b"x"


def files(root: Path) -> bytes:
    return b"\0".join(path.read_bytes() for path in files_below(root))


def test_keys_survive_a_restart_and_plain_keys_are_never_on_disk(tmp_path: Path) -> None:
    with open_vault(tmp_path) as vault:
        vault.create_owner(OWNER, [Purpose.HEALTH])
        sealed = vault.encrypt(OWNER, Purpose.HEALTH, "reading", ROW, b"canary of 8 stone 7")
        assert b"canary" not in files(tmp_path)
    with open_vault(tmp_path) as vault:
        opened = vault.decrypt(OWNER, Purpose.HEALTH, "reading", ROW, sealed)
        assert opened == b"canary of 8 stone 7"


def test_an_owner_gets_keys_once(tmp_path: Path) -> None:
    with open_vault(tmp_path) as vault:
        vault.create_owner(OWNER, [Purpose.HEALTH])
        with pytest.raises(StorageError):
            vault.create_owner(OWNER, [Purpose.HEALTH])
        with pytest.raises(KeyGoneError):
            vault.encrypt(OWNER, Purpose.HOLD, "reading", ROW, b"")


def test_a_secret_of_no_owner_is_bound_to_its_row(shared: Vault) -> None:
    wrapped = shared.wrap("device", "a" * 16, b"k" * 32)
    assert b"k" * 8 not in wrapped
    assert shared.unwrap("device", "a" * 16, wrapped) == b"k" * 32
    with pytest.raises(CiphertextError):
        shared.unwrap("device", "b" * 16, wrapped)
    with pytest.raises(CiphertextError):
        shared.unwrap("other", "a" * 16, wrapped)


def test_the_additional_data_is_that_of_the_specification(shared: Vault) -> None:
    # Another program, with the key, opens it by SPEC 16.2 alone.
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    sealed = shared.encrypt(OWNER, Purpose.HEALTH, "reading", ROW, b"72.5")
    key = shared._key(OWNER, Purpose.HEALTH)  # the plain key has no public door
    assert sealed[1:9] == key.id
    aad = cbor.encode(["reading", ROW, OWNER])
    assert AESGCM(key.key).decrypt(sealed[9:21], sealed[21:], aad) == b"72.5"


class TestKeyEncryptionKey:
    def test_is_private_and_made_once(self, tmp_path: Path) -> None:
        with open_vault(tmp_path):
            first = (tmp_path / "kek.key").read_bytes()
        with open_vault(tmp_path):
            pass
        assert (tmp_path / "kek.key").read_bytes() == first
        assert (tmp_path / "kek.key").stat().st_mode & 0o777 == 0o600

    def test_a_lost_one_is_not_replaced_silently(self, tmp_path: Path) -> None:
        with open_vault(tmp_path):
            pass
        (tmp_path / "kek.key").unlink()
        with pytest.raises(KeyEncryptionKeyError, match="missing"), open_vault(tmp_path):
            pass
        assert not (tmp_path / "kek.key").exists()

    def test_another_one_is_refused(self, tmp_path: Path) -> None:
        for name in ("a", "b"):
            with open_vault(tmp_path / name):
                pass
        shutil.copy(tmp_path / "a" / "kek.key", tmp_path / "b" / "kek.key")
        with pytest.raises(KeyEncryptionKeyError, match="not the one"), open_vault(tmp_path / "b"):
            pass

    def test_one_that_others_can_read_is_refused(self, tmp_path: Path) -> None:
        with open_vault(tmp_path):
            pass
        (tmp_path / "kek.key").chmod(0o640)
        with pytest.raises(KeyEncryptionKeyError, match="chmod"), open_vault(tmp_path):
            pass

    @pytest.mark.parametrize("content", [b"", b"tare key-encryption key 1: 00ff\n", b"\xff" * 90])
    def test_a_damaged_one_is_refused(self, tmp_path: Path, content: bytes) -> None:
        with open_vault(tmp_path):
            pass
        (tmp_path / "kek.key").write_bytes(content)
        with pytest.raises(KeyEncryptionKeyError, match="damaged"), open_vault(tmp_path):
            pass

    def test_keys_of_another_version_are_refused(self, tmp_path: Path) -> None:
        import sqlite3

        with open_vault(tmp_path):
            pass
        with sqlite3.connect(tmp_path / "keys.db") as direct:
            direct.execute("UPDATE schema_version SET version = 7")
        direct.close()
        with pytest.raises(SchemaVersionError), open_vault(tmp_path):
            pass
