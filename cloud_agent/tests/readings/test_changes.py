"""What people change of their readings: nothing is lost by it, nothing gets to a stranger."""

from __future__ import annotations

import asyncio
import json
import zipfile
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from cloud_agent.accounts import accounts
from cloud_agent.accounts.accounts import Account
from cloud_agent.devices import household as households
from cloud_agent.errors import NotFoundError, RefusedError, UsageError
from cloud_agent.operations import OPERATIONS
from cloud_agent.privacy import erasure, export
from cloud_agent.readings import changes, listing, passing
from cloud_agent.readings.passing import Last
from cloud_agent.readings.values import Content
from cloud_agent.storage import schema
from cloud_agent.storage.readings_schema import reading_offer, reading_revision
from cloud_agent.tests.household import NOW_S, PASSWORD, Household, Scale
from protocol import reading as wire

DAY_S = 86_400
MONTH_S = 30 * DAY_S


class Pair:
    """Ann holds a scale, Bob shares it."""

    def __init__(self, household: Household) -> None:
        self.household = household
        self.service = household.service
        self.ann = household.open_account("ann@example.org", "Ann", zone="Europe/Paris")
        self.bob = household.open_account("bob@example.org", "Bob", zone="Asia/Tokyo")
        self.scale: Scale = household.add_scale()
        household.claim(self.ann, self.scale)
        code = asyncio.run(households.invite(self.service, self.ann, self.scale.id))
        asyncio.run(households.join(self.service, self.bob, code))
        household.confirm_orders(self.scale)

    def weigh(self, handle: int, *grams: int) -> None:
        self.household.deliver(self.scale, self.household.weigh(self.scale, grams, handle=handle))

    def read(self, account: Account) -> list[listing.Reading]:
        return listing.list_readings(self.service.database, self.service.vault, account.subject)

    def values(self, account: Account) -> list[int]:
        return [reading.content.values[0] for reading in self.read(account)]

    def add(self, account: Account, grams: int, taken_s: int = NOW_S) -> bytes:
        return changes.add(self.service, account, taken_s, weight(grams))


def weight(grams: int) -> Content:
    return changes.entry(wire.KIND_WEIGHT, [grams])


@pytest.fixture
def pair(household: Household) -> Pair:
    return Pair(household)


def ask(pair: Pair, operation: str, who: str = "ann", **arguments: Any) -> dict[str, Any]:
    async def run() -> dict[str, Any]:
        login = {"email": f"{who}@example.org", "password": PASSWORD}
        return await OPERATIONS[operation](pair.service, login | arguments)

    return asyncio.run(run())


class TestByHand:
    def test_an_entry_has_its_time_zone_and_source(self, pair: Pair) -> None:
        ask(pair, "readings.add", weight="72,5", taken="2026-03-01T07:12")
        [reading] = pair.read(pair.ann)
        assert reading.taken_text == "2026-03-01T07:12:00+01:00"
        assert (reading.source, reading.device, reading.frame) == ("manual", None, None)
        assert reading.content.texts() == {"weight": "72.500"}

    def test_a_blood_pressure(self, pair: Pair) -> None:
        ask(pair, "readings.add", pressure="121.5/79", pulse="64")
        [reading] = pair.read(pair.ann)
        assert reading.content.texts() == {
            "systolic": "121.5",
            "diastolic": "79.0",
            "mean": "93.1",
            "pulse": "64.0",
        }

    @pytest.mark.parametrize(
        "arguments",
        [
            {},
            {"weight": "0"},
            {"weight": "301"},
            {"weight": "72.5001"},
            {"weight": "-72"},
            {"weight": "seventy"},
            {"weight": "७२"},
            {"weight": "1e2"},
            {"pressure": "79/121", "pulse": "64"},
            {"pressure": "121", "pulse": "64"},
            {"pressure": "121/79"},
            {"pressure": "121/79", "pulse": "0"},
            {"weight": "72", "pressure": "121/79", "pulse": "64"},
            {"weight": "72", "taken": "yesterday"},
            {"weight": "72", "taken": "2999-01-01T00:00"},
            {"weight": "72", "taken": "0001-01-01T00:00"},
        ],
    )
    def test_what_cannot_be_is_refused(self, pair: Pair, arguments: dict[str, str]) -> None:
        with pytest.raises(UsageError):
            ask(pair, "readings.add", **arguments)
        assert pair.read(pair.ann) == []

    def test_not_without_consent(self, pair: Pair) -> None:
        accounts.withdraw_health_consent(pair.service, pair.ann)
        with pytest.raises(RefusedError, match="consent"):
            pair.add(pair.ann, 72_000)


