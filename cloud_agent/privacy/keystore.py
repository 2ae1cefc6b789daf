"""Where wrapped keys and credentials live: the interface, and the key database in SQLite.

The store knows neither plain keys nor addresses, only what the vault gives it: wrapped bytes
and keyed digests. Every change is durable when its method returns. A rollback journal, not a
write-ahead log: the log keeps what was destroyed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

import sqlalchemy as sa

from cloud_agent.errors import KeyEncryptionKeyError, RefusedError, StorageError
from cloud_agent.storage import keys_schema
from cloud_agent.storage.annotations import Delete
from cloud_agent.storage.database import check_version
from cloud_agent.storage.engine import open_writer
from cloud_agent.storage.keys_schema import (
    credential,
    operator,
    owner_key,
    schema_version,
    token,
)
from cloud_agent.storage.writer import Writer


@dataclass(frozen=True, slots=True)
class WrappedKey:
    """One key of one owner, unreadable without the key-encryption key."""

    id: bytes
    owner: bytes
    purpose: str
    wrapped: bytes


@dataclass(frozen=True, slots=True)
class Credential:
    """How a subject proves who they are. `confirmed`: the account's rows are durable."""

    subject: bytes
    email_hmac: bytes
    password_hash: str
    confirmed: bool


@dataclass(frozen=True, slots=True)
class Token:
    """What is kept of a random text that was handed out: its hash, whose it is, what it is for."""

    hash: bytes
    kind: str
    subject: bytes
    bound: bytes
    made_s: int
    until_s: int


@dataclass(frozen=True, slots=True)
class Operator:
    """Somebody who runs the service."""

    name: str
    role: str
    password_hash: str


class KeyStore(Protocol):
    """What the vault needs of a store of keys."""

    def kek_check(self) -> bytes | None:
        """The known text under the key-encryption key; None in a new store."""

    def set_kek_check(self, check: bytes) -> None:
        """Keeps it, once."""

    def add_keys(self, keys: Sequence[WrappedKey]) -> None:
        """Adds keys; `StorageError` when an owner has one for that purpose."""

    def keys_of(self, owner: bytes) -> list[WrappedKey]:
        """All keys of an owner."""

    def replace_key(self, old_id: bytes, new: WrappedKey) -> bool:
        """Destroys the key `old_id` and every trace of it, and puts `new` in its place; False,
        and nothing happens, when it is gone already.
        """

    def owners(self) -> set[bytes]:
        """Every owner that has a key or a credential."""

    def destroy(self, owners: Iterable[bytes]) -> None:
        """Destroys keys and credentials of the owners, and every trace in the store's files."""

    def add_credential(self, new: Credential) -> None:
        """Adds a credential; `RefusedError` when the address has an account."""

    def confirm_credential(self, subject: bytes) -> None:
        """Marks that the account's rows are durable."""

    def credential_by_email(self, email_hmac: bytes) -> Credential | None:
        """The credential of an address."""

    def credential_of(self, subject: bytes) -> Credential | None:
        """The credential of a subject."""

    def set_password_hash(self, subject: bytes, password_hash: str) -> None:
        """Replaces the hash (newer parameters, or a new password)."""

    def set_email_hmac(self, subject: bytes, email_hmac: bytes) -> None:
        """Replaces the address; `RefusedError` when it has another account."""

    def unconfirmed(self) -> list[bytes]:
        """Subjects whose account was being made when the process ended."""

    def add_token(self, new: Token) -> bool:
        """Adds one; False, and nothing, for a subject who has no credential (any more)."""

    def token(self, token_hash: bytes) -> Token | None:
        """The token of a hash."""

    def tokens_of(self, subject: bytes) -> list[Token]:
        """All tokens of a subject, oldest first."""

    def remove_token(self, token_hash: bytes) -> bool:
        """Removes one; False when it was not there (any more): of two who try, one is told so."""

    def remove_tokens(self, subject: bytes) -> None:
        """Removes all tokens of a subject."""

    def remove_tokens_until(self, now_s: int) -> None:
        """Removes those whose time is over."""

    def wrap_anew(
        self,
        wrap: Callable[[WrappedKey], bytes],
        email_hmacs: Mapping[bytes, bytes],
        check: bytes,
    ) -> None:
        """Every key as `wrap` returns it, lookup values by subject, and the new check, in one
        transaction.
        """

    def add_operator(self, new: Operator) -> None:
        """Adds one; `RefusedError` when the name is taken."""

    def operator(self, name: str) -> Operator | None:
        """The operator of a name."""

    def operators(self) -> list[Operator]:
        """All, by name."""

    def remove_operator(self, name: str) -> bool:
        """Removes one; False when there is none."""

    def copy_to(self, path: Path) -> None:
        """Writes a copy of today, without a trace of what was destroyed."""

    def close(self) -> None:
        """Ends the store."""


