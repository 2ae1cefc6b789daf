"""The one error tree of the cloud agent.

Each error is a sentence that the person at the keyboard or the log can use; it never holds
a secret, an address or a reading. `exit_code` goes to the shell, `kind` over the control
socket, where the client makes the same error from it again.
"""

from __future__ import annotations

from typing import ClassVar


class TareError(Exception):
    """Root: the operation failed (exit code 1)."""

    kind: ClassVar[str] = "failed"
    exit_code: ClassVar[int] = 1


class UsageError(TareError):
    """The caller asked for something that makes no sense as written (exit code 2)."""

    kind = "usage"
    exit_code = 2


class RefusedError(TareError):
    """Understood, and not allowed: wrong password, terms not accepted, taken (exit code 3)."""

    kind = "refused"
    exit_code = 3


class NotFoundError(RefusedError):
    """The thing named does not exist here (exit code 3)."""

    kind = "not-found"


class BusyError(TareError):
    """The data folder is in use, or the server does not answer (exit code 4)."""

    kind = "busy"
    exit_code = 4


class StorageError(TareError):
    """A store could not be opened, read or written durably."""

    kind = "storage"


class SchemaVersionError(StorageError):
    """The store was made by another version of Tare."""

    kind = "schema-version"


class VaultError(TareError):
    """A key or ciphertext cannot be used."""

    kind = "vault"


class KeyEncryptionKeyError(VaultError):
    """The key-encryption key is missing, damaged, readable by others, or not the right one."""

    kind = "kek"


class KeyGoneError(VaultError):
    """The owner has no such key: it was destroyed, or never made."""

    kind = "key-gone"


class CiphertextError(VaultError):
    """A ciphertext is damaged, of another version, or was moved to another row or owner."""

    kind = "ciphertext"


class LedgerError(TareError):
    """The ledger is damaged or was changed: nothing may run on it."""

    kind = "ledger"


def from_os(error: OSError) -> StorageError:
    """A fault of a file in words: the folder is read-only, the disk is full."""
    where = f"{error.filename}: " if error.filename is not None else ""
    return StorageError(f"{where}{error.strerror or type(error).__name__}")


def _tree(root: type[TareError]) -> dict[str, type[TareError]]:
    found = {root.kind: root}
    for child in root.__subclasses__():
        found |= _tree(child)
    return found


def from_kind(kind: str, message: str) -> TareError:
    """Makes the error that the server reported; an unknown kind becomes the root."""
    return _tree(TareError).get(kind, TareError)(message)
