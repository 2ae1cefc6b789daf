"""A restore brings nobody back."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import sqlalchemy as sa

from cloud_agent.errors import LedgerError
from cloud_agent.readings import listing
from cloud_agent.storage import schema
from cloud_agent.tests.household import Household
from cloud_agent.tests.privacy import witness
from cloud_agent.tests.privacy.home import Home, assert_gone
from protocol import command


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """A place for a backup of the whole folder."""
    return tmp_path / "backup"


class TestRestore:
    """A backup of yesterday comes back after the erasure of today."""

    def restore(self, home: Home, backup: Path, *names: str) -> None:
        home.service.close()
        for name in names:
            for suffix in ("", "-wal", "-shm"):
                (home.root / f"{name}{suffix}").unlink(missing_ok=True)
                if (backup / f"{name}{suffix}").exists():
                    shutil.copy(backup / f"{name}{suffix}", home.root / f"{name}{suffix}")

    def test_both_databases_do_not_bring_anyone_back(self, home: Home, copied: Path) -> None:
        shutil.copytree(home.root, copied)
        home.erase()
        self.restore(home, copied, "tare.db", "keys.db")
        assert witness.found(home.root, home.patterns), "the restore did bring her back"
        reopened = Household(home.root, home.household.clock)
        assert_gone(home.root, home.patterns)
        found = listing.list_readings(
            reopened.service.database, reopened.service.vault, home.bob.subject
        )
        assert len(found) == 12
        reopened.close()

    def test_the_device_is_told_again(self, home: Home, copied: Path) -> None:
        shutil.copytree(home.root, copied)
        home.erase()
        self.restore(home, copied, "tare.db", "keys.db")
        reopened = Household(home.root, home.household.clock)
        outbox = schema.command_outbox
        where = (outbox.c.state == "waiting", outbox.c.verb == command.VERB_ERASE)
        with reopened.service.database.reading() as connection:
            told = list(connection.execute(sa.select(outbox.c.device).where(*where)).scalars())
        assert told == [home.scale.id]
        reopened.close()

    def test_the_main_database_alone_does_not(self, home: Home, copied: Path) -> None:
        shutil.copytree(home.root, copied)
        home.erase()
        self.restore(home, copied, "tare.db")
        reopened = Household(home.root, home.household.clock)
        assert_gone(home.root, home.patterns)
        reopened.close()

    def test_an_older_ledger_is_refused(self, home: Home, copied: Path) -> None:
        shutil.copytree(home.root, copied)
        home.erase()
        home.service.close()
        shutil.copy(copied / "ledger", home.root / "ledger")
        with pytest.raises(LedgerError, match="older"):
            Household(home.root)

    def test_a_missing_ledger_is_refused(self, home: Home) -> None:
        home.erase()
        home.service.close()
        (home.root / "ledger").unlink()
        with pytest.raises(LedgerError):
            Household(home.root)
