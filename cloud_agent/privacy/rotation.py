"""A new key-encryption key takes the place of the old one: everything under it is wrapped anew.

    rotate(folder)   # while no server runs; the sheet of before opens nothing of today any more

Order, each step durable and harmless to repeat after a cut; every start goes on with it:
1. the new key lies beside the old one;
2. the few secrets of the main database, in one transaction;
3. all keys, the lookup values of addresses and the check of the key database, in one;
4. the new key takes the name of the old one.
Keys of backups that were made before are under the old key: these need its sheet, and end
within a week.
"""

from __future__ import annotations

import logging
import secrets
from typing import Final

import sqlalchemy as sa

from cloud_agent.accounts import accounts
from cloud_agent.config import DataFolder, FolderLock
from cloud_agent.errors import CiphertextError, KeyEncryptionKeyError, UsageError
from cloud_agent.files import sync_folder
from cloud_agent.privacy import kek, sealing
from cloud_agent.privacy.keystore import SqliteKeyStore
from cloud_agent.privacy.vault import Vault
from cloud_agent.storage import Database, schema

_log = logging.getLogger(__name__)

#: What lies in the main database under the key-encryption key itself, and by which key column
#: its row is told apart. The label of each is its table and column.
WRAPPED: Final = (
    (schema.device.c.mac_key, schema.device.c.id),
    (schema.mac_renewal.c.private_key, schema.mac_renewal.c.device),
)


def rotate(folder: DataFolder) -> None:
    """Makes a new key and wraps everything by it. Blocks. Raises `BusyError` while a server
    runs, `UsageError` where there is no installation, `KeyEncryptionKeyError`.
    """
    if not folder.kek.exists():
        raise UsageError(f"there is no installation in {folder.root}")
    lock = FolderLock(folder)
    try:
        finish(folder)  # one that was cut before
        kek.write(folder.next_kek, secrets.token_bytes(sealing.KEY_SIZE))
        finish(folder)
    finally:
        lock.release()


def finish(folder: DataFolder) -> None:
    """At the start: goes on with a rotation that was cut. Raises `KeyEncryptionKeyError`."""
    if not folder.next_kek.exists():
        return
    new = kek.read(folder.next_kek)
    store = SqliteKeyStore(folder.keys)
    try:
        if not _is_of(store, new):
            _wrap_anew(folder, store, kek.read(folder.kek), new)
    finally:
        store.close()
    folder.next_kek.replace(folder.kek)
    sync_folder(folder.root)
    _log.warning("the key-encryption key is a new one: print its recovery sheet")


def _is_of(store: SqliteKeyStore, key: bytes) -> bool:
    """Whether the key database is wrapped by this key."""
    check = store.kek_check()
    return check is not None and Vault.opens(key, check)


def _wrap_anew(folder: DataFolder, store: SqliteKeyStore, old: bytes, new: bytes) -> None:
    if not _is_of(store, old):
        raise KeyEncryptionKeyError(
            "the key-encryption key is not the one that this key database was made with"
        )
    before, after = Vault(store, old), Vault(store, new, is_next=True)
    database = Database(folder.database)
    try:
        accounts.finish_openings(database, before)
        database.writer.call(lambda connection: _wrap_secrets(connection, before, after))
        database.compact()
        with database.reading() as connection:
            account = schema.account
            columns = (account.c.id, account.c.subject, account.c.contact)
            rows = connection.execute(sa.select(*columns)).all()
        hmacs = {}
        for row in rows:
            contact = accounts.open_contact(before, row.id, row.subject, row.contact)
            hmacs[row.subject] = after.email_hmac(contact.email)
        store.wrap_anew(lambda key: after.wrap_key_of(before, key), hmacs, after.check())
    finally:
        database.close()


def _wrap_secrets(connection: sa.Connection, before: Vault, after: Vault) -> None:
    for column, name in WRAPPED:
        label = f"{column.table.name}.{column.name}"
        key = list(column.table.primary_key)
        rows = connection.execute(sa.select(*key, name.label("row"), column.label("sealed"))).all()
        for row in rows:
            if row.sealed is None or _opens(after, label, row.row, row.sealed):
                continue  # none, or done before a cut
            secret = before.unwrap(label, row.row, row.sealed)
            where = [each == getattr(row, each.name) for each in key]
            new = {column.name: after.wrap(label, row.row, secret)}
            connection.execute(sa.update(column.table).where(*where).values(new))


def _opens(vault: Vault, label: str, row: bytes | str, sealed: bytes) -> bool:
    try:
        vault.unwrap(label, row, sealed)
    except CiphertextError:
        return False
    return True
