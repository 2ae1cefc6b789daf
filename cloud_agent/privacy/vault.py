"""The vault: one random key per owner and purpose; everything personal is sealed under one.

Destroying an owner's keys makes every copy of what they sealed unreadable, backups included.
Plain keys exist only in this process's memory. Use from any thread:

    vault.create_owner(subject, (Purpose.HEALTH, Purpose.IDENTITY))
    sealed = vault.encrypt(subject, Purpose.HEALTH, "reading", row_id, b"...")
    vault.decrypt(subject, Purpose.HEALTH, "reading", row_id, sealed)
    vault.destroy((subject,))  # from now on KeyGoneError
"""

from __future__ import annotations

import hmac
import secrets
import threading
from collections.abc import Collection, Iterable
from enum import StrEnum
from pathlib import Path
from typing import Final, NamedTuple, Self

from cloud_agent.config import DataFolder
from cloud_agent.errors import CiphertextError, KeyEncryptionKeyError, KeyGoneError
from cloud_agent.privacy import kek, sealing
from cloud_agent.privacy.keystore import KeyStore, SqliteKeyStore, WrappedKey
from protocol import cbor

OWNER_ID_SIZE: Final = 16

# Bounds memory, not speed: an owner's keys are read again when they are needed again.
_CACHED_OWNERS: Final = 4_096
_KEK_CHECK_TEXT: Final = b"tare key-encryption key"
_KEK_CHECK_CONTEXT: Final = cbor.encode(["schema_version", b"", b""])


class Purpose(StrEnum):
    """What a key is for (SPEC 16.1)."""

    HEALTH = "health"
    IDENTITY = "identity"
    HOLD = "hold"


class _Key(NamedTuple):
    id: bytes
    key: bytes
    digest_key: bytes


