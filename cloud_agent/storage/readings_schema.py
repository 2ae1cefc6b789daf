"""The tables of what people change of their readings."""

from __future__ import annotations

from typing import Final

from sqlalchemy import ForeignKey, Index

from cloud_agent.storage import abouts as a
from cloud_agent.storage.annotations import Delete, column
from cloud_agent.storage.schema import table
from cloud_agent.storage.types import BLOB, INTEGER, TEXT

reading_revision: Final = table(
    "reading_revision",
    Delete("owner"),
    column("id", BLOB, primary_key=True, about=a.READING_META),
    column("reading", BLOB, ForeignKey("reading.id"), about=a.READING_META),
    column("owner", BLOB, ForeignKey("owner.id"), about=a.PERSON_ID),
    column("revision", INTEGER, about=a.READING_META),
    column("status", TEXT, about=a.READING_META),
    column("taken_s", INTEGER, about=a.READING_META),
    column("changed_s", INTEGER, about=a.READING_META),  # when the next one took its place
    column("ciphertext", BLOB, about=a.HEALTH),
    Index("reading_revision_reading", "reading", "revision"),
)

reading_offer: Final = table(
    "reading_offer",
    Delete("recipient"),
    # It lies with its owner until it is taken: nobody can push a reading into another's history.
    # With the reading goes the offer, whoever of the two is erased.
    column(
        "reading",
        BLOB,
        ForeignKey("reading.id", ondelete="CASCADE"),
        primary_key=True,
        about=a.READING_META,
    ),
    column("recipient", BLOB, ForeignKey("subject.id"), about=a.PERSON_ID),
    column("made_s", INTEGER, about=a.READING_META),
)
