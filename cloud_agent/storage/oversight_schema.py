"""The tables of oversight: who read whose data, and breaches."""

from __future__ import annotations

from typing import Final

from sqlalchemy import CheckConstraint, Index

from cloud_agent.storage import abouts as a
from cloud_agent.storage.annotations import Delete, Keep, column
from cloud_agent.storage.schema import table
from cloud_agent.storage.types import BLOB, INTEGER, TEXT

access: Final = table(
    "access",
    Delete("subject"),
    column("id", INTEGER, primary_key=True, about=a.ACCESS),
    column("at_s", INTEGER, about=a.ACCESS),
    column("actor_kind", TEXT, about=a.ACCESS),
    column("actor", TEXT, about=a.ACCESS),  # account id in hex, or the name of an operator
    column("subject", BLOB, about=a.PERSON_ID),
    column("what", TEXT, about=a.ACCESS),
    column("reason", TEXT, nullable=True, about=a.ACCESS),
    CheckConstraint("actor_kind IN ('person', 'operator')"),
    # A person looks at their own; an operator says why.
    CheckConstraint("actor_kind = 'person' OR coalesce(length(reason), 0) > 0"),
    Index("access_at", "at_s"),
    Index("access_subject", "subject", "at_s"),
)

access_of_erased: Final = table(
    "access_of_erased",
    Keep("that an operator read the data of somebody who was erased since: a number, no person"),
    # Drawn when they are erased; the same in all rows of that person, and nowhere else.
    column("number", BLOB, primary_key=True, about=a.ACCESS_OF_ERASED),
    column("day_s", INTEGER, primary_key=True, about=a.ACCESS_OF_ERASED),
    column("actor", TEXT, primary_key=True, about=a.ACCESS_OF_ERASED),
    Index("access_of_erased_day", "day_s"),
    rowid=False,
)

breach: Final = table(
    "breach",
    Keep("what went wrong and when it was told: counts, no person"),
    column("id", INTEGER, primary_key=True, about=a.BREACH),
    column("noticed_s", INTEGER, about=a.BREACH),
    column("what", TEXT, about=a.BREACH),
    column("authority_told_s", INTEGER, nullable=True, about=a.BREACH),
    column("people_told_s", INTEGER, nullable=True, about=a.BREACH),
    column("affected", INTEGER, nullable=True, about=a.BREACH),
    column("closed_s", INTEGER, nullable=True, about=a.BREACH),
    # Article 33(5): also a breach that nobody is told of is written down with the reason.
    column("reason_untold", TEXT, nullable=True, about=a.BREACH),
    CheckConstraint(
        "closed_s IS NULL OR authority_told_s IS NOT NULL OR coalesce(length(reason_untold), 0) > 0"
    ),
)