class Vault:
    """Seals and opens for owners; wraps the few secrets that belong to no owner."""

    def __init__(
        self, store: KeyStore, key_encryption_key: bytes, *, is_next: bool = False
    ) -> None:
        """`is_next`: the key takes the place of another, and the store is not under it yet.

        Raises `KeyEncryptionKeyError` when the store was made under another key.
        """
        self.store: Final = store
        self._kek = key_encryption_key
        self._email_key = sealing.derive(key_encryption_key, "tare/1/email-lookup")
        self._opened: dict[bytes, dict[Purpose, _Key]] = {}
        # Reading keys and destroying them exclude each other: a late reader must not put a
        # destroyed key back into the cache.
        self._lock = threading.RLock()
        if not is_next:
            self._check_kek()

    @classmethod
    def open(cls, folder: DataFolder) -> Self:
        """The vault of a data folder; a new folder gets its key-encryption key here."""
        fresh = not _has_content(folder.keys)
        key = kek.load_or_create(folder.kek, may_create=fresh)
        return cls(SqliteKeyStore(folder.keys), key)

    @staticmethod
    def opens(key_encryption_key: bytes, check: bytes) -> bool:
        """Whether the check of a key database was made under this key."""
        try:
            sealing.open_sealed(key_encryption_key, sealing.KEK_ID, check, _KEK_CHECK_CONTEXT)
        except CiphertextError:
            return False
        return True

    def check(self) -> bytes:
        """The check of a key database under this key."""
        return sealing.seal(self._kek, sealing.KEK_ID, _KEK_CHECK_TEXT, _KEK_CHECK_CONTEXT)

    def wrap_key_of(self, other: Vault, stored: WrappedKey) -> bytes:
        """A key that `other` has wrapped, wrapped by this one. Raises `CiphertextError`."""
        context = _key_context(stored.owner, stored.purpose, stored.id)
        key = sealing.open_sealed(other._kek, sealing.KEK_ID, stored.wrapped, context)
        return sealing.seal(self._kek, sealing.KEK_ID, key, context)

    def create_owner(self, owner: bytes, purposes: Collection[Purpose]) -> None:
        """Makes the owner's keys; durable on return. `StorageError` when it has some."""
        keys = [
            self._wrap_key(owner, purpose, secrets.token_bytes(sealing.KEY_SIZE))
            for purpose in purposes
        ]
        self.store.add_keys(keys)

    def destroy(self, owners: Iterable[bytes]) -> None:
        """Destroys all keys and credentials of the owners; durable on return."""
        gone = list(owners)
        with self._lock:
            for owner in gone:
                self._opened.pop(owner, None)
            self.store.destroy(gone)

    def key_id(self, owner: bytes, purpose: Purpose) -> bytes:
        """The id of the owner's key of today. Raises `KeyGoneError`."""
        return self._key(owner, purpose).id

    def replace(self, owner: bytes, purpose: Purpose, old_id: bytes) -> bool:
        """A new key in the place of the key `old_id`, which is destroyed: what it sealed cannot
        be read any more, what comes can be kept. False when that key is gone already.
        """
        new = self._wrap_key(owner, purpose, secrets.token_bytes(sealing.KEY_SIZE))
        with self._lock:
            self._opened.pop(owner, None)
            return self.store.replace_key(old_id, new)

    def encrypt(
        self, owner: bytes, purpose: Purpose, table: str, row: bytes | str, plaintext: bytes
    ) -> bytes:
        """Seals for one row of one table (SPEC 16.2). Raises `KeyGoneError`."""
        key = self._key(owner, purpose)
        return sealing.seal(key.key, key.id, plaintext, cbor.encode([table, row, owner]))

    def decrypt(
        self, owner: bytes, purpose: Purpose, table: str, row: bytes | str, sealed: bytes
    ) -> bytes:
        """Opens what `encrypt` sealed for this very place.

        Raises `KeyGoneError`, and `CiphertextError` for anything else than the same bytes in
        the same table, row and owner.
        """
        key = self._key(owner, purpose)
        return sealing.open_sealed(key.key, key.id, sealed, cbor.encode([table, row, owner]))

    def digest(self, owner: bytes, content: bytes) -> bytes:
        """A 32-byte digest that only the owner's health key can make again (SPEC 8.5).

        It dies with the key: a plain hash of a weight could be guessed. Raises `KeyGoneError`.
        """
        return hmac.digest(self._key(owner, Purpose.HEALTH).digest_key, content, "sha256")

    def email_hmac(self, normalised: str) -> bytes:
        """The lookup value of a normalised address: useless without the key-encryption key."""
        return hmac.digest(self._email_key, normalised.encode(), "sha256")

    def wrap(self, label: str, row: bytes | str, secret: bytes) -> bytes:
        """Seals a secret of no owner (a device's MAC key) under the key-encryption key."""
        return sealing.seal(self._kek, sealing.KEK_ID, secret, cbor.encode([label, row, b""]))

    def unwrap(self, label: str, row: bytes | str, wrapped: bytes) -> bytes:
        """Opens what `wrap` sealed for this label and row. Raises `CiphertextError`."""
        context = cbor.encode([label, row, b""])
        return sealing.open_sealed(self._kek, sealing.KEK_ID, wrapped, context)

    def close(self) -> None:
        """Forgets the plain keys and closes the store."""
        with self._lock:
            self._opened.clear()
        self.store.close()

    def _key(self, owner: bytes, purpose: Purpose) -> _Key:
        with self._lock:
            keys = self._opened.get(owner)
            if keys is None:
                keys = {Purpose(k.purpose): self._unwrap_key(k) for k in self.store.keys_of(owner)}
                if len(self._opened) >= _CACHED_OWNERS:
                    self._opened.clear()
                if keys:
                    self._opened[owner] = keys
        try:
            return keys[purpose]
        except KeyError:
            raise KeyGoneError("this owner has no such key (any more)") from None

    def _wrap_key(self, owner: bytes, purpose: Purpose, key: bytes) -> WrappedKey:
        key_id = secrets.token_bytes(sealing.KEY_ID_SIZE)
        context = _key_context(owner, purpose, key_id)
        wrapped = sealing.seal(self._kek, sealing.KEK_ID, key, context)
        return WrappedKey(key_id, owner, purpose.value, wrapped)

    def _unwrap_key(self, stored: WrappedKey) -> _Key:
        context = _key_context(stored.owner, stored.purpose, stored.id)
        key = sealing.open_sealed(self._kek, sealing.KEK_ID, stored.wrapped, context)
        return _Key(stored.id, key, sealing.derive(key, "tare/1/content-digest"))

    def _check_kek(self) -> None:
        check = self.store.kek_check()
        if check is None:
            self.store.set_kek_check(self.check())
        elif not self.opens(self._kek, check):
            self.store.close()
            raise KeyEncryptionKeyError(
                "the key-encryption key is not the one that this key database was made with"
            )


def _key_context(owner: bytes, purpose: str, key_id: bytes) -> bytes:
    return cbor.encode(["owner_key", owner, str(purpose), key_id])


def _has_content(path: Path) -> bool:
    return path.exists() and path.stat().st_size > 0
