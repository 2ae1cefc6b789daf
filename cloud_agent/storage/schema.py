"""Every table of the main database, with what each column is and what erasing a person does.

Times are whole Unix seconds (UTC, `_s`); ids are 16 random bytes; a device is known by its
hex id. Nothing here can be read as a weight, a pressure, a name or an address: those are in
ciphertexts under the keys of their owner (SPEC 16). An *owner* is a subject (person) or the
tray of a claim.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import CheckConstraint, ForeignKey, ForeignKeyConstraint, Index, MetaData, Table
from sqlalchemy import UniqueConstraint as Unique
from sqlalchemy.schema import SchemaItem

from cloud_agent.storage import abouts as a
from cloud_agent.storage.annotations import Delete, Erasing, Keep, Match, Scrub, column
from cloud_agent.storage.types import BLOB, INTEGER, TEXT

SCHEMA_VERSION: Final = 1

metadata: Final = MetaData()

# A device that is not there any more keeps its row: its keys must be refused for good (SPEC 2.6).
_DEVICE_STAYS: Final = Keep("about a device, not a person; its keys stay refused for good")


def table(name: str, erasing: Erasing, *items: SchemaItem, rowid: bool = True) -> Table:
    """A table of the main database, with what erasing a person does to it."""
    return Table(
        name,
        metadata,
        *items,
        info={"erasing": erasing},
        sqlite_strict=True,
        sqlite_with_rowid=rowid,
    )


schema_version: Final = table(
    "schema_version",
    Keep("no personal data"),
    column("version", INTEGER, primary_key=True, about=a.TECHNICAL),
)

ledger_head: Final = table(
    "ledger_head",
    Keep("how far the ledger went: a restored folder must not come with an older one"),
    column("lines", INTEGER, primary_key=True, about=a.ERASURE),
    column("last_hash", TEXT, about=a.ERASURE),
)

owner: Final = table(
    "owner",
    Delete("id"),
    column("id", BLOB, primary_key=True, about=a.PERSON_ID),
    column("kind", TEXT, about=a.OWNED),
    # The change number that the next change of a reading of this owner gets.
    column("next_change", INTEGER, server_default="1", about=a.OWNED),
    CheckConstraint("kind IN ('subject', 'tray')"),
    CheckConstraint("length(id) = 16"),
)

subject: Final = table(
    "subject",
    Delete("id"),
    column("id", BLOB, ForeignKey("owner.id"), primary_key=True, about=a.PERSON_ID),
    column("created_s", INTEGER, about=a.ACCOUNT),
)

person: Final = table(
    "person",
    Delete("subject"),
    column("subject", BLOB, ForeignKey("subject.id"), primary_key=True, about=a.PERSON_ID),
    column("zone", TEXT, about=a.PREFERENCE),
)

account: Final = table(
    "account",
    Delete("id", Match.ACCOUNT),
    column("id", BLOB, primary_key=True, about=a.PERSON_ID),
    column("subject", BLOB, ForeignKey("subject.id"), unique=True, about=a.PERSON_ID),
    column("state", TEXT, about=a.ACCOUNT),
    column("contact", BLOB, about=a.CONTACT),  # ciphertext, identity key of the subject
    column("created_s", INTEGER, about=a.ACCOUNT),
    CheckConstraint("state IN ('active', 'erasing')"),
    CheckConstraint("length(id) = 16"),
)

terms_acceptance: Final = table(
    "terms_acceptance",
    Delete("account", Match.ACCOUNT),
    column("id", BLOB, primary_key=True, about=a.AGREEMENT),
    column("account", BLOB, ForeignKey("account.id"), about=a.PERSON_ID),
    column("version", TEXT, about=a.AGREEMENT),
    column("text_hash", BLOB, about=a.AGREEMENT),
    column("accepted_s", INTEGER, about=a.AGREEMENT),
)

consent: Final = table(
    "consent",
    Delete("subject"),
    column("id", BLOB, primary_key=True, about=a.AGREEMENT),
    column("subject", BLOB, ForeignKey("subject.id"), about=a.PERSON_ID),
    column("purpose", TEXT, about=a.AGREEMENT),
    column("version", TEXT, about=a.AGREEMENT),
    column("text_hash", BLOB, about=a.AGREEMENT),
    column("given_s", INTEGER, about=a.AGREEMENT),
    column("withdrawn_s", INTEGER, nullable=True, about=a.AGREEMENT),
    CheckConstraint("purpose IN ('health')"),
)

export_file: Final = table(
    "export_file",
    Delete("subject"),
    column("name", TEXT, primary_key=True, about=a.EXPORT),  # in the folder `exports`
    column("subject", BLOB, ForeignKey("subject.id"), about=a.PERSON_ID),
    column("created_s", INTEGER, about=a.EXPORT),
)

device: Final = table(
    "device",
    _DEVICE_STAYS,
    column("id", TEXT, primary_key=True, about=a.DEVICE),  # kid in hex (SPEC 2.1)
    column("public_key", BLOB, unique=True, about=a.DEVICE),
    column("tls_key", BLOB, unique=True, about=a.DEVICE),
    column("algorithm", INTEGER, about=a.DEVICE),  # COSE algorithm of public_key
    column("mac_key", BLOB, about=a.DEVICE_SECRET),  # wrapped by the key-encryption key
    column("mac_generation", INTEGER, about=a.DEVICE),
    column("model", TEXT, about=a.DEVICE),
    column("firmware", TEXT, about=a.DEVICE),
    column("state", TEXT, about=a.DEVICE),
    column("enrolled_s", INTEGER, nullable=True, about=a.DEVICE),
    # Every sequence up to the cursor is settled; it is never derived from rows (SPEC 8.2).
    column("cursor", INTEGER, server_default="0", about=a.DEVICE),
    column("last_claim_epoch", INTEGER, server_default="0", about=a.DEVICE),
    column("command_counter", INTEGER, server_default="0", about=a.DEVICE),  # last one rendered
    # As the last hello said (SPEC 4.1).
    column("hello_s", INTEGER, nullable=True, about=a.DEVICE),
    column("boot_counter", INTEGER, nullable=True, about=a.DEVICE),
    column("boot_reason", INTEGER, nullable=True, about=a.DEVICE),
    column("clock_epoch", INTEGER, nullable=True, about=a.DEVICE),
    column("clock_seconds", INTEGER, nullable=True, about=a.DEVICE),
    column("clock_wall_s", INTEGER, nullable=True, about=a.DEVICE),
    column("journal_oldest", INTEGER, nullable=True, about=a.DEVICE),
    column("journal_next", INTEGER, nullable=True, about=a.DEVICE),
    column("hello_claim_epoch", INTEGER, nullable=True, about=a.DEVICE),
    column("obeyed_counter", INTEGER, nullable=True, about=a.DEVICE),
    CheckConstraint("state IN ('enrolling', 'enrolled', 'revoked')"),
)

claim: Final = table(
    "claim",
    # The row stays as "this epoch has ended": a late frame must not look like an unknown one.
    Scrub("account", ("account", "tray"), Match.ACCOUNT),
    column("device", TEXT, ForeignKey("device.id"), primary_key=True, about=a.CLAIM),
    column("epoch", INTEGER, primary_key=True, about=a.CLAIM),
    column("account", BLOB, ForeignKey("account.id"), nullable=True, about=a.PERSON_ID),
    column("tray", BLOB, ForeignKey("owner.id"), nullable=True, about=a.PERSON_ID),
    column("from_s", INTEGER, about=a.CLAIM),
    column("until_s", INTEGER, nullable=True, about=a.CLAIM),
    Index("claim_account", "account"),
    rowid=False,
)

person_handle: Final = table(
    "person_handle",
    Delete("subject"),
    column("device", TEXT, primary_key=True, about=a.CLAIM),
    column("epoch", INTEGER, primary_key=True, about=a.CLAIM),
    column("handle", INTEGER, primary_key=True, about=a.CLAIM),
    column("subject", BLOB, ForeignKey("subject.id"), about=a.PERSON_ID),
    column("slot", INTEGER, about=a.CLAIM),
    ForeignKeyConstraint(["device", "epoch"], ["claim.device", "claim.epoch"]),
    CheckConstraint("handle BETWEEN 1 AND 65535"),
    CheckConstraint("slot BETWEEN 1 AND 8"),
    Index("person_handle_subject", "subject"),
    rowid=False,
)

claim_window: Final = table(
    "claim_window",
    Keep("a hash of a random code, ten minutes"),
    column("device", TEXT, ForeignKey("device.id"), primary_key=True, about=a.WINDOW),
    column("proof", BLOB, about=a.WINDOW),
    column("until_s", INTEGER, about=a.WINDOW),
)

command_outbox: Final = table(
    "command_outbox",
    Keep("orders to a device: its handles lead to nobody once the claim is scrubbed"),
    column("id", INTEGER, primary_key=True, about=a.COMMAND),
    column("device", TEXT, ForeignKey("device.id"), about=a.COMMAND),
    column("verb", INTEGER, about=a.COMMAND),
    column("arguments", BLOB, about=a.COMMAND),  # deterministic CBOR (SPEC 6.2)
    column("state", TEXT, about=a.COMMAND),
    column("placed_s", INTEGER, about=a.COMMAND),
    column("rendered_s", INTEGER, nullable=True, about=a.COMMAND),
    column("outcome", INTEGER, nullable=True, about=a.COMMAND),  # SPEC 4.5
    column("receipt", BLOB, nullable=True, about=a.COMMAND),  # the signed message, as proof
    column("receipt_s", INTEGER, nullable=True, about=a.COMMAND),
    # The erasure request that waits for this order, if one does.
    column("erasure", BLOB, ForeignKey("erasure.id"), nullable=True, about=a.ERASURE),
    CheckConstraint("state IN ('waiting', 'done', 'failed', 'cancelled')"),
    Index("command_outbox_device", "device", "state"),
)

command_rendered: Final = table(
    "command_rendered",
    Keep("which counter was given to which order"),
    column("device", TEXT, ForeignKey("device.id"), primary_key=True, about=a.COMMAND),
    column("counter", INTEGER, primary_key=True, about=a.COMMAND),
    column("command", INTEGER, ForeignKey("command_outbox.id"), about=a.COMMAND),
    rowid=False,
)

mac_renewal: Final = table(
    "mac_renewal",
    Keep("our half of a key agreement with a device, until its receipt is here"),
    column("command", INTEGER, ForeignKey("command_outbox.id"), primary_key=True, about=a.COMMAND),
    column("device", TEXT, ForeignKey("device.id"), about=a.DEVICE),
    column("generation", INTEGER, about=a.DEVICE),
    # Wrapped by the key-encryption key.
    column("private_key", BLOB, about=a.DEVICE_SECRET),
)

frame: Final = table(
    "frame",
    Delete("owner"),
    column("id", BLOB, primary_key=True, about=a.READING_META),
    column("owner", BLOB, ForeignKey("owner.id"), about=a.PERSON_ID),
    column("device", TEXT, ForeignKey("device.id"), about=a.READING_META),
    column("stored_s", INTEGER, about=a.READING_META),
    column("ciphertext", BLOB, about=a.HEALTH),  # the signed message as it arrived
    Index("frame_owner", "owner"),
)

reading: Final = table(
    "reading",
    Delete("owner"),
    column("id", BLOB, primary_key=True, about=a.READING_META),
    column("owner", BLOB, ForeignKey("owner.id"), about=a.PERSON_ID),
    column("device", TEXT, ForeignKey("device.id"), nullable=True, about=a.READING_META),
    column("claim_epoch", INTEGER, nullable=True, about=a.READING_META),
    column("source", TEXT, about=a.READING_META),
    column("status", TEXT, about=a.READING_META),
    column("attribution", TEXT, about=a.READING_META),
    column("revision", INTEGER, server_default="1", about=a.READING_META),
    column("change", INTEGER, about=a.READING_META),
    column("taken_s", INTEGER, about=a.READING_META),
    column("taken_quality", TEXT, about=a.READING_META),
    column("taken_uncertainty_s", INTEGER, about=a.READING_META),
    column("offset_s", INTEGER, nullable=True, about=a.READING_META),  # a tray has no zone
    column("stored_s", INTEGER, about=a.READING_META),
    column("frame", BLOB, ForeignKey("frame.id"), nullable=True, about=a.READING_META),
    column("ciphertext", BLOB, about=a.HEALTH),
    Unique("owner", "change"),
    Index("reading_owner_taken", "owner", "taken_s"),
    Index("reading_frame", "frame"),
    CheckConstraint("source IN ('device', 'manual', 'import')"),
    CheckConstraint("status IN ('final', 'amended', 'entered-in-error')"),
    CheckConstraint("attribution IN ('unknown', 'sure', 'asked', 'moved')"),
    CheckConstraint("taken_quality IN ('wall', 'dated', 'interval')"),
    CheckConstraint("length(id) = 16"),
)

ingest: Final = table(
    "ingest",
    # Outlives the reading: a repeated frame must stay known. What it says of a person goes.
    Scrub("owner", ("owner", "digest")),
    column("device", TEXT, ForeignKey("device.id"), primary_key=True, about=a.INGEST),
    column("sequence", INTEGER, primary_key=True, about=a.INGEST),
    column("claim_epoch", INTEGER, about=a.INGEST),
    column(
        "outcome", INTEGER, about=a.INGEST
    ),  # 0 settled as it is, else the reason of the drop (SPEC 5.2)
    column("owner", BLOB, nullable=True, about=a.PERSON_ID),
    column("digest", BLOB, nullable=True, about=a.DIGEST),
    Index("ingest_owner", "owner"),
    CheckConstraint("outcome BETWEEN 0 AND 15"),
    rowid=False,
)

refused_frame: Final = table(
    "refused_frame",
    Keep("of messages that nobody could be found for: reason and length, never the payload"),
    column("id", INTEGER, primary_key=True, about=a.REFUSED),
    column("reason", TEXT, about=a.REFUSED),
    column("kid", BLOB, nullable=True, about=a.REFUSED),
    column("topic", TEXT, about=a.REFUSED),
    column("length", INTEGER, about=a.REFUSED),
    column("received_s", INTEGER, about=a.REFUSED),
    Index("refused_frame_received", "received_s"),
)

gap: Final = table(
    "gap",
    Keep("sequence numbers of a device that will not come"),
    column("id", INTEGER, primary_key=True, about=a.INGEST),
    column("device", TEXT, ForeignKey("device.id"), about=a.INGEST),
    column("first", INTEGER, about=a.INGEST),
    column("last", INTEGER, about=a.INGEST),
    column("noted_s", INTEGER, about=a.INGEST),
)

erasure: Final = table(
    "erasure",
    Keep("the proof of the erasure itself: a random request id, counts and times, no person"),
    column("id", BLOB, primary_key=True, about=a.ERASURE),
    column("state", TEXT, about=a.ERASURE),
    column("requested_s", INTEGER, about=a.ERASURE),
    column("unreadable_s", INTEGER, nullable=True, about=a.ERASURE),
    column("compacted_s", INTEGER, nullable=True, about=a.ERASURE),
    column("closed_s", INTEGER, nullable=True, about=a.ERASURE),
    column("result", TEXT, nullable=True, about=a.ERASURE),  # JSON: counts of the scans
    CheckConstraint("state IN ('running', 'awaiting-devices', 'proven', 'failed', 'unconfirmed')"),
)
