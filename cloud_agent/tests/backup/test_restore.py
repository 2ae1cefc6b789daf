"""Backup, erase, restore, start: gone before the first request is served."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from cloud_agent.accounts import accounts
from cloud_agent.backup import make, sealed_file, sheet
from cloud_agent.backup.restore import Sets, restore
from cloud_agent.backup.sealed_file import BackupError
from cloud_agent.errors import (
    BusyError,
    KeyEncryptionKeyError,
    LedgerError,
    RefusedError,
    UsageError,
)
from cloud_agent.privacy import export, kek
from cloud_agent.privacy.requests import operations as requests
from cloud_agent.tests.household import PASSWORD, Household
from cloud_agent.tests.privacy import witness
from cloud_agent.tests.privacy.home import Home

PASSPHRASE = "a passphrase of some length"
DAY_S = 86_400


@pytest.fixture(autouse=True)
def _cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    cost = {"n": 2**4, "r": 1, "p": 1, "maxmem": 2**20, "dklen": 32}
    monkeypatch.setattr(sealed_file, "_COST", cost)


class Backups:
    """Both sets of a home, made today, and its key on paper."""

    def __init__(self, home: Home, folder: Path) -> None:
        folder.mkdir()
        self.home = home
        self.folder = folder
        self.data = make.make(home.service, make.DATA, folder, PASSPHRASE)
        self.keys = make.make(home.service, make.KEYS, folder, PASSPHRASE)
        self.sheet = sheet.to_text(kek.load_or_create(home.service.folder.kek, may_create=False))

    def sets(self, *, ledger: Path | None = None, key: bool = True) -> Sets:
        return Sets(
            data=self.data,
            keys=self.keys,
            passphrase=PASSPHRASE,
            ledger=ledger,
            key=sheet.from_text(self.sheet) if key else None,
        )

    def restore(self, root: Path, *, ledger: Path | None = None, later_s: int = 0) -> None:
        restore(root, self.sets(ledger=ledger), self.home.household.clock() + later_s)


@pytest.fixture
def backups(home: Home, tmp_path: Path) -> Backups:
    return Backups(home, tmp_path / "backups")


def contents(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


class TestRehearsal:
    def test_everything_comes_back(self, home: Home, backups: Backups, tmp_path: Path) -> None:
        before = contents(export.make_export(home.service, home.ann))
        root = tmp_path / "elsewhere"
        backups.restore(root)
        again = Household(root, home.household.clock)
        try:
            assert contents(export.make_export(again.service, home.ann)) == before
            ann = accounts.authenticate(again.service, "ann.canary@example.org", PASSWORD)
            assert ann == home.ann
            assert again.service.receipts.public_key == home.service.receipts.public_key
        finally:
            again.close()

    def test_who_was_erased_since_is_gone_before_anybody_is_served(
        self, home: Home, backups: Backups, tmp_path: Path
    ) -> None:
        bobs = contents(export.make_export(home.service, home.bob))
        home.erase()
        root = tmp_path / "elsewhere"
        backups.restore(root, ledger=home.service.folder.ledger)
        assert witness.found(root, home.patterns), "the control: the restore did bring her back"
        again = Household(root, home.household.clock)
        try:
            assert witness.found(root, home.patterns) == {}
            with pytest.raises(RefusedError):
                accounts.authenticate(again.service, "ann.canary@example.org", PASSWORD)
            assert contents(export.make_export(again.service, home.bob)) == bobs
        finally:
            again.close()

    def test_over_the_same_folder_its_own_ledger_counts(self, home: Home, backups: Backups) -> None:
        home.erase()
        home.service.close()
        sets = backups.sets(key=False)
        now_s = home.household.clock()
        with pytest.raises(UsageError, match="--replace"):
            restore(home.root, sets, now_s)
        restore(home.root, sets, now_s, replace=True)
        again = Household(home.root, home.household.clock)
        try:
            assert witness.found(home.root, home.patterns) == {}
            assert len(again.service.receipts.head) == 2
        finally:
            again.close()

    def test_readings_that_were_erased_stay_gone(
        self, home: Home, backups: Backups, tmp_path: Path
    ) -> None:
        login = {"email": "ann.canary@example.org", "password": PASSWORD}
        requests.erase(home.service, login | {"only_readings": True})
        root = tmp_path / "elsewhere"
        backups.restore(root, ledger=home.service.folder.ledger)
        again = Household(root, home.household.clock)
        try:
            exported = contents(export.make_export(again.service, home.ann))
            assert json.loads(exported["readings.json"]) == []
        finally:
            again.close()

    def test_a_handle_that_was_given_since_is_not_given_again(
        self, home: Home, backups: Backups, tmp_path: Path
    ) -> None:
        root = tmp_path / "elsewhere"
        backups.restore(root)
        again = Household(root, home.household.clock)
        try:
            carl = again.open_account("carl@example.org")
            scale = home.scale
            again.service.writer.call(lambda c: c.exec_driver_sql("UPDATE claim SET until_s = 1"))
            again.claim(carl, scale)
            assert scale.handle > 64
        finally:
            again.close()


class TestRefusals:
    def test_keys_whose_time_is_over(self, backups: Backups, tmp_path: Path) -> None:
        with pytest.raises(BackupError, match="time of this backup of keys is over"):
            backups.restore(tmp_path / "elsewhere", later_s=make.KEYS_LIVE_S)
        assert not (tmp_path / "elsewhere" / "tare.db").exists()

    def test_an_older_ledger_than_the_database(self, home: Home, tmp_path: Path) -> None:
        """The control of the rehearsal: with what was before the erasure nothing starts."""
        old = tmp_path / "old-ledger"
        shutil.copy(home.service.folder.ledger, old)
        home.erase()
        backups = Backups(home, tmp_path / "backups")
        root = tmp_path / "elsewhere"
        backups.restore(root)
        shutil.copy(old, root / "ledger")
        with pytest.raises(LedgerError, match="older"):
            Household(root, home.household.clock)

    def test_the_ledger_of_another_installation(
        self, home: Home, backups: Backups, tmp_path: Path
    ) -> None:
        del home
        other = Household(tmp_path / "other")
        other.close()
        with pytest.raises(BackupError, match="two installations"):
            backups.restore(tmp_path / "elsewhere", ledger=tmp_path / "other" / "ledger")

    def test_sets_that_were_taken_for_each_other(self, backups: Backups, tmp_path: Path) -> None:
        backups.data, backups.keys = backups.keys, backups.data
        with pytest.raises(BackupError, match="not of data"):
            backups.restore(tmp_path / "elsewhere")

    def test_without_the_key(self, home: Home, backups: Backups, tmp_path: Path) -> None:
        root = tmp_path / "elsewhere"
        sets = backups.sets(key=False)
        with pytest.raises(KeyEncryptionKeyError, match="recovery sheet"):
            restore(root, sets, home.household.clock())
        assert list((root / "staging").iterdir()) == []

    def test_while_a_server_has_the_folder(self, home: Home, backups: Backups) -> None:
        with pytest.raises(BusyError):
            restore(home.root, backups.sets(), home.household.clock(), replace=True)


class TestTime:
    def test_the_horizon_is_the_end_of_the_last_backup_of_keys(
        self, home: Home, tmp_path: Path
    ) -> None:
        assert make.horizon_s(home.service) is None
        backups = Backups(home, tmp_path / "backups")
        end_s = home.household.clock() + make.KEYS_LIVE_S
        assert make.horizon_s(home.service) == end_s
        login = {"email": "ann.canary@example.org", "password": PASSWORD}
        answer = requests.erase(home.service, login)
        home.household.confirm_orders(home.scale)
        arguments = {"request": answer["request"], "nonce": answer["receipt_code"]}
        document = requests.receipt(home.service, arguments)["document"]
        assert json.loads(document)["receipt"]["backup_horizon"].startswith("2026-11-25T")
        home.household.clock.now_s += make.KEYS_LIVE_S
        assert make.horizon_s(home.service) is None
        assert backups.keys.exists()
        make.make(home.service, make.KEYS, backups.folder, PASSPHRASE)
        assert not backups.keys.exists(), "its time is over"
        assert backups.data.exists()


_CHILD = """
import os, pkgutil, signal, sys
from pathlib import Path
from cloud_agent.backup import make, sealed_file, sheet
from cloud_agent.backup.restore import Sets, restore
from cloud_agent.tests.household import NOW_S

