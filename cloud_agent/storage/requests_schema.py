"""The tables of privacy requests: what happened, when, and what shows it. No column says
"fulfilled": that follows from the others.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import CheckConstraint, ForeignKey, Index
from sqlalchemy import UniqueConstraint as Unique

from cloud_agent.storage import abouts as a
from cloud_agent.storage.annotations import Delete, Keep, Scrub, column
from cloud_agent.storage.schema import table
from cloud_agent.storage.types import BLOB, INTEGER, TEXT

_KINDS: Final = (
    "'access', 'portability', 'rectification', 'erasure', 'erasure-readings', 'restriction', "
    "'objection', 'consent-withdrawal', 'unclear'"
)
# Each a sentence in a letter: `letters.REASONS`.
_REASONS: Final = "'no-match', 'identity', 'unfounded', 'excessive', 'legal-duty', 'others-rights'"

privacy_request: Final = table(
    "privacy_request",
    # The record that a request was answered in time outlives the person's data, without them.
    Scrub("subject", ("subject",)),
    column("id", BLOB, primary_key=True, about=a.REQUEST),
    column("kind", TEXT, about=a.REQUEST),
    column("channel", TEXT, about=a.REQUEST),
    # Digest of the letter or scan: the same one twice is one request.
    column("source", BLOB, nullable=True, about=a.REQUEST),
    column("subject", BLOB, nullable=True, about=a.PERSON_ID),
    column("received_s", INTEGER, about=a.REQUEST),
    column("recorded_s", INTEGER, about=a.REQUEST),
    column("verified_s", INTEGER, nullable=True, about=a.REQUEST),
    column("verified_by", TEXT, nullable=True, about=a.REQUEST),
    column("extended_s", INTEGER, nullable=True, about=a.REQUEST),
    column("extension_reason", TEXT, nullable=True, about=a.REQUEST),
    column("refused_s", INTEGER, nullable=True, about=a.REQUEST),
    column("reason_code", TEXT, nullable=True, about=a.REQUEST),
    column("revoked_s", INTEGER, nullable=True, about=a.REQUEST),
    column("expired_s", INTEGER, nullable=True, about=a.REQUEST),
    column("duplicate_of", BLOB, nullable=True, about=a.REQUEST),
    column("finished_s", INTEGER, nullable=True, about=a.REQUEST),  # the receipt was made
    column("result", TEXT, nullable=True, about=a.REQUEST),  # JSON: counts, never values
    Unique("channel", "source"),
    CheckConstraint("length(id) = 16"),
    CheckConstraint(f"kind IN ({_KINDS})"),
    CheckConstraint("channel IN ('self', 'email', 'post')"),
    CheckConstraint("(verified_s IS NULL) = (verified_by IS NULL)"),
    CheckConstraint("verified_by IN ('password', 'link', 'code', 'registered-letter')"),
    # Article 12(3) and (4): no extension and no refusal without a reason.
    CheckConstraint("(extended_s IS NULL) = (extension_reason IS NULL)"),
    CheckConstraint("extension_reason IN ('complexity', 'number')"),
    CheckConstraint("(refused_s IS NULL) = (reason_code IS NULL)"),
    CheckConstraint(f"reason_code IN ({_REASONS})"),
    Index("privacy_request_subject", "subject"),
)

request_step: Final = table(
    "request_step",
    Keep("what was done for a request: counts and digests, no person"),
    column("request", BLOB, ForeignKey("privacy_request.id"), primary_key=True, about=a.REQUEST),
    column("number", INTEGER, primary_key=True, about=a.REQUEST),
    column("action", TEXT, about=a.REQUEST),
    column("state", TEXT, about=a.REQUEST),
    column("tries", INTEGER, about=a.REQUEST),
    column("done_s", INTEGER, nullable=True, about=a.REQUEST),
    column("cause", TEXT, nullable=True, about=a.REQUEST),  # of the last failure
    column("amount", INTEGER, nullable=True, about=a.REQUEST),
    column("digest", BLOB, nullable=True, about=a.REQUEST),
    CheckConstraint("state IN ('waiting', 'done', 'failed')"),
    CheckConstraint("(state = 'done') = (done_s IS NOT NULL)"),
    CheckConstraint("(state = 'failed') <= (cause IS NOT NULL)"),
    rowid=False,
)

request_pause: Final = table(
    "request_pause",
    Keep("when the time of a request stood still"),
    column("request", BLOB, ForeignKey("privacy_request.id"), primary_key=True, about=a.REQUEST),
    column("from_s", INTEGER, primary_key=True, about=a.REQUEST),
    column("until_s", INTEGER, nullable=True, about=a.REQUEST),
    column("reason", TEXT, about=a.REQUEST),
    CheckConstraint("reason IN ('identity', 'clarification')"),
    rowid=False,
)

request_act: Final = table(
    "request_act",
    Keep("which operator did what to a request: no person of ours"),
    column("id", INTEGER, primary_key=True, about=a.REQUEST),
    column("request", BLOB, ForeignKey("privacy_request.id"), about=a.REQUEST),
    column("at_s", INTEGER, about=a.REQUEST),
    column("operator", TEXT, about=a.REQUEST),
    column("act", TEXT, about=a.REQUEST),
    Index("request_act_request", "request"),
)

request_unanswered: Final = table(
    "request_unanswered",
    Keep("a request that came when its sender had been written to too often: it is answered later"),
    column("request", BLOB, ForeignKey("privacy_request.id"), primary_key=True, about=a.REQUEST),
)

request_note: Final = table(
    "request_note",
    Keep("where the answer goes, while the request is open: a person who is erased is told so"),
    column("request", BLOB, ForeignKey("privacy_request.id"), primary_key=True, about=a.REQUEST),
    # Sealed under a key of its own, which is destroyed when the request is closed.
    column("ciphertext", BLOB, about=a.REQUEST_TEXT),
)

restriction: Final = table(
    "restriction",
    Delete("subject"),
    column("subject", BLOB, ForeignKey("subject.id"), primary_key=True, about=a.PERSON_ID),
    column("since_s", INTEGER, about=a.RIGHT),
    column("request", BLOB, ForeignKey("privacy_request.id"), about=a.RIGHT),
)