class TestCorrections:
    def test_what_was_before_is_kept(self, pair: Pair) -> None:
        pair.weigh(1, 72_000)
        [reading] = pair.read(pair.ann)
        changes.correct(pair.service, pair.ann, reading.id, content=weight(71_000))
        pair.household.clock.now_s += 60
        changes.correct(pair.service, pair.ann, reading.id, taken_s=NOW_S - DAY_S)
        [after] = pair.read(pair.ann)
        assert (after.content.values, after.taken_s) == ((71_000,), NOW_S - DAY_S)
        assert (after.status, after.revision) == ("amended", 3)
        before = changes.history(pair.service, pair.ann, reading.id)
        assert [(each.revision, each.content.values[0], each.taken_s) for each in before] == [
            (1, 72_000, reading.taken_s),
            (2, 71_000, reading.taken_s),
        ]

    def test_it_is_in_the_export(self, pair: Pair) -> None:
        row = pair.add(pair.ann, 72_000)
        changes.correct(pair.service, pair.ann, row, content=weight(71_000))
        with zipfile.ZipFile(export.make_export(pair.service, pair.ann)) as archive:
            [reading] = json.loads(archive.read("readings.json"))
        assert [each["values"] for each in reading["before"]] == [{"weight": "72.000"}]

    def test_one_of_another_kind_is_refused(self, pair: Pair) -> None:
        row = pair.add(pair.ann, 72_000)
        pressure = changes.entry(wire.KIND_BLOOD_PRESSURE, [1_200, 800, 930, 640])
        with pytest.raises(UsageError, match="same kind"):
            changes.correct(pair.service, pair.ann, row, content=pressure)

    def test_nobody_elses(self, pair: Pair) -> None:
        row = pair.add(pair.ann, 72_000)
        for act in (
            lambda: changes.correct(pair.service, pair.bob, row, content=weight(71_000)),
            lambda: changes.remove(pair.service, pair.bob, row),
            lambda: changes.mark_error(pair.service, pair.bob, row, is_error=True),
            lambda: changes.history(pair.service, pair.bob, row),
            lambda: passing.offer(pair.service, pair.bob, row, pair.scale.id, 1),
            lambda: passing.accept(pair.service, pair.bob, row),
            lambda: passing.take(pair.service, pair.bob, row),
        ):
            with pytest.raises(NotFoundError):
                act()
        assert pair.values(pair.ann) == [72_000]

    def test_a_mark_that_it_is_none_of_theirs(self, pair: Pair) -> None:
        row = pair.add(pair.ann, 72_000)
        changes.mark_error(pair.service, pair.ann, row, is_error=True)
        assert pair.read(pair.ann)[0].status == "entered-in-error"
        changes.mark_error(pair.service, pair.ann, row, is_error=False)
        assert pair.read(pair.ann)[0].status == "amended"

    def test_every_change_has_a_number_of_its_own(self, pair: Pair) -> None:
        rows = [pair.add(pair.ann, 72_000 + number) for number in range(3)]
        changes.correct(pair.service, pair.ann, rows[0], content=weight(70_000))
        query = sa.select(schema.reading.c.change).where(schema.reading.c.owner == pair.ann.subject)
        with pair.service.database.reading() as connection:
            assert sorted(connection.execute(query).scalars()) == [2, 3, 4]


