"""The table of letters that go out."""

from __future__ import annotations

from typing import Final

from sqlalchemy import CheckConstraint, Index

from cloud_agent.storage import abouts as a
from cloud_agent.storage.annotations import Delete, column
from cloud_agent.storage.schema import table
from cloud_agent.storage.types import BLOB, INTEGER, TEXT

letter: Final = table(
    "letter",
    Delete("subject"),
    column("id", BLOB, primary_key=True, about=a.LETTER),
    # None: to somebody who has no account, or none any more. Sealed by the key-encryption key.
    column("subject", BLOB, nullable=True, about=a.PERSON_ID),
    column("kind", TEXT, about=a.LETTER),
    column("state", TEXT, about=a.LETTER),
    column("placed_s", INTEGER, about=a.LETTER),
    column("next_s", INTEGER, about=a.LETTER),  # not tried before
    column("tries", INTEGER, about=a.LETTER),
    column("ciphertext", BLOB, nullable=True, about=a.LETTER_TEXT),  # None once it is sent
    CheckConstraint("state IN ('waiting', 'sent', 'failed')"),
    CheckConstraint("(state = 'waiting') = (ciphertext IS NOT NULL)"),
    Index("letter_state", "state", "next_s"),
)
