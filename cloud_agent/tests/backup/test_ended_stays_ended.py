"""What people ended or deleted after a backup is not brought back by it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from cloud_agent.accounts import accounts, changes
from cloud_agent.accounts.accounts import Account
from cloud_agent.backup import sealed_file
from cloud_agent.errors import LedgerError, RefusedError, StorageError
from cloud_agent.privacy import partners
from cloud_agent.privacy.partners import Category
from cloud_agent.tests.backup.machine import ANN, Machine
from cloud_agent.tests.household import Household
from cloud_agent.tests.mail.postbox import in_folder, link_in

OPERATOR = {"operator": "priva", "operator_password": "crimson otter marches 42"}


@pytest.fixture(autouse=True)
def _cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    cost = {"n": 2**4, "r": 1, "p": 1, "maxmem": 2**20, "dklen": 32}
    monkeypatch.setattr(sealed_file, "_COST", cost)


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    made = Machine(tmp_path)
    yield made
    made.household.close()


@pytest.fixture
def ann(machine: Machine) -> Account:
    return machine.household.open_account(ANN["email"], "Ann")


@pytest.fixture(params=["data", "elsewhere"])
def onto(request: pytest.FixtureRequest) -> str:
    """Over the installation that is there, or onto a new machine."""
    return str(request.param)


def restore(machine: Machine, onto: str) -> Household:
    return machine.restore(onto=onto, ledger=machine.folder / "data" / "ledger")


def consents(household: Household, account: Account) -> bool:
    with household.service.database.reading() as connection:
        return accounts.has_health_consent(connection, account.subject)


def test_a_consent_that_was_withdrawn(machine: Machine, ann: Account, onto: str) -> None:
    machine.back_up()
    machine.ask("account.consent", **ANN)
    ended = machine.ask("account.show", **ANN)["consents"]
    restored = restore(machine, onto)
    assert not consents(restored, ann)
    with pytest.raises(RefusedError, match="consent"):
        machine.ask("readings.add", weight="72.5", **ANN)
    assert machine.ask("account.show", **ANN)["consents"] == ended, "with the day of then"


def test_a_consent_that_was_given_again_holds(machine: Machine, ann: Account) -> None:
    machine.ask("account.consent", **ANN)
    machine.ask("account.consent", version="1", **ANN)
    machine.back_up()
    restored = restore(machine, "elsewhere")
    assert consents(restored, ann)
    machine.ask("readings.add", weight="72.5", **ANN)
    restored.close()
    machine.household = Household(machine.folder / "elsewhere", restored.clock)
    assert consents(machine.household, ann), "no start takes it for the one of before"


def test_consents_for_partners_after_an_objection(
    machine: Machine, ann: Account, onto: str
) -> None:
    service = machine.household.service
    gym = partners.add(service, "Gym", "gym@example.org", bytes(32))
    shop = partners.add(service, "Shop", "shop@example.org", bytes(32))
    for each in (gym, shop):
        partners.give_consent(service, ann, each, Category.WEIGHT, "1")
    machine.back_up()
    machine.ask("request.open", kind="objection", **ANN)
    restored = restore(machine, onto)
    found = partners.consents(restored.service, ann.subject)
    assert [each.withdrawn_s is None for each in found] == [False, False]


def test_a_reading_that_was_deleted_for_good(machine: Machine, ann: Account, onto: str) -> None:
    del ann
    kept = machine.ask("readings.add", weight="72.5", **ANN)["id"]
    removed = machine.ask("readings.add", weight="81.437", **ANN)["id"]
    machine.ask("readings.correct", id=removed, weight="81.5", **ANN)
    machine.back_up()
    machine.ask("readings.remove", id=removed, **ANN)
    restore(machine, onto)
    assert [each["id"] for each in machine.ask("readings.list", **ANN)["readings"]] == [kept]


def test_the_control_without_the_ledger_all_of_it_is_back(machine: Machine, ann: Account) -> None:
    removed = machine.ask("readings.add", weight="81.437", **ANN)["id"]
    machine.back_up()
    machine.ask("readings.remove", id=removed, **ANN)
    machine.ask("account.consent", **ANN)
    restored = machine.restore(onto="elsewhere")
    assert consents(restored, ann)
    assert [each["id"] for each in machine.ask("readings.list", **ANN)["readings"]] == [removed]


def test_nothing_is_ended_that_the_ledger_does_not_have(
    machine: Machine, ann: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    reading = machine.ask("readings.add", weight="81.437", **ANN)["id"]
    ledger = machine.household.service.ledger

    def full(lines: bytes) -> None:
        raise StorageError(f"no room for {len(lines)} bytes")

    monkeypatch.setattr(ledger._file, "append", full)
    with pytest.raises(LedgerError):
        machine.ask("account.consent", **ANN)
    with pytest.raises(LedgerError):
        machine.ask("readings.remove", id=reading, **ANN)
    assert consents(machine.household, ann)
    assert [each["id"] for each in machine.ask("readings.list", **ANN)["readings"]] == [reading]


def test_a_session_and_a_link_for_a_new_password(machine: Machine, ann: Account, onto: str) -> None:
    del ann
    session = machine.ask("account.sign-in", **ANN)["session"]
    changes.ask_for_recovery(machine.household.service, ANN["email"])
    [letter] = in_folder(machine.household.service.folder.mail)
    machine.back_up()
    assert machine.ask("account.show", session=session)["email"] == ANN["email"]
    machine.ask("account.sign-out", session=session)
    restore(machine, onto)
    with pytest.raises(RefusedError, match="not signed in"):
        machine.ask("account.show", session=session)
    with pytest.raises(RefusedError, match="link"):
        changes.recover(machine.household.service, link_in(letter), "eleven quiet lamps glow")


def test_an_operator_who_left(machine: Machine, onto: str) -> None:
    password = OPERATOR["operator_password"]
    machine.ask("operator.add", name="priva", role="privacy", new_password=password)
    other = "purple walrus dances 77"
    machine.ask("operator.add", name="left", role="privacy", new_password=other, **OPERATOR)
    machine.back_up()
    machine.ask("operator.remove", name="left", **OPERATOR)
    restore(machine, onto)
    assert machine.ask("operator.list")["operators"] == []
    assert machine.restored.operators == ("left", "priva")
