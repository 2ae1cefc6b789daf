"""What the acts share: the parts that run, whose account it is, what the scale has announced."""

from __future__ import annotations

import secrets
import sqlite3
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from cloud_agent.ingest.judge import SETTLED_AS_STORED
from tools.demo.cloud import Cloud
from tools.demo.errors import DemoError
from tools.demo.people import Person
from tools.demo.scale import Saved, Scale
from tools.demo.screen import Screen

#: Recognisable bytes, made anew each time, so that a scan finds this run's and no other's.
_CANARY_BYTES = 5
_TIME_ZONE = "Europe/Paris"
#: Receipts are settled too, but belong to nobody.
_STORED = "SELECT sequence FROM ingest WHERE outcome = ? AND owner IS NOT NULL ORDER BY sequence"


@dataclass
class Play:
    """The stage of one run. `folder` has everything in it; `scratch` goes when the run ends."""

    folder: Path
    scratch: Path
    screen: Screen
    cloud: Cloud
    scale: Scale
    second: Scale
    people: list[Person]
    email: str = ""
    name: str = ""
    password: str = ""
    zone: str = _TIME_ZONE
    saved: list[Saved] = field(default_factory=list)

    def make_person(self) -> None:
        """Somebody whose name and address occur nowhere else in the world."""
        canary = secrets.token_hex(_CANARY_BYTES)
        self.email = f"robin-{canary}@example.org"
        self.name = f"Robin Canary-{canary}"
        self.password = secrets.token_urlsafe(18)
        self.cloud.login = ("--email", self.email)
        self.cloud.environment = {"TARE_PASSWORD": self.password}

    def weigh(self) -> Saved:
        """The next weigh-in; what the display showed is what has to arrive."""
        person = self.people[len(self.saved) % len(self.people)]
        saved = self.scale.weigh(person)
        self.saved.append(saved)
        return saved

    def check_exactly_once(self) -> int:
        """Every reading that the display announced is stored, once, and nothing else is."""
        stored = Counter(
            f"{reading['values']['weight']['value']:.2f}" for reading in self.cloud.readings()
        )
        announced = Counter(saved.shown_kg for saved in self.saved)
        if stored != announced:
            raise DemoError(f"announced on the display: {announced}; stored: {stored}")
        sequences = sorted(saved.sequence for saved in self.saved)
        if self.stored_sequences() != sequences:
            raise DemoError(f"announced: {sequences}; stored: {self.stored_sequences()}")
        return stored.total()

    def stored_sequences(self) -> list[int]:
        """The sequence of each reading that the database holds, whatever wrote it."""
        with closing(self.database()) as connection:
            rows = connection.execute(_STORED, (SETTLED_AS_STORED,))
            return [int(sequence) for (sequence,) in rows]

    def database(self) -> sqlite3.Connection:
        """The cloud's database, to look at."""
        return sqlite3.connect(f"file:{self.cloud.data / 'tare.db'}?mode=ro", uri=True)
