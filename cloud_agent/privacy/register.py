"""The register of processing (GDPR article 30), made from what every column says of itself.

Who runs the installation, and whom they employ, no schema knows: `controller.toml` in the data
folder says it; `TEMPLATE` is one to fill in. What is not filled in is said to be missing.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from cloud_agent.errors import UsageError
from cloud_agent.privacy import catalogue
from cloud_agent.storage.annotations import Basis, Category, Delete, Keep, Purpose, Scrub

MISSING: Final = "not filled in: controller.toml"

TEMPLATE: Final = """\
# Who runs this installation, for the register of processing (GDPR article 30).
name = ""
address = ""
email = ""
representative = ""            # in the Union, where the controller is elsewhere
data_protection_officer = ""
created = ""                   # of this register, YYYY-MM-DD
updated = ""
# Who processes for you: the company that hosts the machine, the one that sends mail.
processors = []
# Countries outside the Union to which data go, and what safeguards them.
transfers = []
# The number under which the file was declared to the CNIL, for a service of before 2018.
cnil_declaration = ""
"""

_TEXTS: Final = (
    "name",
    "address",
    "email",
    "representative",
    "data_protection_officer",
    "created",
    "updated",
    "cnil_declaration",
)
_LISTS: Final = ("processors", "transfers")
_OPTIONAL: Final = {"representative", "cnil_declaration", "updated"}

#: What protects the data (article 32), as far as this program does it.
MEASURES: Final = (
    "readings and contact data are encrypted with a key of each person's own",
    "erasing destroys the key, then the data, and proves it byte by byte",
    "the keys lie in a file of their own, wrapped by a key that is in no backup",
    "devices and cloud know each other by certificates; every reading is signed by its device",
    "passwords are kept as argon2id; sessions end, and can be ended",
    "reads of personal data are checked in one place and written down; the person sees them",
    "nothing goes to a partner without a consent that holds and a record that is durable",
    "who runs the service has a role, and no more rights than it needs",
    "logs hold numbers: no name, no address, no reading",
)
PEOPLE: Final = "people who have an account, and those who step on their devices"
RECIPIENTS: Final = (
    "the person; and partners that the person chose and consented to, one category of readings "
    "each, under a random number: each person sees theirs by name"
)
HISTORY: Final = (
    "Until 24 May 2018 a file like this was declared to the French authority (CNIL). Since 25 May "
    "2018 there are no declarations: this register is kept in their place."
)


@dataclass(frozen=True, slots=True)
class Controller:
    """Who runs the installation. A text that is missing is `MISSING`."""

    texts: dict[str, str]
    processors: tuple[str, ...] = ()
    transfers: tuple[str, ...] = ()

    @property
    def missing(self) -> list[str]:
        """What has to be filled in."""
        return [name for name, text in self.texts.items() if text == MISSING]


@dataclass(slots=True)
class Activity:
    """One purpose: the categories of data for it, on what ground, and how long."""

    purpose: str
    bases: set[str] = field(default_factory=set)
    categories: dict[str, set[str]] = field(default_factory=dict)  # category -> retention
    columns: list[str] = field(default_factory=list)

    @property
    def is_sensitive(self) -> bool:
        """Whether health data are among them (article 9)."""
        return Category.HEALTH.value in self.categories or Basis.HEALTH_CONSENT.value in self.bases


def read_controller(path: Path) -> Controller:
    """The file, or one in which everything is missing. Raises `UsageError` for what is no TOML,
    or has other names.
    """
    try:
        given = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        given = {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"{path.name} cannot be read: {error}") from error
    unknown = sorted(given.keys() - {*_TEXTS, *_LISTS})
    if unknown:
        raise UsageError(f"{path.name} has {', '.join(unknown)}, which a register does not")
    texts = {name: str(given.get(name, "")) or _absent(name) for name in _TEXTS}
    lists = {name: tuple(map(str, given.get(name, ()))) for name in _LISTS}
    return Controller(texts, lists["processors"], lists["transfers"])


def activities() -> list[Activity]:
    """What is processed, by purpose, from the annotations of all stores."""
    found: dict[str, Activity] = {}
    for line in catalogue.register():
        about = line.about
        if about.category is Category.TECHNICAL and about.link.name == "NONE":
            continue
        activity = found.setdefault(about.purpose.value, Activity(about.purpose.value))
        activity.bases.add(about.basis.value)
        retention = activity.categories.setdefault(about.category.value, set())
        retention.add(about.retention.value)
        activity.columns.append(f"{line.store}: {line.table}.{line.column}")
    return [found[purpose] for purpose in Purpose if purpose in found]


def as_json(controller: Controller) -> dict[str, Any]:
    """The register with every column, for programs."""
    return {
        "controller": controller.texts,
        "processors": list(controller.processors),
        "transfers": list(controller.transfers),
        "people": PEOPLE,
        "recipients": RECIPIENTS,
        "measures": list(MEASURES),
        "history": HISTORY,
        "activities": [
            {
                "purpose": each.purpose,
                "legal_bases": sorted(each.bases),
                "health_data": each.is_sensitive,
                "categories": {
                    name: sorted(retention) for name, retention in each.categories.items()
                },
                "columns": each.columns,
            }
            for each in activities()
        ],
        "stores": [_column(line) for line in catalogue.register()],
    }


def _column(line: catalogue.Line) -> dict[str, str]:
    about = line.about
    return {
        "store": line.store,
        "table": line.table,
        "column": line.column,
        "category": about.category.value,
        "purpose": about.purpose.value,
        "legal_basis": about.basis.value,
        "retention": about.retention.value,
        "leads_to_person": about.link.value,
        "erasure": _erasing(line),
    }


def _erasing(line: catalogue.Line) -> str:
    match line.erasing:
        case Delete():
            return "the row is deleted"
        case Scrub(columns=columns):
            return "emptied" if line.column in columns else "the row stays without the person"
        case Keep(reason=reason):
            return f"stays: {reason}"


def _absent(name: str) -> str:
    return "none" if name in _OPTIONAL else MISSING
