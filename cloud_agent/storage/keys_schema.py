"""The tables of the key database: a file of its own, so that it can have backups of its own
with a short life, and a rollback journal, because a write-ahead log keeps destroyed keys.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import CheckConstraint, Index, MetaData, Table
from sqlalchemy import UniqueConstraint as Unique

from cloud_agent.storage import abouts as a
from cloud_agent.storage.annotations import Delete, Keep, column
from cloud_agent.storage.types import BLOB, INTEGER, TEXT

SCHEMA_VERSION: Final = 1

metadata: Final = MetaData()

schema_version: Final = Table(
    "schema_version",
    metadata,
    column("version", INTEGER, primary_key=True, about=a.TECHNICAL),
    # A known text under the key-encryption key: tells a wrong key file at once.
    column("kek_check", BLOB, about=a.TECHNICAL),
    info={"erasing": Keep("no personal data")},
    sqlite_strict=True,
)

owner_key: Final = Table(
    "owner_key",
    metadata,
    column("id", BLOB, primary_key=True, about=a.CREDENTIAL),  # 8 bytes, in every ciphertext
    column("owner", BLOB, about=a.PERSON_ID),
    column("purpose", TEXT, about=a.CREDENTIAL),
    column("wrapped", BLOB, about=a.CREDENTIAL),
    Unique("owner", "purpose"),
    CheckConstraint("purpose IN ('health', 'identity', 'hold')"),
    info={"erasing": Delete("owner")},
    sqlite_strict=True,
)

credential: Final = Table(
    "credential",
    metadata,
    column("subject", BLOB, primary_key=True, about=a.PERSON_ID),
    column("email_hmac", BLOB, unique=True, about=a.CREDENTIAL),
    column("password_hash", TEXT, about=a.CREDENTIAL),  # argon2id with its parameters
    # 0 until the account's rows are durable in the main database: two files, two commits.
    column("confirmed", INTEGER, about=a.CREDENTIAL),
    info={"erasing": Delete("subject")},
    sqlite_strict=True,
)

token: Final = Table(
    "token",
    metadata,
    # SHA-256 of 32 random bytes that only the person has: nobody can find them from it.
    column("hash", BLOB, primary_key=True, about=a.CREDENTIAL),
    column("kind", TEXT, about=a.CREDENTIAL),
    column("subject", BLOB, about=a.PERSON_ID),
    column("bound", BLOB, about=a.CREDENTIAL),  # what it is for: a request, a sealed address
    column("made_s", INTEGER, about=a.CREDENTIAL),
    column("until_s", INTEGER, about=a.CREDENTIAL),
    Index("token_subject", "subject"),
    CheckConstraint("kind IN ('session', 'recovery', 'address', 'request')"),
    info={"erasing": Delete("subject")},
    sqlite_strict=True,
)

operator: Final = Table(
    "operator",
    metadata,
    column("name", TEXT, primary_key=True, about=a.OPERATOR),
    column("role", TEXT, about=a.OPERATOR),
    column("password_hash", TEXT, about=a.OPERATOR),
    CheckConstraint("role IN ('clerk', 'privacy', 'technician')"),
    info={"erasing": Keep("people who work here, under another contract; removed with their job")},
    sqlite_strict=True,
)
