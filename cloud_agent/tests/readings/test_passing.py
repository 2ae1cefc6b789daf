"""Readings that change hands: nothing gets to a stranger, nothing is lost on the way."""

from __future__ import annotations

import asyncio
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from cloud_agent.accounts import accounts
from cloud_agent.devices import household as households
from cloud_agent.devices.release import release
from cloud_agent.errors import NotFoundError, RefusedError
from cloud_agent.privacy import erasure
from cloud_agent.readings import changes, passing
from cloud_agent.readings.passing import Last
from cloud_agent.storage.readings_schema import reading_offer
from cloud_agent.tests.household import NOW_S, Household
from cloud_agent.tests.readings.pair import Pair, ask, ciphertexts, count, legible, weight
from protocol import reading as wire

DAY_S = 86_400
MONTH_S = 30 * DAY_S


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

    def test_who_joins_sees_nothing_of_before(self, pair: Pair) -> None:
        carl = pair.household.open_account("carl@example.org")
        pair.weigh(0, 80_500)
        late = pair.household.weigh(pair.scale, [80_600], handle=0)
        pair.household.clock.now_s += 60
        pair.join(carl)
        pair.household.deliver(pair.scale, late)
        assert passing.look(pair.service, carl) == passing.Tray([], 0)
        pair.household.clock.now_s += 60
        pair.weigh(3, 80_000)
        pair.weigh(0, 80_700)
        found = passing.look(pair.service, carl)
        assert ([each.content.values[0] for each in found.fitting], found.others) == ([80_700], 0)

    def test_what_is_typed_or_taken_opens_nothing(self, pair: Pair) -> None:
        pair.weigh(1, 62_000)
        pair.weigh(2, 81_000)
        pair.weigh(0, 64_900, 67_500)
        [near] = passing.look(pair.service, pair.ann).fitting
        passing.take(pair.service, pair.ann, near.id)
        [own] = [each for each in pair.read(pair.ann) if each.attribution == "sure"]
        pair.add(pair.ann, 81_000)
        for _ in range(2):  # the second time after a correction
            assert passing.look(pair.service, pair.ann).fitting == []
            changes.correct(pair.service, pair.ann, own.id, content=weight(67_000))

    @pytest.mark.parametrize("how", ["leaves", "erased", "readings erased"])
    def test_who_is_left_alone_is_not_shown_what_may_be_of_another(
        self, pair: Pair, how: str
    ) -> None:
        pair.weigh(0, 80_500)
        if how == "leaves":
            asyncio.run(households.leave(pair.service, pair.bob, pair.scale.id))
        else:
            erasure.erase(pair.service, pair.bob, only_readings=how == "readings erased")
        assert passing.look(pair.service, pair.ann) == passing.Tray([], 1)

    def test_a_former_owner_is_nobody_else(self, pair: Pair) -> None:
        asyncio.run(release(pair.service, pair.ann, pair.scale.id))
        eve = pair.household.open_account("eve@example.org")
        pair.household.claim(eve, pair.scale)
        pair.weigh(0, 80_500)
        assert len(passing.look(pair.service, eve).fitting) == 1

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

    @pytest.mark.parametrize("to", ["ann", "bob"])
    def test_an_offer_ends_when_either_leaves(self, pair: Pair, to: str) -> None:
        if to == "bob":
            row = pair.add(pair.ann, 81_000)
            passing.offer(pair.service, pair.ann, row, pair.scale.id, 2)
        else:
            row = pair.add(pair.bob, 62_000)
            passing.offer(pair.service, pair.bob, row, pair.scale.id, 1)
        asyncio.run(households.leave(pair.service, pair.bob, pair.scale.id))
        with pytest.raises(NotFoundError):
            passing.accept(pair.service, pair.bob if to == "bob" else pair.ann, row)
        assert count(pair, reading_offer) == 0


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
