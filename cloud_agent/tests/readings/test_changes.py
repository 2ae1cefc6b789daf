"""What people change of their readings: nothing is lost by it, nothing gets to a stranger."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from cloud_agent.accounts import accounts
from cloud_agent.errors import NotFoundError, RefusedError, UsageError
from cloud_agent.privacy import export
from cloud_agent.readings import changes, passing
from cloud_agent.storage import schema
from cloud_agent.tests.household import NOW_S
from cloud_agent.tests.readings.pair import Pair, ask, ciphertexts, count, legible, weight
from protocol import reading as wire

DAY_S = 86_400
MONTH_S = 30 * DAY_S


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
