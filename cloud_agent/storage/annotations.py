"""What every column must say about itself, and what erasing a person does to each table.

The article 30 register, the export and the erasure are read from these annotations, so a
column without them cannot be made: `column` asks for them.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import Column
from sqlalchemy.schema import SchemaItem
from sqlalchemy.types import TypeEngine


class Category(StrEnum):
    """Kind of data."""

    IDENTIFIER = "random identifier of a person or of what is theirs"
    CONTACT = "contact data"
    HEALTH = "health data"
    CREDENTIAL = "credential or key"
    AGREEMENT = "acceptance or consent"
    PREFERENCE = "preference"
    DEVICE = "device data"
    RECORD = "record of what was done for a person or with their data"
    TECHNICAL = "technical data without a person"


class Purpose(StrEnum):
    """What it is for."""

    READINGS = "keeping and showing a person's readings"
    ACCOUNT = "running the account"
    SECURITY = "keeping the service secure"
    ACCOUNTABILITY = "proving what was agreed and carried out"
    TRANSPORT = "receiving every reading once"
    SHARING = "giving data to partners that the person chose"


class Basis(StrEnum):
    """Legal basis (GDPR article)."""

    CONTRACT = "contract, 6(1)(b)"
    HEALTH_CONSENT = "explicit consent, 6(1)(a) and 9(2)(a)"
    OBLIGATION = "legal obligation, 6(1)(c)"
    INTEREST = "legitimate interest, 6(1)(f)"
    NOT_PERSONAL = "no personal data"


class Retention(StrEnum):
    """How long it stays."""

    ACCOUNT = "until the account is erased"
    CONSENT = "until the reading, the consent or the account is erased"
    CLAIM = "until the claim ends by erasure or sale"
    DEVICE = "while the device may come back: a key is refused for good once it was seen"
    MINUTES = "ten minutes"
    DAY = "one day"
    MONTH = "30 days"
    QUARTER = "90 days"
    YEAR = "one year"
    WORK = "while the operator works here"
    PARTNER = "while the partner may be given data, or still has to answer"
    LIMITATION = "five years after it was closed"
    CLOSED = "until the request is closed"
    EVIDENCE = "while the erasure must stay provable and must hold against late arrivals"


class Link(StrEnum):
    """How a value leads to its person."""

    IS_PERSON = "it is the identifier of the person, the account or the tray"
    ROW = "through the identifier in the same row"
    CLAIM = "through device and claim epoch, while the claim names an account"
    NONE = "it does not"


@dataclass(frozen=True, slots=True)
class About:
    """The annotation of one column."""

    category: Category
    purpose: Purpose
    basis: Basis
    retention: Retention
    link: Link


class Match(StrEnum):
    """Which identifiers of the person a table's `by` column holds."""

    OWNER = "subject id and tray ids"
    ACCOUNT = "account id"


@dataclass(frozen=True, slots=True)
class Delete:
    """Erasing a person deletes the rows whose column `by` matches."""

    by: str
    match: Match = Match.OWNER


@dataclass(frozen=True, slots=True)
class Scrub:
    """Erasing a person empties `columns` in the rows whose column `by` matches."""

    by: str
    columns: tuple[str, ...]
    match: Match = Match.OWNER


@dataclass(frozen=True, slots=True)
class Keep:
    """Erasing a person leaves the table alone, for this reason."""

    reason: str


Erasing = Delete | Scrub | Keep


def column(
    name: str, kind: TypeEngine[Any], *items: SchemaItem, about: About, **options: Any
) -> Column[Any]:
    """A column with its annotation; NOT NULL unless `nullable=True` says otherwise."""
    options.setdefault("nullable", False)
    return Column(name, kind, *items, info={"about": about}, **options)
