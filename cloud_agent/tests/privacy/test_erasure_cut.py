"""kill -9 in the midst of an erasure, before and after every step: at the next start it is as
if nothing had begun, or it is carried through; never anything between.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from cloud_agent.accounts import accounts
from cloud_agent.errors import RefusedError
from cloud_agent.privacy import export
from cloud_agent.privacy.ledger import Ledger
from cloud_agent.readings import listing
from cloud_agent.tests.household import PASSWORD, Household
from cloud_agent.tests.privacy import witness

# The steps of the erasure, as (module, attribute): the child kills itself at one of them.
STEPS = (
    ("cloud_agent.privacy.plan", "collect"),
    ("cloud_agent.privacy.proof", "look_before"),
    ("cloud_agent.privacy.proof", "note_before"),
    ("cloud_agent.privacy.plan", "save"),
    ("cloud_agent.privacy.ledger.Ledger", "append"),
    ("cloud_agent.privacy.keystore.SqliteKeyStore", "destroy"),
    ("cloud_agent.privacy.erasure", "remove_durably"),
    ("cloud_agent.privacy.catalogue", "erase_rows"),
    ("cloud_agent.storage.database.Database", "compact"),
    ("cloud_agent.privacy.proof", "look_after"),
    ("cloud_agent.privacy.proof", "note_after"),
)

_CHILD = """
import os, pkgutil, signal, sys
from pathlib import Path
from cloud_agent.accounts import accounts
from cloud_agent.privacy import erasure
from cloud_agent.service import Service
from cloud_agent.tests.household import NOW_S, PASSWORD

root, owner, name, moment, scope = sys.argv[1:]
service = Service.open(Path(root), now=lambda: NOW_S)
place = pkgutil.resolve_name(owner)
original = getattr(place, name)

def cut(*arguments, **options):
    if moment == "after":
        original(*arguments, **options)
    os.kill(os.getpid(), signal.SIGKILL)

setattr(place, name, cut)
account = accounts.authenticate(service, "ann.canary@example.org", PASSWORD)
erasure.erase(service, account, only_readings=scope == "readings")
"""


# Where only the readings go, one step is another.
READINGS_STEPS = tuple(
    ("cloud_agent.privacy.vault.Vault", "replace") if name == "destroy" else (owner, name)
    for owner, name in STEPS
)


@pytest.fixture(scope="module")
def furnished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, bytes]]:
    """A closed folder with Ann and Bob in it, and what may not be left of Ann."""
    root = tmp_path_factory.mktemp("furnished") / "data"
    household = Household(root)
    ann = household.open_account("ann.canary@example.org", "Ann Canary Archer")
    bob = household.open_account("bob@example.org", "Bob")
    for account, grams in ((ann, 72_000), (bob, 81_000)):
        scale = household.add_scale()
        household.claim(account, scale)
        household.deliver(scale, household.weigh(scale, [grams, grams + 1]))
    export.make_export(household.service, ann)
    household.close()
    return root, witness.collect(root, ["ann.canary@example.org"], [ann.subject, ann.id])


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize(("owner", "name"), STEPS, ids=[name for _, name in STEPS])
def test_a_cut_at_any_step_converges(
    furnished: tuple[Path, dict[str, bytes]],
    tmp_path: Path,
    owner: str,
    name: str,
    moment: str,
) -> None:
    source, patterns = furnished
    root = tmp_path / "data"
    shutil.copytree(source, root)
    begun = cut(root, owner, name, moment, "all")
    household = Household(root)
    try:
        if begun:
            check_gone(household, patterns)
        else:
            check_untouched(household)
        check_bob(household)
        assert household.service.ledger.unfinished() == []
    finally:
        household.close()
    ledger = Ledger(root / "ledger")
    ledger.close()


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize(
    ("owner", "name"), READINGS_STEPS, ids=[name for _, name in READINGS_STEPS]
)
def test_a_cut_while_only_the_readings_go(
    furnished: tuple[Path, dict[str, bytes]], tmp_path: Path, owner: str, name: str, moment: str
) -> None:
    """The account is there before and after, and takes readings again."""
    source, patterns = furnished
    measured = {
        label: data
        for label, data in patterns.items()
        if label.startswith(("reading", "frame", "ingest"))
    }
    assert measured
    root = tmp_path / "data"
    shutil.copytree(source, root)
    begun = cut(root, owner, name, moment, "readings")
    household = Household(root)
    try:
        if begun:
            assert witness.found(root, measured) == {}
            check_goes_on(household)
        else:
            check_untouched(household)
        check_bob(household)
        assert household.service.ledger.unfinished() == []
    finally:
        household.close()


def cut(root: Path, owner: str, name: str, moment: str, scope: str) -> bool:  # one cut
    """Kills a child at that step of its erasure; whether the ledger has it as begun."""
    child = subprocess.run(
        [sys.executable, "-c", _CHILD, str(root), owner, name, moment, scope],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONWARNINGS": "error"},
    )
    assert child.returncode == -signal.SIGKILL, child.stderr
    return b'"kind":"begun"' in (root / "ledger").read_bytes()


def check_goes_on(household: Household) -> None:
    """No reading is left, and the next one is kept."""
    service = household.service
    ann = accounts.authenticate(service, "ann.canary@example.org", PASSWORD)
    assert listing.list_readings(service.database, service.vault, ann.subject) == []
    scale = household.add_scale()
    household.claim(ann, scale)
    household.deliver(scale, household.weigh(scale, [71_000]))
    found = listing.list_readings(service.database, service.vault, ann.subject)
    assert [reading.content.values for reading in found] == [(71_000,)]


def check_gone(household: Household, patterns: dict[str, bytes]) -> None:
    service = household.service
    assert witness.found(service.folder.root, patterns) == {}
    with pytest.raises(RefusedError):
        accounts.authenticate(service, "ann.canary@example.org", PASSWORD)


def check_untouched(household: Household) -> None:
    service = household.service
    ann = accounts.authenticate(service, "ann.canary@example.org", PASSWORD)
    found = listing.list_readings(service.database, service.vault, ann.subject)
    assert [reading.content.values for reading in found] == [(72_000,), (72_001,)]
    assert list(service.folder.erasures.iterdir()) == []


def check_bob(household: Household) -> None:
    service = household.service
    bob = accounts.authenticate(service, "bob@example.org", PASSWORD)
    found = listing.list_readings(service.database, service.vault, bob.subject)
    assert [reading.content.values for reading in found] == [(81_000,), (81_001,)]


STRACE = shutil.which("strace")
_WHOLE = """
import sys
from pathlib import Path
from cloud_agent.accounts import accounts
from cloud_agent.privacy import erasure
from cloud_agent.service import Service
from cloud_agent.tests.household import NOW_S, PASSWORD