class TestRemoval:
    def test_nothing_of_it_is_left(self, pair: Pair) -> None:
        pair.weigh(1, 72_345)
        [reading] = pair.read(pair.ann)
        changes.correct(pair.service, pair.ann, reading.id, content=weight(71_000))
        pieces = ciphertexts(pair)
        assert all(legible(pair, piece) for piece in pieces)
        changes.remove(pair.service, pair.ann, reading.id)
        pair.service.database.compact()
        assert not [piece for piece in pieces if legible(pair, piece)]
        assert pair.read(pair.ann) == []

    def test_a_device_that_sends_it_again_is_told_that_it_is_settled(self, pair: Pair) -> None:
        frame = pair.household.weigh(pair.scale, [72_345], handle=1)
        pair.household.deliver(pair.scale, frame)
        changes.remove(pair.service, pair.ann, pair.read(pair.ann)[0].id)
        assert pair.household.deliver(pair.scale, frame).dropped is None
        assert pair.read(pair.ann) == []

    def test_the_signed_frame_stays_while_another_reading_is_in_it(self, pair: Pair) -> None:
        pair.weigh(1, 72_000, 72_100)
        first, second = pair.read(pair.ann)
        changes.remove(pair.service, pair.ann, first.id)
        assert count(pair, schema.frame) == 1
        changes.remove(pair.service, pair.ann, second.id)
        assert count(pair, schema.frame) == 0


def ciphertexts(pair: Pair) -> list[bytes]:
    found: list[bytes] = []
    with pair.service.database.reading() as connection:
        for table in (schema.reading, schema.frame, reading_revision):
            found += connection.execute(sa.select(table.c.ciphertext)).scalars()
    return [each[-24:] for each in found]


def legible(pair: Pair, piece: bytes) -> bool:
    files = [path for path in pair.service.folder.root.rglob("*") if path.is_file()]
    return any(piece in path.read_bytes() for path in files)


def count(pair: Pair, table: sa.Table) -> int:
    with pair.service.database.reading() as connection:
        return int(connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one())


class TestTray:
    def test_a_value_is_shown_to_whom_it_fits_only(self, pair: Pair) -> None:
        pair.weigh(1, 62_000)
        pair.weigh(2, 81_000)
        pair.weigh(0, 63_000, 80_000, 14_000)
        for account, grams in ((pair.ann, 63_000), (pair.bob, 80_000)):
            found = passing.look(pair.service, account)
            assert [each.content.values[0] for each in found.fitting] == [grams]
            assert found.others == 2

    def test_taking_one(self, pair: Pair) -> None:
        pair.weigh(2, 81_000)
        pair.weigh(0, 80_500)
        [waiting] = passing.look(pair.service, pair.bob).fitting
        with pytest.raises(NotFoundError):
            passing.take(pair.service, pair.ann, waiting.id)
        ask(pair, "readings.take", who="bob", id=waiting.id.hex())
        taken = pair.read(pair.bob)[-1]
        assert taken.content == waiting.content
        assert (taken.taken_s, taken.device) == (waiting.taken_s, pair.scale.id)
        assert taken.attribution == "moved"
        assert taken.taken_text.endswith("+09:00"), "in the zone of its owner"
        assert taken.frame is not None, "alone in its frame: the signature goes along"
        assert passing.look(pair.service, pair.bob) == passing.Tray([], 0)
        with pytest.raises(NotFoundError):
            passing.take(pair.service, pair.bob, waiting.id)

    def test_the_frame_stays_where_others_are_in_it(self, pair: Pair) -> None:
        pair.weigh(2, 81_000)
        pair.weigh(0, 80_500, 20_000)
        [waiting] = passing.look(pair.service, pair.bob).fitting
        passing.take(pair.service, pair.bob, waiting.id)
        [taken] = [each for each in pair.read(pair.bob) if each.attribution == "moved"]
        assert taken.frame is None

    def test_a_stranger_sees_nothing(self, pair: Pair) -> None:
        pair.weigh(0, 80_500)
        eve = pair.household.open_account("eve@example.org")
        changes.add(pair.service, eve, NOW_S, weight(80_500))
        assert passing.look(pair.service, eve) == passing.Tray([], 0)

    def test_who_left_sees_nothing(self, pair: Pair) -> None:
        pair.weigh(2, 81_000)
        pair.weigh(0, 80_500)
        asyncio.run(households.leave(pair.service, pair.bob, pair.scale.id))
        assert passing.look(pair.service, pair.bob) == passing.Tray([], 0)

    @pytest.mark.parametrize(
        ("grams", "last", "alone", "shown"),
        [
            (75_000, Last(72_000, NOW_S), False, True),
            (75_001, Last(72_000, NOW_S), False, False),
            (76_000, Last(72_000, NOW_S - MONTH_S), False, True),
            (82_000, Last(72_000, NOW_S - 100 * MONTH_S), False, True),
            (82_001, Last(72_000, NOW_S - 100 * MONTH_S), False, False),
            (72_000, None, False, False),
            (72_000, None, True, True),
            (29_999, None, True, False),
            (14_000, Last(72_000, NOW_S), True, False),
        ],
    )
    def test_what_fits(self, grams: int, last: Last | None, alone: Any, shown: Any) -> None:
        assert passing.fits(weight(grams), NOW_S, last, alone=alone) is shown

    def test_a_blood_pressure_fits_nobody(self) -> None:
        pressure = changes.entry(wire.KIND_BLOOD_PRESSURE, [1_200, 800, 930, 640])
        assert not passing.fits(pressure, NOW_S, Last(930, NOW_S), alone=True)


