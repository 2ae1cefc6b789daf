"""A household and its cloud in any order: claims, guests, late frames, exports, backups, restores,
erasures, crashes, and people who come back under the same address. Whoever was erased is nowhere;
whoever was not has exactly what was measured of them.
"""

from __future__ import annotations

import asyncio
import shutil
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from cloud_agent.accounts import accounts
from cloud_agent.accounts.accounts import Account
from cloud_agent.backup import make, sealed_file
from cloud_agent.backup.restore import Sets, restore
from cloud_agent.devices import household as households
from cloud_agent.devices.release import release
from cloud_agent.errors import RefusedError
from cloud_agent.privacy import erasure, export
from cloud_agent.readings import changes, listing, passing
from cloud_agent.tests.devices.test_household import handle_on
from cloud_agent.tests.household import PASSWORD, Household, Scale
from cloud_agent.tests.readings.pair import weight

PASSPHRASE = "a passphrase of some length"
NAMES = ("ann", "bob", "carl", "dora")


@dataclass
class Person:
    """One account, as long as it is there, and what must be in it."""

    name: str
    account: Account
    grams: list[int] = field(default_factory=list)
    handle: int = 0  # on the scale; 0: not on it


@dataclass
class Kept:
    """Two backups, and how the model was then."""

    data: Path
    keys: Path
    people: dict[bytes, tuple[str, list[int]]]


