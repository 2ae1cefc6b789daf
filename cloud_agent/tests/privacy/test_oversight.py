"""Who read what is written down; who runs the service has the least rights; breaches are told."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import sqlalchemy as sa

from cloud_agent import housekeeping
from cloud_agent.accounts import operators
from cloud_agent.accounts.operators import Role
from cloud_agent.control import Operation
from cloud_agent.devices.operations import DeviceOperations
from cloud_agent.errors import NotFoundError, RefusedError, UsageError
from cloud_agent.operations import OPERATIONS
from cloud_agent.privacy import access_log, breaches, erasure
from cloud_agent.storage.oversight_schema import access, access_of_erased, breach
from cloud_agent.tests.household import NOW_S, PASSWORD
from cloud_agent.tests.mail.postbox import in_folder
from cloud_agent.tests.privacy.home import Home

ANN = {"email": "ann.canary@example.org", "password": PASSWORD}
BOB = {"email": "bob@example.org", "password": PASSWORD}
HOUR_S = 3_600
OPERATOR_PASSWORD = "nine tall ships at anchor"

# Operations that show a person something of theirs, and the arguments they need beside the login.
READS: dict[str, dict[str, Any]] = {
    "account.show": {},
    "account.export": {},
    "readings.list": {},
    "readings.tray": {},
    "readings.history": {},
    "partner.disclosures": {},
}
# What else the server does. A new operation has to be put into one of the two.
READS_NOTHING = {
    "account.accesses",
    "account.ask-for-recovery",
    "account.change",
    "account.confirm-address",
    "account.consent",
    "account.create",
    "account.erase",
    "account.lift-restriction",
    "account.password",
    "account.recover",
    "account.sessions",
    "account.sign-in",
    "account.sign-out",
    "backup.list",
    "backup.make",
    "breach.affected",
    "breach.close",
    "breach.list",
    "breach.open",
    "breach.told",
    "erasure.status",
    "frames.refused",
    "operator.add",
    "operator.list",
    "operator.remove",
    "partner.add",
    "partner.answer",
    "partner.consent",
    "partner.hand-over",  # what the partner was given itself
    "partner.list",
    "partner.notices",
    "partner.of-request",
    "partner.withdraw",
    "readings.add",
    "readings.correct",
    "readings.decline",
    "readings.error",
    "readings.offer",
    "readings.remove",
    "readings.take",
    "receipts.head",
    "request.assign",
    "request.confirm",
    "request.enter",
    "request.extend",
    "request.find",  # written down as a search: below
    "request.list",
    "request.mine",
    "request.open",
    "request.pause",
    "request.read",  # written down where the person is known: below
    "request.receipt",
    "request.rectify",
    "request.refuse",
    "request.resume",
    "request.revoke",
    "request.show",
    "request.verify",
}


def ask(home: Home, operation: str, **arguments: Any) -> dict[str, Any]:
    async def run() -> dict[str, Any]:
        return await OPERATIONS[operation](home.service, arguments)

    return asyncio.run(run())


def test_every_operation_is_known_to_read_or_not() -> None:
    known = set(READS) | READS_NOTHING
    assert set(OPERATIONS) == known


@pytest.mark.parametrize("name", READS)
def test_what_reads_is_written_down(home: Home, name: str) -> None:
    [row] = ask(home, "readings.list", **ANN, limit=1)["readings"]
    before = len(access_log.of_person(home.service, home.ann.subject))
    ask(home, name, **ANN, id=row["id"])
    found = access_log.of_person(home.service, home.ann.subject)
    assert len(found) == before + 1
    assert (found[-1].actor_kind, found[-1].actor) == ("person", home.ann.id.hex())
    assert access_log.of_person(home.service, home.bob.subject) == []


def test_it_is_written_down_before_it_is_read(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_arguments: object, **_options: object) -> None:
        raise RuntimeError("the reading broke")

    monkeypatch.setattr("cloud_agent.readings.listing.list_readings", fail)
    with pytest.raises(RuntimeError):
        ask(home, "readings.list", **ANN)
    assert len(access_log.of_person(home.service, home.ann.subject)) == 1


def test_an_operator_says_why_and_the_person_sees_it(home: Home) -> None:
    with pytest.raises(UsageError, match="reason"):
        ask(home, "request.find", email=ANN["email"])
    found = ask(home, "request.find", email="Ann.Canary@example.org", reason="her letter of today")
    assert found["account"] == home.ann.id.hex()
    [seen] = ask(home, "account.accesses", **ANN)["accesses"]
    assert (seen["who"], seen["what"]) == ("operator local", "search")
    assert seen["reason"] == "her letter of today"
    with pytest.raises(NotFoundError):
        ask(home, "request.find", email="nobody@example.org", reason="a letter")


def test_the_log_ends_after_a_year_and_with_the_person(home: Home) -> None:
    ask(home, "readings.list", **BOB)
    home.household.clock.now_s += 364 * 24 * HOUR_S
    housekeeping.keep_house(home.service)
    assert len(access_log.of_person(home.service, home.bob.subject)) == 1
    ask(home, "readings.list", **ANN)
    erasure.erase(home.service, home.ann)
    assert access_log.of_person(home.service, home.ann.subject) == []
    home.household.clock.now_s += 2 * 24 * HOUR_S
    housekeeping.keep_house(home.service)
    assert access_log.of_person(home.service, home.bob.subject) == []


def test_a_person_is_found_by_a_device_and_their_address_is_not_shown(home: Home) -> None:
    found = ask(home, "request.find", device=home.scale.id, reason="a scale was handed in")
    assert (found["account"], found["address"]) == (home.ann.id.hex(), "a…@e….org")
    assert "canary" not in str(found)
    [seen] = access_log.of_person(home.service, home.ann.subject)
    assert (seen.what, seen.reason) == ("search", "a scale was handed in")
    for nobody in (home.household.add_scale().id, "no device"):
        with pytest.raises(NotFoundError):
            ask(home, "request.find", device=nobody, reason="a scale was handed in")
    with pytest.raises(UsageError):
        ask(home, "request.find", device=home.scale.id)


@pytest.mark.parametrize("reason", [None, ""])
def test_the_database_wants_a_reason_of_an_operator(home: Home, reason: str | None) -> None:
    row: dict[str, object] = {"at_s": 1, "actor_kind": "operator", "actor": "x", "what": "y"}
    row |= {"reason": reason, "subject": home.ann.subject}
    with pytest.raises(sa.exc.IntegrityError):
        home.service.writer.call(lambda c: c.execute(access.insert().values(row)))


async def _do(operation: Operation, home: Home) -> dict[str, Any]:
    return await operation(home.service, {})


class TestOperators:
    def add(self, home: Home, name: str, role: Role) -> dict[str, str]:
        operators.add(home.service, name, role, OPERATOR_PASSWORD)
        return {"operator": name, "operator_password": OPERATOR_PASSWORD}

    def test_from_the_first_one_on_clerks_are_asked_who_they_are(self, home: Home) -> None:
        assert ask(home, "request.list") == {"requests": []}
        clerk = self.add(home, "ines", Role.CLERK)
        with pytest.raises(RefusedError, match="operators"):
            ask(home, "request.list")
        assert ask(home, "request.list", **clerk) == {"requests": []}
        wrong = clerk | {"operator_password": "another"}
        with pytest.raises(RefusedError, match="wrong"):
            ask(home, "request.list", **wrong)
        with pytest.raises(RefusedError, match="wrong"):
            ask(home, "request.list", **(clerk | {"operator": "nobody"}))

    def test_each_role_does_its_work_and_no_other(self, home: Home) -> None:
        people = {role: self.add(home, role.value, role) for role in Role}
        may = {
            "request.list": {Role.CLERK, Role.PRIVACY},
            "breach.list": {Role.PRIVACY},
            "backup.list": {Role.TECHNICIAN},
            "frames.refused": {Role.TECHNICIAN},
        }
        for operation, allowed in may.items():
            for role, who in people.items():
                if role in allowed:
                    ask(home, operation, **who)
                else:
                    with pytest.raises(RefusedError, match="role"):
                        ask(home, operation, **who)

    def test_devices_and_backups_are_the_technicians(self, home: Home) -> None:
        ask(home, "backup.list")
        self.add(home, "ines", Role.CLERK)
        of_devices = DeviceOperations(home.service).table()
        for name in ("device.list", "device.enrol-begin", "device.enrol-answer"):
            with pytest.raises(RefusedError, match="operators"):
                asyncio.run(_do(of_devices[name], home))
        for name in ("backup.list", "backup.make", "frames.refused"):
            with pytest.raises(RefusedError, match="operators"):
                ask(home, name)

    def test_a_clerk_appoints_nobody(self, home: Home) -> None:
        clerk = self.add(home, "ines", Role.CLERK)
        new = {"name": "eve", "role": "privacy", "new_password": OPERATOR_PASSWORD}
        with pytest.raises(RefusedError):
            ask(home, "operator.add", **new, **clerk)
        assert [each.name for each in operators.colleagues(home.service)] == ["ines"]

    def test_somebody_can_always_appoint(self, home: Home) -> None:
        first = {"name": "omar", "new_password": OPERATOR_PASSWORD}
        with pytest.raises(RefusedError, match="first"):
            ask(home, "operator.add", role="clerk", **first)
        ask(home, "operator.add", role="privacy", **first)
        omar = {"operator": "omar", "operator_password": OPERATOR_PASSWORD}
        new = {"name": "ines", "role": "clerk", "new_password": OPERATOR_PASSWORD}
        ask(home, "operator.add", **new, **omar)
        with pytest.raises(RefusedError, match="stay"):
            ask(home, "operator.remove", name="omar", **omar)
        ask(home, "operator.remove", name="ines", **omar)
        ask(home, "operator.remove", name="omar", **omar)
        assert ask(home, "request.list") == {"requests": []}

    def test_their_name_is_in_the_log(self, home: Home) -> None:
        clerk = self.add(home, "ines", Role.CLERK)
        ask(home, "request.find", email=ANN["email"], reason="a letter", **clerk)
        [seen] = access_log.of_person(home.service, home.ann.subject)
        assert seen.actor == "ines"

    def test_who_leaves_is_out(self, home: Home) -> None:
        clerk = self.add(home, "ines", Role.CLERK)
        privacy = self.add(home, "omar", Role.PRIVACY)
        ask(home, "operator.remove", name="ines", **privacy)
        with pytest.raises(RefusedError):
            ask(home, "request.list", **clerk)
        with pytest.raises(NotFoundError):
            ask(home, "operator.remove", name="ines", **privacy)

    @pytest.mark.parametrize("name", ["local", "", "a b", "x" * 41, "\x1b[2J"])
    def test_what_is_no_name(self, home: Home, name: str) -> None:
        with pytest.raises(UsageError):
            operators.add(home.service, name, Role.CLERK, OPERATOR_PASSWORD)

    def test_guessing_is_slowed_down(self, home: Home) -> None:
        clerk = self.add(home, "ines", Role.CLERK)
        for _ in range(5):
            with pytest.raises(RefusedError, match="wrong"):
                ask(home, "request.list", **(clerk | {"operator_password": "no"}))
        with pytest.raises(RefusedError, match="too many"):
            ask(home, "request.list", **clerk)


class TestBreaches:
    def test_who_was_concerned_is_found_and_told(self, home: Home) -> None:
        home.household.clock.now_s += HOUR_S
        ask(home, "request.find", email=ANN["email"], reason="curiosity")
        ask(home, "readings.list", **BOB)
        number = ask(home, "breach.open", what="an operator looked without need")["breach"]
        between = {"from_s": NOW_S + 1, "until_s": NOW_S + 2 * HOUR_S}
        everybody = ask(home, "breach.affected", **between)
        assert set(everybody["accounts"]) == {home.ann.id.hex(), home.bob.id.hex()}
        concerned = ask(
            home, "breach.affected", **between, actor="local", breach=number, tell="We are sorry."
        )
        assert (concerned["accounts"], concerned["told"]) == ([home.ann.id.hex()], 1)
        [letter] = in_folder(home.service.folder.mail)
        assert (letter["To"], letter["Subject"]) == (ANN["email"], "About your data")
        assert ask(home, "breach.affected", from_s=0, until_s=NOW_S)["accounts"] == []

    def test_who_was_erased_since_is_counted_and_not_known(self, home: Home) -> None:
        for _ in range(2):
            ask(home, "request.find", email=ANN["email"], reason="curiosity")
            home.household.clock.now_s += 24 * HOUR_S
        between = {"from_s": NOW_S, "until_s": home.household.clock.now_s}
        before = ask(home, "breach.affected", **between)
        assert (before["accounts"], before["erased_since"]) == ([home.ann.id.hex()], 0)
        erasure.erase(home.service, home.ann)
        after = ask(home, "breach.affected", **between, actor="local")
        assert (after["accounts"], after["erased_since"]) == ([], 1)
        assert ask(home, "breach.affected", **between, actor="ines")["erased_since"] == 0
        later = {"from_s": between["until_s"] + 24 * HOUR_S, "until_s": 2 * NOW_S}
        assert ask(home, "breach.affected", **later)["erased_since"] == 0
        with home.service.database.reading() as connection:
            rows = connection.execute(sa.select(access_of_erased)).all()
        assert len(rows) == 2
        assert not {home.ann.subject, home.ann.id} & {each.number for each in rows}
        assert all(each.day_s % (24 * HOUR_S) == 0 for each in rows)
        home.household.clock.now_s += 367 * 24 * HOUR_S
        housekeeping.keep_house(home.service)
        assert ask(home, "breach.affected", **between)["erased_since"] == 0

    def test_the_clock_runs_72_hours(self, home: Home) -> None:
        ask(home, "breach.open", what="a lost disk", noticed_s=NOW_S - HOUR_S)
        [found] = breaches.list_breaches(home.service)
        assert found.due_s == NOW_S + 71 * HOUR_S

    def test_it_is_closed_when_it_was_told_or_with_the_reason_why_not(self, home: Home) -> None:
        number = ask(home, "breach.open", what="a lost disk, encrypted")["breach"]
        with pytest.raises(RefusedError, match="say why not"):
            ask(home, "breach.close", breach=number)
        ask(home, "breach.close", breach=number, reason="nobody can read it")
        other = ask(home, "breach.open", what="a lost list")["breach"]
        ask(home, "breach.told", breach=other)
        ask(home, "breach.close", breach=other)
        assert all(each["closed_s"] for each in ask(home, "breach.list")["breaches"])

    def test_the_database_wants_it_too(self, home: Home) -> None:
        ask(home, "breach.open", what="a lost list")
        with pytest.raises(sa.exc.IntegrityError):
            home.service.writer.call(lambda c: c.execute(breach.update().values(closed_s=1)))

    def test_one_that_is_none(self, home: Home) -> None:
        for what, noticed_s in ((" ", NOW_S), ("x" * 3_000, NOW_S), ("soon", NOW_S + 1)):
            with pytest.raises(UsageError):
                breaches.begin(home.service, what, noticed_s)
        with pytest.raises(NotFoundError):
            breaches.close(home.service, 99, "x")