class TestOffers:
    def test_it_moves_when_it_is_taken(self, pair: Pair) -> None:
        pair.weigh(1, 81_000)
        [reading] = pair.read(pair.ann)
        changes.correct(pair.service, pair.ann, reading.id, content=weight(81_100))
        pair.service.database.compact()
        own = ciphertexts(pair)
        ask(pair, "readings.offer", id=reading.id.hex(), device=pair.scale.id, slot=2)
        assert pair.values(pair.ann) == [81_100], "it lies with her until it is taken"
        [offered] = ask(pair, "readings.tray", who="bob")["offered"]
        assert set(offered) == {"id", "taken"}, "no value before"
        ask(pair, "readings.take", who="bob", id=offered["id"])
        assert (pair.values(pair.ann), pair.values(pair.bob)) == ([], [81_100])
        pair.service.database.compact()
        assert not [piece for piece in own if legible(pair, piece)], "nothing under her key"

    def test_it_is_declined(self, pair: Pair) -> None:
        row = pair.add(pair.ann, 81_000)
        passing.offer(pair.service, pair.ann, row, pair.scale.id, 2)
        ask(pair, "readings.decline", who="bob", id=row.hex())
        assert passing.offers(pair.service, pair.bob) == []
        with pytest.raises(NotFoundError):
            passing.accept(pair.service, pair.bob, row)
        assert pair.values(pair.ann) == [81_000]

    def test_to_oneself_or_to_nobody(self, pair: Pair) -> None:
        row = pair.add(pair.ann, 81_000)
        for slot in (1, 3):
            with pytest.raises(NotFoundError, match="nobody else"):
                passing.offer(pair.service, pair.ann, row, pair.scale.id, slot)

    def test_nobody_without_consent_gets_one(self, pair: Pair) -> None:
        row = pair.add(pair.ann, 81_000)
        passing.offer(pair.service, pair.ann, row, pair.scale.id, 2)
        accounts.withdraw_health_consent(pair.service, pair.bob)
        with pytest.raises(RefusedError, match="consent"):
            passing.accept(pair.service, pair.bob, row)
        assert pair.values(pair.ann) == [81_000]

    @pytest.mark.parametrize("who", ["ann", "bob"])
    def test_an_offer_goes_with_either(self, pair: Pair, who: str) -> None:
        row = pair.add(pair.ann, 81_000)
        passing.offer(pair.service, pair.ann, row, pair.scale.id, 2)
        report = erasure.erase(pair.service, pair.ann if who == "ann" else pair.bob)
        assert (report.found_after, report.rows_after) == ({}, {})
        assert count(pair, reading_offer) == 0


