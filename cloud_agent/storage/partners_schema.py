"""The tables of partners: who may be given data by consent, what each was given, and what each
was told when it was corrected or erased here.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import CheckConstraint, ForeignKey, Index
from sqlalchemy import UniqueConstraint as Unique

from cloud_agent.storage import abouts as a
from cloud_agent.storage.annotations import Delete, Keep, column
from cloud_agent.storage.schema import table
from cloud_agent.storage.types import BLOB, INTEGER, TEXT

_CATEGORIES: Final = "category IN ('weight', 'blood-pressure')"

partner: Final = table(
    "partner",
    Keep("organisations that may be given data, and their keys: nobody who has an account"),
    column("id", BLOB, primary_key=True, about=a.PARTNER),
    column("name", TEXT, unique=True, about=a.PARTNER),
    column("contact", TEXT, about=a.PARTNER),
    column("public_key", BLOB, about=a.PARTNER),  # Ed25519: checks its answers
    column("added_s", INTEGER, about=a.PARTNER),
    CheckConstraint("length(id) = 16"),
    CheckConstraint("length(public_key) = 32"),
)

partner_consent: Final = table(
    "partner_consent",
    Delete("subject"),
    column("id", BLOB, primary_key=True, about=a.PARTNER_CONSENT),
    column("subject", BLOB, ForeignKey("subject.id"), about=a.PERSON_ID),
    column("partner", BLOB, ForeignKey("partner.id"), about=a.PARTNER_CONSENT),
    column("category", TEXT, about=a.PARTNER_CONSENT),
    column("version", TEXT, about=a.PARTNER_CONSENT),
    column("text_hash", BLOB, about=a.PARTNER_CONSENT),
    column("given_s", INTEGER, about=a.PARTNER_CONSENT),
    column("withdrawn_s", INTEGER, nullable=True, about=a.PARTNER_CONSENT),
    CheckConstraint(_CATEGORIES),
    Index("partner_consent_subject", "subject"),
)

partner_pseudonym: Final = table(
    "partner_pseudonym",
    Delete("subject"),
    column("subject", BLOB, ForeignKey("subject.id"), primary_key=True, about=a.PERSON_ID),
    column("partner", BLOB, ForeignKey("partner.id"), primary_key=True, about=a.DISCLOSURE),
    # What the partner knows the person by: random, another one for each partner.
    column("pseudonym", BLOB, unique=True, about=a.DISCLOSURE),
    CheckConstraint("length(pseudonym) = 16"),
    rowid=False,
)

disclosure: Final = table(
    "disclosure",
    Delete("subject"),
    column("id", BLOB, primary_key=True, about=a.DISCLOSURE),
    column("subject", BLOB, ForeignKey("subject.id"), about=a.PERSON_ID),
    column("partner", BLOB, ForeignKey("partner.id"), about=a.DISCLOSURE),
    column("category", TEXT, about=a.DISCLOSURE),
    column("at_s", INTEGER, about=a.DISCLOSURE),
    column("basis", TEXT, about=a.DISCLOSURE),
    column("consent", BLOB, ForeignKey("partner_consent.id"), about=a.DISCLOSURE),
    column("amount", INTEGER, about=a.DISCLOSURE),  # how many readings
    CheckConstraint(_CATEGORIES),
    CheckConstraint("basis IN ('consent')"),
    Index("disclosure_subject", "subject", "at_s"),
)

recipient_notice: Final = table(
    "recipient_notice",
    Keep(
        "that a recipient was told of a correction or an erasure (article 19), under the random "
        "number that it was given: whose that was goes with the person"
    ),
    column("id", BLOB, primary_key=True, about=a.NOTICE),
    # The privacy request, or the erasure or change by the person, that it tells of.
    column("request", BLOB, about=a.NOTICE),
    column("partner", BLOB, ForeignKey("partner.id"), about=a.NOTICE),
    column("pseudonym", BLOB, about=a.NOTICE),
    column("kind", TEXT, about=a.NOTICE),
    column("state", TEXT, about=a.NOTICE),
    column("placed_s", INTEGER, about=a.NOTICE),
    column("sent_s", INTEGER, nullable=True, about=a.NOTICE),
    column("closed_s", INTEGER, nullable=True, about=a.NOTICE),
    column("outcome", TEXT, nullable=True, about=a.NOTICE),  # as the partner signed it
    column("signature", BLOB, nullable=True, about=a.NOTICE),
    column("reason", TEXT, nullable=True, about=a.NOTICE),
    Unique("request", "partner"),
    CheckConstraint("kind IN ('erasure', 'erasure-readings', 'rectification')"),
    CheckConstraint("state IN ('waiting', 'sent', 'answered', 'impossible')"),
    CheckConstraint("state <> 'sent' OR sent_s IS NOT NULL"),
    CheckConstraint("(state IN ('answered', 'impossible')) = (closed_s IS NOT NULL)"),
    # Answered only by a signature; given up only with a reason (article 19).
    CheckConstraint("(state = 'answered') = (signature IS NOT NULL)"),
    CheckConstraint("(signature IS NULL) = (outcome IS NULL)"),
    CheckConstraint("(state = 'impossible') = (reason IS NOT NULL)"),
    CheckConstraint("reason IS NULL OR length(trim(reason)) > 0"),
    Index("recipient_notice_state", "state"),
)
