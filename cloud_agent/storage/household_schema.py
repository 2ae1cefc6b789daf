"""The tables of people who share a device."""

from __future__ import annotations

from typing import Final

from sqlalchemy import ForeignKey

from cloud_agent.storage import abouts as a
from cloud_agent.storage.annotations import Keep, column
from cloud_agent.storage.schema import table
from cloud_agent.storage.types import INTEGER, TEXT

device_handles: Final = table(
    "device_handles",
    Keep("a number of a device: how many handles it has given out"),
    column("device", TEXT, ForeignKey("device.id"), primary_key=True, about=a.DEVICE),
    column("last", INTEGER, about=a.DEVICE),
    rowid=False,
)