def test_what_is_restricted_is_kept_and_not_shown(pair: Pair) -> None:
    pair.weigh(1, 72_000)
    ask(pair, "request.open", kind="restriction")
    with pytest.raises(RefusedError, match="kept and not used"):
        ask(pair, "readings.list")
    assert Path(ask(pair, "account.export")["path"]).exists()
    pair.weigh(1, 72_100)
    ask(pair, "account.lift-restriction")
    assert len(ask(pair, "readings.list")["readings"]) == 2


@given(st.integers(1, 300_000))
def test_a_number_with_decimals_is_read_exactly(grams: int) -> None:
    from cloud_agent.readings.operations import _scaled  # only here

    assert _scaled(f"{grams / 1000:.3f}", 1_000) == grams


class Changing(RuleBasedStateMachine):
    """Two people change readings in any order; a dictionary knows what must be there."""

    def __init__(self) -> None:
        super().__init__()
        self._folder = TemporaryDirectory()
        self.pair = Pair(Household(Path(self._folder.name) / "data"))
        self.people = (self.pair.ann, self.pair.bob)
        # Id -> whose, what, how many revisions before.
        self.known: dict[bytes, tuple[int, int, int]] = {}
        self.offered: set[bytes] = set()

    def teardown(self) -> None:
        self.pair.household.close()
        self._folder.cleanup()

    def pick(self, number: int) -> bytes | None:
        return sorted(self.known)[number % len(self.known)] if self.known else None

    @rule(who=st.integers(0, 1), grams=st.integers(40_000, 120_000))
    def add(self, who: int, grams: int) -> None:
        self.known[self.pair.add(self.people[who], grams)] = (who, grams, 0)

    @rule(number=st.integers(0, 99), grams=st.integers(40_000, 120_000))
    def correct(self, number: int, grams: int) -> None:
        row = self.pick(number)
        if row is not None:
            who, _, revisions = self.known[row]
            changes.correct(self.pair.service, self.people[who], row, content=weight(grams))
            self.known[row] = (who, grams, revisions + 1)

    @rule(number=st.integers(0, 99))
    def remove(self, number: int) -> None:
        row = self.pick(number)
        if row is not None:
            who, _, _ = self.known.pop(row)
            changes.remove(self.pair.service, self.people[who], row)
            self.offered.discard(row)

    @rule(number=st.integers(0, 99))
    def offer(self, number: int) -> None:
        row = self.pick(number)
        if row is not None:
            who = self.known[row][0]
            slot = 2 if who == 0 else 1
            passing.offer(self.pair.service, self.people[who], row, self.pair.scale.id, slot)
            self.offered.add(row)

    @rule(accepts=st.booleans())
    def answer(self, *, accepts: bool) -> None:
        if not self.offered:
            return
        row = min(self.offered)
        self.offered.discard(row)
        who, grams, _ = self.known[row]
        other = self.people[1 - who]
        if accepts:
            del self.known[row]
            self.known[passing.accept(self.pair.service, other, row)] = (1 - who, grams, 0)
        else:
            passing.decline(self.pair.service, other, row)

    @invariant()
    def everything_is_once_where_it_belongs(self) -> None:
        for who, account in enumerate(self.people):
            found = {each.id: each.content.values[0] for each in self.pair.read(account)}
            assert found == {
                row: grams for row, (owner, grams, _) in self.known.items() if owner == who
            }
            before = changes.all_revisions(self.pair.service, account)
            assert {row: len(each) for row, each in before.items()} == {
                row: count
                for row, (owner, _, count) in self.known.items()
                if owner == who and count
            }
            offers = {row for row, _ in passing.offers(self.pair.service, account)}
            assert offers == {row for row in self.offered if self.known[row][0] != who}


TestChanging = Changing.TestCase
TestChanging.settings = settings(max_examples=20, stateful_step_count=25, deadline=None)
