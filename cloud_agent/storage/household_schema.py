"""The tables of people who share a device."""

from __future__ import annotations

from typing import Final

from sqlalchemy import ForeignKey, ForeignKeyConstraint, Index

from cloud_agent.storage import abouts as a
from cloud_agent.storage.annotations import Delete, Keep, Match, column
from cloud_agent.storage.schema import table
from cloud_agent.storage.types import BLOB, INTEGER, TEXT

device_handles: Final = table(
    "device_handles",
    Keep("a number of a device: how many handles it has given out"),
    column("device", TEXT, ForeignKey("device.id"), primary_key=True, about=a.DEVICE),
    column("last", INTEGER, about=a.DEVICE),
    rowid=False,
)

former_handle: Final = table(
    "former_handle",
    Delete("subject"),
    column("device", TEXT, primary_key=True, about=a.CLAIM),
    column("epoch", INTEGER, primary_key=True, about=a.CLAIM),
    column("handle", INTEGER, primary_key=True, about=a.CLAIM),
    column("subject", BLOB, ForeignKey("subject.id"), about=a.PERSON_ID),
    # What was measured up to then is still theirs when it comes.
    column("ended_s", INTEGER, about=a.CLAIM),
    ForeignKeyConstraint(["device", "epoch"], ["claim.device", "claim.epoch"]),
    Index("former_handle_subject", "subject"),
    rowid=False,
)

membership: Final = table(
    "membership",
    Delete("subject"),
    column("device", TEXT, primary_key=True, about=a.CLAIM),
    column("epoch", INTEGER, primary_key=True, about=a.CLAIM),
    column("subject", BLOB, ForeignKey("subject.id"), primary_key=True, about=a.PERSON_ID),
    # What was measured before is not shown to them; who came first holds the device next.
    column("since_s", INTEGER, about=a.CLAIM),
    ForeignKeyConstraint(["device", "epoch"], ["claim.device", "claim.epoch"]),
    Index("membership_subject", "subject"),
    rowid=False,
)

invitation: Final = table(
    "invitation",
    Delete("inviter", Match.ACCOUNT),
    column("code_hash", BLOB, primary_key=True, about=a.WINDOW),
    column("device", TEXT, ForeignKey("device.id"), about=a.WINDOW),
    column("epoch", INTEGER, about=a.WINDOW),
    column("inviter", BLOB, ForeignKey("account.id"), about=a.PERSON_ID),
    column("until_s", INTEGER, about=a.WINDOW),
)
