"""The table of backups that were made: when a copy of a destroyed key is gone everywhere."""

from __future__ import annotations

from typing import Final

from sqlalchemy import CheckConstraint

from cloud_agent.storage import abouts as a
from cloud_agent.storage.annotations import Keep, column
from cloud_agent.storage.schema import table
from cloud_agent.storage.types import INTEGER, TEXT

backup: Final = table(
    "backup",
    Keep("when backups were made and end: no person"),
    column("id", INTEGER, primary_key=True, about=a.TECHNICAL),
    column("kind", TEXT, about=a.TECHNICAL),
    column("made_s", INTEGER, about=a.TECHNICAL),
    column("until_s", INTEGER, nullable=True, about=a.TECHNICAL),
    column("name", TEXT, about=a.TECHNICAL),
    CheckConstraint("kind IN ('data', 'keys')"),
    CheckConstraint("kind = 'data' OR until_s IS NOT NULL"),
)