sealed_file._COST = {"n": 2**4, "r": 1, "p": 1, "maxmem": 2**20, "dklen": 32}
root, data, keys, key, place, count = sys.argv[1:]
owner, _, name = place.rpartition(".")
owner = pkgutil.resolve_name(owner)
original = getattr(owner, name)
calls = [0]

def cut(*arguments, **options):
    calls[0] += 1
    if calls[0] == int(count):
        os.kill(os.getpid(), signal.SIGKILL)
    return original(*arguments, **options)

setattr(owner, name, cut)
sets = Sets(data=Path(data), keys=Path(keys), passphrase="a passphrase of some length",
            key=bytes.fromhex(key))
restore(Path(root), sets, NOW_S, replace=True)
"""


@pytest.mark.parametrize("count", [1, 2, 3, 5, 8])
@pytest.mark.parametrize(
    "place", ["cloud_agent.backup.restore.sync_folder", "pathlib.Path.replace"]
)
def test_a_restore_that_is_killed_is_as_before_or_finished(
    home: Home, backups: Backups, tmp_path: Path, place: str, count: int
) -> None:
    """Over an installation of somebody else: either theirs is there, or all of ours is."""
    root = tmp_path / "other"
    other = Household(root)
    eve = other.open_account("eve@example.org", "Eve")
    other.close()
    (root / "ledger").unlink()  # else the ledgers would not fit
    shutil.copy(home.service.folder.ledger, root / "ledger")
    key = kek.load_or_create(home.service.folder.kek, may_create=False).hex()
    command = [sys.executable, "-c", _CHILD, str(root), str(backups.data), str(backups.keys)]
    child = subprocess.run(
        [*command, key, place, str(count)],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONWARNINGS": "error"},
    )
    assert child.returncode in {0, -signal.SIGKILL}, child.stderr
    begun = (root / "staging" / "ready").exists()
    again = Household(root, home.household.clock)
    try:
        found = accounts.by_id(again.service.database, home.ann.id)
        if begun or child.returncode == 0:
            assert found == home.ann
            assert len(contents(export.make_export(again.service, home.ann))) > 5
        else:
            assert found == home.ann or accounts.by_id(again.service.database, eve.id) == eve
        assert list((root / "staging").iterdir()) == []
    finally:
        again.close()


def test_a_backup_of_a_running_server_does_not_hold_it_up(home: Home, tmp_path: Path) -> None:
    """While the data are packed, readings are stored."""
    folder = tmp_path / "backups"
    folder.mkdir()
    real = sealed_file.write

    def slow(*arguments: object) -> None:
        frame = home.household.weigh(home.scale, [72_777])
        home.household.deliver(home.scale, frame)
        real(*arguments)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sealed_file, "write", slow)
        make.make(home.service, make.DATA, folder, PASSPHRASE)
    assert (72_777,) in home.values(home.ann)
    assert list(home.service.folder.staging.iterdir()) == []


def test_no_erased_row_is_in_a_backup(home: Home, tmp_path: Path) -> None:
    home.erase()
    backups = Backups(home, tmp_path / "backups")
    for path in (backups.data, backups.keys):
        folder = tmp_path / path.stem
        folder.mkdir()
        sealed_file.unpack(path, folder, PASSPHRASE)
        assert witness.found(folder, home.patterns) == {}