class SqliteKeyStore:
    """The `KeyStore` in `keys.db`."""

    def __init__(self, path: Path) -> None:
        # EXTRA also syncs the folder after the journal is removed: a cut cannot bring it back.
        engine = open_writer(path, journal="DELETE", synchronous="EXTRA")
        self._writer = Writer(engine, name=path.stem)
        try:
            self._writer.call(_create_or_check)
        except BaseException:
            self._writer.close()
            raise

    def kek_check(self) -> bytes | None:
        """See `KeyStore`."""
        query = sa.select(schema_version.c.kek_check)
        found: bytes = self._writer.call(lambda c: c.execute(query).scalar_one())
        return found or None

    def set_kek_check(self, check: bytes) -> None:
        """See `KeyStore`."""
        if self.kek_check() is not None:
            raise KeyEncryptionKeyError("the key database is bound to its key-encryption key")
        self._execute(schema_version.update().values(kek_check=check))

    def add_keys(self, keys: Sequence[WrappedKey]) -> None:
        """See `KeyStore`."""
        rows = [
            {"id": key.id, "owner": key.owner, "purpose": key.purpose, "wrapped": key.wrapped}
            for key in keys
        ]
        try:
            self._writer.call(lambda c: c.execute(owner_key.insert(), rows))
        except sa.exc.IntegrityError as error:
            raise StorageError("this owner has its keys already") from error

    def keys_of(self, owner: bytes) -> list[WrappedKey]:
        """See `KeyStore`."""
        query = sa.select(owner_key).where(owner_key.c.owner == owner)
        rows = self._writer.call(lambda c: c.execute(query).all())
        return [WrappedKey(row.id, row.owner, row.purpose, row.wrapped) for row in rows]

    def replace_key(self, old_id: bytes, new: WrappedKey) -> bool:
        """See `KeyStore`."""

        def replace(connection: sa.Connection) -> bool:
            gone = connection.execute(owner_key.delete().where(owner_key.c.id == old_id))
            if gone.rowcount:
                connection.execute(owner_key.insert().values(**asdict(new)))
            return bool(gone.rowcount)

        done = self._writer.call(replace)
        self._vacuum()  # also where a cut came between the two
        return done

    def owners(self) -> set[bytes]:
        """See `KeyStore`."""
        query = sa.union(sa.select(owner_key.c.owner), sa.select(credential.c.subject))
        return set(self._writer.call(lambda c: c.execute(query).scalars().all()))

    def destroy(self, owners: Iterable[bytes]) -> None:
        """See `KeyStore`. VACUUM follows, because secure_delete leaves traces in page gaps."""
        gone = list(owners)
        if not gone:
            return

        def delete(connection: sa.Connection) -> None:
            for table in keys_schema.metadata.sorted_tables:
                rule = table.info["erasing"]
                if isinstance(rule, Delete):
                    connection.execute(table.delete().where(table.c[rule.by].in_(gone)))

        self._writer.call(delete)
        self._vacuum()

    def add_credential(self, new: Credential) -> None:
        """See `KeyStore`."""
        statement = credential.insert().values(
            subject=new.subject,
            email_hmac=new.email_hmac,
            password_hash=new.password_hash,
            confirmed=int(new.confirmed),
        )
        try:
            self._execute(statement)
        except sa.exc.IntegrityError as error:
            raise RefusedError("this e-mail address has an account already") from error

    def confirm_credential(self, subject: bytes) -> None:
        """See `KeyStore`."""
        where = credential.c.subject == subject
        self._execute(credential.update().where(where).values(confirmed=1))

    def credential_by_email(self, email_hmac: bytes) -> Credential | None:
        """See `KeyStore`."""
        return self._credential(credential.c.email_hmac == email_hmac)

    def credential_of(self, subject: bytes) -> Credential | None:
        """See `KeyStore`."""
        return self._credential(credential.c.subject == subject)

    def set_password_hash(self, subject: bytes, password_hash: str) -> None:
        """See `KeyStore`."""
        where = credential.c.subject == subject
        self._execute(credential.update().where(where).values(password_hash=password_hash))

    def set_email_hmac(self, subject: bytes, email_hmac: bytes) -> None:
        """See `KeyStore`."""
        statement = credential.update().where(credential.c.subject == subject)
        try:
            self._execute(statement.values(email_hmac=email_hmac))
        except sa.exc.IntegrityError as error:
            raise RefusedError("this e-mail address has an account already") from error

    def unconfirmed(self) -> list[bytes]:
        """See `KeyStore`."""
        query = sa.select(credential.c.subject).where(credential.c.confirmed == 0)
        return list(self._writer.call(lambda c: c.execute(query).scalars().all()))

    def add_token(self, new: Token) -> bool:
        """See `KeyStore`."""
        known = sa.select(sa.exists().where(credential.c.subject == new.subject))

        def add(connection: sa.Connection) -> bool:
            if not connection.execute(known).scalar_one():
                return False
            connection.execute(token.insert().values(**asdict(new)))
            return True

        return self._writer.call(add)

    def token(self, token_hash: bytes) -> Token | None:
        """See `KeyStore`."""
        query = sa.select(token).where(token.c.hash == token_hash)
        row = self._writer.call(lambda c: c.execute(query).one_or_none())
        return None if row is None else Token(*row)

    def tokens_of(self, subject: bytes) -> list[Token]:
        """See `KeyStore`."""
        query = sa.select(token).where(token.c.subject == subject).order_by(token.c.made_s)
        return [Token(*row) for row in self._writer.call(lambda c: c.execute(query).all())]

    def remove_token(self, token_hash: bytes) -> bool:
        """See `KeyStore`."""
        statement = token.delete().where(token.c.hash == token_hash)
        return bool(self._writer.call(lambda c: c.execute(statement).rowcount))

    def remove_tokens(self, subject: bytes) -> None:
        """See `KeyStore`."""
        self._execute(token.delete().where(token.c.subject == subject))

    def remove_tokens_until(self, now_s: int) -> None:
        """See `KeyStore`."""
        self._execute(token.delete().where(token.c.until_s <= now_s))

    def wrap_anew(
        self,
        wrap: Callable[[WrappedKey], bytes],
        email_hmacs: Mapping[bytes, bytes],
        check: bytes,
    ) -> None:
        """See `KeyStore`."""

        def change(connection: sa.Connection) -> None:
            for row in connection.execute(sa.select(owner_key)).all():
                new = wrap(WrappedKey(row.id, row.owner, row.purpose, row.wrapped))
                where = owner_key.c.id == row.id
                connection.execute(owner_key.update().where(where).values(wrapped=new))
            for subject, email_hmac in email_hmacs.items():
                where = credential.c.subject == subject
                connection.execute(credential.update().where(where).values(email_hmac=email_hmac))
            connection.execute(schema_version.update().values(kek_check=check))

        self._writer.call(change)
        self._vacuum()

    def add_operator(self, new: Operator) -> None:
        """See `KeyStore`."""
        try:
            self._execute(operator.insert().values(**asdict(new)))
        except sa.exc.IntegrityError as error:
            raise RefusedError("there is an operator of this name") from error

    def operator(self, name: str) -> Operator | None:
        """See `KeyStore`."""
        query = sa.select(operator).where(operator.c.name == name)
        row = self._writer.call(lambda c: c.execute(query).one_or_none())
        return None if row is None else Operator(*row)

    def operators(self) -> list[Operator]:
        """See `KeyStore`."""
        query = sa.select(operator).order_by(operator.c.name)
        return [Operator(*row) for row in self._writer.call(lambda c: c.execute(query).all())]

    def remove_operator(self, name: str) -> bool:
        """See `KeyStore`."""
        statement = operator.delete().where(operator.c.name == name)
        return bool(self._writer.call(lambda c: c.execute(statement).rowcount))

    def copy_to(self, path: Path) -> None:
        """See `KeyStore`."""
        # The driver is there while it is open.
        self._writer.call_alone(
            lambda c: c.connection.driver_connection.execute("VACUUM INTO ?", (str(path),))  # type: ignore[union-attr]
        )

    def close(self) -> None:
        """See `KeyStore`."""
        self._writer.close()

    def _vacuum(self) -> None:
        # The driver is there while it is open.
        self._writer.call_alone(lambda c: c.connection.driver_connection.execute("VACUUM"))  # type: ignore[union-attr]

    def _execute(self, statement: sa.Executable) -> None:
        self._writer.call(lambda c: c.execute(statement))

    def _credential(self, where: sa.ColumnElement[bool]) -> Credential | None:
        query = sa.select(credential).where(where)
        row = self._writer.call(lambda c: c.execute(query).one_or_none())
        if row is None:
            return None
        return Credential(row.subject, row.email_hmac, row.password_hash, bool(row.confirmed))


def _create_or_check(connection: sa.Connection) -> None:
    if not sa.inspect(connection).get_table_names():
        keys_schema.metadata.create_all(connection)
        values = {"version": keys_schema.SCHEMA_VERSION, "kek_check": b""}
        connection.execute(schema_version.insert().values(values))
        return
    check_version(connection, schema_version, keys_schema.SCHEMA_VERSION)
    keys_schema.metadata.create_all(connection)  # tables that were added since
