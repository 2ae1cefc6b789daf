"""A machine that is backed up, lost, and restored: what the tests of what a restore may not undo
work with. The ledger is copied elsewhere all the time.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cloud_agent.backup import make
from cloud_agent.backup.restore import Restored, Sets, restore
from cloud_agent.privacy import kek
from cloud_agent.tests.household import PASSWORD, Household
from cloud_agent.tests.requests import desk

PASSPHRASE = "a passphrase of some length"
ANN = {"email": "ann@example.org", "password": PASSWORD}


class Machine:
    """The household on it, and both backup sets of the moment of `back_up`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.household = Household(folder / "data")
        self.kek = kek.read(self.household.service.folder.kek)
        self.data = self.keys = folder
        self.restored = Restored(operators=())

    def ask(self, operation: str, **arguments: Any) -> dict[str, Any]:
        return desk.ask(self.household, operation, **arguments)

    def back_up(self) -> None:
        self.back_up_data()
        self.back_up_keys()

    def back_up_data(self) -> None:
        self.data = make.make(self.household.service, make.DATA, self.folder, PASSPHRASE)

    def back_up_keys(self) -> None:
        self.keys = make.make(self.household.service, make.KEYS, self.folder, PASSPHRASE)

    def restore(self, *, onto: str, **newest: Path) -> Household:
        """The server ends, and the backup is put onto this folder; it starts there."""
        self.household.close()
        clock = self.household.clock
        clock.now_s += 60
        sets = Sets(data=self.data, keys=self.keys, passphrase=PASSPHRASE, key=self.kek, **newest)
        self.restored = restore(self.folder / onto, sets, clock(), replace=True)
        self.household = Household(self.folder / onto, clock)
        return self.household