class WholeLife(RuleBasedStateMachine):
    """One installation, one scale, four names."""

    def __init__(self) -> None:
        super().__init__()
        self._folder = TemporaryDirectory()
        self.root = Path(self._folder.name) / "data"
        self.backups = Path(self._folder.name) / "backups"
        self.backups.mkdir()
        self.patch = pytest.MonkeyPatch()
        cost = {"n": 2**4, "r": 1, "p": 1, "maxmem": 2**20, "dklen": 32}
        self.patch.setattr(sealed_file, "_COST", cost)
        self.home = Household(self.root)
        self.scale: Scale = self.home.add_scale()
        self.people: dict[bytes, Person] = {}  # by account id
        self.erased: list[tuple[str, Account]] = []
        self.holder: bytes | None = None
        self.late: list[tuple[bytes, int, bytes]] = []
        self.kept: list[Kept] = []
        self.grams = 50_000

    def teardown(self) -> None:
        self.home.close()
        self.patch.undo()
        self._folder.cleanup()

    @initialize()
    def begin(self) -> None:
        self.open_account(0)
        self.claim(0)

    # Who is there

    def pick(self, number: int) -> Person | None:
        if not self.people:
            return None
        return self.people[sorted(self.people)[number % len(self.people)]]

    def on_scale(self) -> list[Person]:
        return [each for each in self.people.values() if each.handle]

    @rule(number=st.integers(0, 3))
    def open_account(self, number: int) -> None:
        """Also under the address of somebody who was erased."""
        name = NAMES[number]
        if name in {each.name for each in self.people.values()}:
            return
        account = self.home.open_account(f"{name}.canary@example.org", f"{name} Canary")
        self.people[account.id] = Person(name, account)

    @precondition(lambda self: self.holder is None)
    @rule(number=st.integers(0, 3))
    def claim(self, number: int) -> None:
        person = self.pick(number)
        if person is None:
            return
        self.home.claim(person.account, self.scale)
        self.home.confirm_orders(self.scale)
        person.handle, self.holder = self.scale.handle, person.account.id

    @precondition(lambda self: self.holder is not None)
    @rule(number=st.integers(0, 3))
    def join(self, number: int) -> None:
        person = self.pick(number)
        if person is None or person.handle or self.holder is None:
            return
        service = self.home.service
        holder = self.people[self.holder].account
        code = asyncio.run(households.invite(service, holder, self.scale.id))
        asyncio.run(households.join(service, person.account, code))
        self.home.confirm_orders(self.scale)
        person.handle = self.handle_of(person)

    @precondition(lambda self: self.holder is not None)
    @rule()
    def release(self) -> None:
        if self.holder is None:
            return
        holder = self.people[self.holder].account
        asyncio.run(release(self.home.service, holder, self.scale.id))
        self.home.confirm_orders(self.scale)
        self.forget_scale()

    # What is measured

    @rule(number=st.integers(0, 3), now=st.booleans())
    def weigh(self, number: int, *, now: bool) -> None:
        """Somebody steps on; it is sent now, or when the network is back."""
        there = self.on_scale()
        if not there:
            return
        person = there[number % len(there)]
        self.grams += 1
        self.home.clock.now_s += 60
        frame = self.home.weigh(self.scale, [self.grams], handle=person.handle)
        self.late.append((person.account.id, self.grams, frame))
        if now:
            self.deliver()

    @rule()
    def deliver(self) -> None:
        """The network is back."""
        for who, grams, frame in self.late:
            self.home.deliver(self.scale, frame)
            if who in self.people:
                self.people[who].grams.append(grams)
        self.late.clear()

    @rule(number=st.integers(0, 3))
    def write_down(self, number: int) -> None:
        """An entry by hand."""
        person = self.pick(number)
        if person is not None:
            self.grams += 1
            service = self.home.service
            changes.add(service, person.account, service.now(), weight(self.grams))
            person.grams.append(self.grams)

    @rule(number=st.integers(0, 3))
    def move(self, number: int) -> None:
        """A reading goes from one of the scale to another."""
        there = self.on_scale()
        if len(there) < 2:
            return
        giver, taker = there[number % len(there)], there[(number + 1) % len(there)]
        found = self.readings(giver)
        if not found:
            return
        reading = found[0]
        service = self.home.service
        members = households.members(service, taker.account, self.scale.id)
        [slot] = [each.slot for each in members if each.yours]
        passing.offer(service, giver.account, reading.id, self.scale.id, slot)
        passing.accept(service, taker.account, reading.id)
        grams = reading.content.values[0]
        giver.grams.remove(grams)
        taker.grams.append(grams)

    @rule(number=st.integers(0, 3))
    def export(self, number: int) -> None:
        person = self.pick(number)
        if person is not None:
            path = export.make_export(self.home.service, person.account)
            with zipfile.ZipFile(path) as archive:
                assert archive.testzip() is None

    # What goes

    @rule(number=st.integers(0, 3))
    def erase(self, number: int) -> None:
        person = self.pick(number)
        if person is None:
            return
        report = erasure.erase(self.home.service, person.account)
        assert (report.found_after, report.rows_after) == ({}, {})
        self.home.confirm_orders(self.scale)
        self.gone(person)

    @rule(number=st.integers(0, 3))
    def erase_readings(self, number: int) -> None:
        person = self.pick(number)
        if person is None:
            return
        report = erasure.erase(self.home.service, person.account, only_readings=True)
        assert (report.found_after, report.rows_after) == ({}, {})
        self.home.confirm_orders(self.scale)
        person.grams.clear()
        self.late = [each for each in self.late if each[0] != person.account.id]
        if person.handle:
            person.handle = self.handle_of(person)

    # What happens to the machine

    @rule()
    def crash(self) -> None:
        """The process ends and starts again."""
        self.home.close()
        self.home = Household(self.root, self.home.clock)

    @precondition(lambda self: len(self.kept) < 2)
    @rule()
    def back_up(self) -> None:
        self.home.clock.now_s += 1
        service = self.home.service
        people = {each.account.id: (each.name, list(each.grams)) for each in self.people.values()}
        data = make.make(service, make.DATA, self.backups, PASSPHRASE)
        keys = make.make(service, make.KEYS, self.backups, PASSPHRASE)
        self.kept.append(Kept(data, keys, people))

    @precondition(lambda self: self.kept)
    @rule()
    def restore(self) -> None:
        """The disk is lost; the newest backup comes back, with the ledger of today."""
        kept = self.kept.pop()
        if not kept.keys.exists():
            return  # its time is over
        now_s = self.home.clock.now_s
        self.home.close()
        sets = Sets(data=kept.data, keys=kept.keys, passphrase=PASSPHRASE)
        for name in ("tare.db", "tare.db-wal", "tare.db-shm", "keys.db"):
            (self.root / name).unlink(missing_ok=True)
        shutil.rmtree(self.root / "exports")
        restore(self.root, sets, now_s, replace=True)
        self.home = Household(self.root, self.home.clock)
        erased = {account.id for _, account in self.erased}
        self.people = {}
        self.late.clear()  # the device sends them again; that is tested elsewhere
        for number, (name, grams) in kept.people.items():
            account = accounts.by_id(self.home.service.database, number)
            if number in erased:
                assert account is None, "somebody who was erased came back"
                continue
            assert account is not None
            person = Person(name, account, grams)
            person.grams = [each.content.values[0] for each in self.readings(person)]
            assert set(person.grams) in ({*grams}, set()), "all of it, or erased since"
            self.people[number] = person
        # What the device knows of its claim may be newer than the cloud: it is claimed anew.
        self.home.service.writer.call(
            lambda c: c.exec_driver_sql("UPDATE claim SET until_s = 1 WHERE until_s IS NULL")
        )
        self.forget_scale()

    # What holds at any moment

    @invariant()
    def each_has_exactly_what_was_measured_of_them(self) -> None:
        for person in self.people.values():
            found = sorted(each.content.values[0] for each in self.readings(person))
            assert found == sorted(person.grams), person.name

    @invariant()
    def the_erased_are_in_no_file(self) -> None:
        if not self.erased:
            return
        here = {each.name for each in self.people.values()}
        content = b"".join(path.read_bytes() for path in self.root.rglob("*") if path.is_file())
        for name, account in self.erased:
            assert account.subject not in content
            assert account.id not in content
            if name not in here:
                assert f"{name}.canary@example.org".encode() not in content
                assert f"{name} Canary".encode() not in content

    @invariant()
    def nobody_erased_can_sign_in(self) -> None:
        here = {each.name for each in self.people.values()}
        for name in {name for name, _ in self.erased} - here:
            self.home.clock.now_s += 900  # the longest wait after wrong passwords
            with pytest.raises(RefusedError, match="wrong"):
                accounts.authenticate(self.home.service, f"{name}.canary@example.org", PASSWORD)

    @invariant()
    def the_receipts_and_the_ledger_are_whole(self) -> None:
        assert self.home.service.ledger.unfinished() == []

    def readings(self, person: Person) -> list[listing.Reading]:
        service = self.home.service
        return listing.list_readings(service.database, service.vault, person.account.subject)

    def handle_of(self, person: Person) -> int:
        return handle_on(self.home, self.scale, person.account)

    def gone(self, person: Person) -> None:
        del self.people[person.account.id]
        self.erased.append((person.name, person.account))
        if self.holder == person.account.id:
            others = sorted(self.on_scale(), key=lambda each: each.handle)
            if others:
                self.holder = others[0].account.id
            else:
                self.forget_scale()

    def forget_scale(self) -> None:
        """The claim is over: what comes late under it is nobody's any more."""
        self.holder = None
        self.late.clear()
        for person in self.people.values():
            person.handle = 0


TestWholeLife = WholeLife.TestCase
# Not made shorter when it fails: a life takes too long for that, and each is printed.
TestWholeLife.settings = settings(
    max_examples=15,
    stateful_step_count=30,
    deadline=None,
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
)
