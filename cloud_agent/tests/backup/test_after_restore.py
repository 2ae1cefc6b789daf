"""What receipts say after a restore: what the restored files do not know is not left out."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from cloud_agent.backup import make, sealed_file
from cloud_agent.readings.zones import iso_text
from cloud_agent.tests.backup.machine import ANN, Machine

DAY_S = 86_400


@pytest.fixture(autouse=True)
def _cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    cost = {"n": 2**4, "r": 1, "p": 1, "maxmem": 2**20, "dklen": 32}
    monkeypatch.setattr(sealed_file, "_COST", cost)


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    """Ann's account is on it."""
    made = Machine(tmp_path)
    made.household.open_account(ANN["email"], "Ann")
    yield made
    made.household.close()


def test_the_horizon_counts_backups_of_keys_that_the_restored_database_does_not_know(
    machine: Machine,
) -> None:
    clock = machine.household.clock
    machine.back_up_data()
    clock.now_s += 6 * DAY_S
    machine.back_up_keys()
    made_s = clock()
    clock.now_s += DAY_S
    machine.restore(onto="data")
    listed = machine.ask("backup.list")["backups"]
    assert (machine.keys.name, made_s + make.KEYS_LIVE_S) in [
        (each["name"], each["until_s"]) for each in listed
    ]
    document = machine.ask("account.erase", **ANN)["document"]
    # Another may have been made up to the moment of the restore.
    horizon = iso_text(clock() + make.KEYS_LIVE_S, 0)
    assert json.loads(document)["receipt"]["backup_horizon"] == horizon
    clock.now_s += make.KEYS_LIVE_S
    assert make.horizon_s(machine.household.service) is None


def test_a_set_that_the_database_knows_is_noted_once(machine: Machine) -> None:
    machine.back_up_keys()
    machine.back_up_data()
    machine.restore(onto="elsewhere")
    names = [each["name"] for each in machine.ask("backup.list")["backups"]]
    assert names.count(machine.keys.name) == 1