service = Service.open(Path(sys.argv[1]), now=lambda: NOW_S)
account = accounts.authenticate(service, "ann.canary@example.org", PASSWORD)
erasure.erase(service, account)
service.close()
"""
# The most syncs of one file in one erasure; a test below sees to it that this is enough.
_MOST_SYNCS = 40


@pytest.mark.skipif(STRACE is None, reason="strace is not installed")
@pytest.mark.parametrize("name", ["tare.db", "tare.db-wal", "keys.db", "keys.db-journal", "ledger"])
def test_a_cut_at_any_sync_of_a_file_converges(
    furnished: tuple[Path, dict[str, bytes]], tmp_path: Path, name: str
) -> None:
    """Killed at its first, second, third ... sync, SQLite's own among them, until none is left."""
    source, patterns = furnished
    cuts = 0
    for count in range(1, _MOST_SYNCS):
        root = tmp_path / f"data{count}"
        shutil.copytree(source, root)
        killed = _killed_at_sync(root, name, count)
        household = Household(root)
        try:
            if b'"kind":"begun"' in (root / "ledger").read_bytes():
                check_gone(household, patterns)
            else:
                check_untouched(household)
            check_bob(household)
        finally:
            household.close()
        shutil.rmtree(root)
        if not killed:
            break
        cuts += 1
    assert 0 < cuts < _MOST_SYNCS - 1, "none, or more than were tried"


def _killed_at_sync(root: Path, name: str, count: int) -> bool:
    """Whether there was such a sync, at which the child was killed."""
    injected = f"inject=fsync,fdatasync:signal=SIGKILL:when={count}"
    trace = [str(STRACE), "-f", "-q", "-o", "/dev/null", "-P", str(root / name)]
    command = [*trace, "-e", "trace=fsync,fdatasync", "-e", injected]
    child = subprocess.run(
        [*command, sys.executable, "-c", _WHOLE, str(root)],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONWARNINGS": "error"},
    )
    # strace dies of what its child died of.
    assert child.returncode in {0, -signal.SIGKILL}, child.stderr
    return child.returncode != 0
