"""The last day for an answer, by the calendar."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud_agent.privacy.requests import deadlines
from cloud_agent.privacy.requests.deadlines import Pause

DAYS = st.dates(date(2024, 1, 1), date(2060, 12, 31))


def at(day: date, hour: int = 12) -> int:
    return int(datetime(day.year, day.month, day.day, hour, tzinfo=UTC).timestamp())


@pytest.mark.parametrize(
    ("received", "last"),
    [
        (date(2026, 3, 5), date(2026, 4, 7)),  # 5 April is Easter Sunday, the 6th Easter Monday
        (date(2026, 8, 31), date(2026, 9, 30)),  # a shorter month
        (date(2027, 1, 31), date(2027, 3, 1)),  # 28 February is a Sunday
        (date(2028, 1, 31), date(2028, 2, 29)),  # a leap year
        (date(2026, 11, 25), date(2026, 12, 28)),  # Christmas, a Friday
        (date(2026, 12, 1), date(2027, 1, 4)),  # New Year's Day, then a weekend
        (date(2026, 6, 14), date(2026, 7, 15)),  # the national day
    ],
)
def test_the_last_day(received: date, last: date) -> None:
    assert deadlines.due(at(received)) == last


def test_an_extension_gives_three_months_from_the_first_day() -> None:
    assert deadlines.due(at(date(2026, 8, 31)), extended=True) == date(2026, 11, 30)


@pytest.mark.parametrize(
    ("year", "easter_monday"),
    [(2024, (4, 1)), (2025, (4, 21)), (2026, (4, 6)), (2027, (3, 29)), (2038, (4, 26))],
)
def test_easter(year: int, easter_monday: tuple[int, int]) -> None:
    assert date(year, *easter_monday) in deadlines.holidays(year)


def test_a_day_is_that_of_the_controller_not_of_greenwich() -> None:
    # Half past eleven in the evening of 31 August in Greenwich is 1 September in Paris.
    late = int(datetime(2026, 8, 31, 23, 30, tzinfo=UTC).timestamp())
    assert deadlines.day_of(late) == date(2026, 9, 1)


def test_while_more_is_asked_for_the_time_stands_still() -> None:
    received = date(2026, 9, 1)
    pause = Pause(at(date(2026, 9, 5)), at(date(2026, 9, 15)))
    assert deadlines.due(at(received)) == date(2026, 10, 1)
    assert deadlines.due(at(received), pauses=[pause]) == date(2026, 10, 12)  # the 11th is a Sunday
    assert deadlines.due(at(received), pauses=[Pause(at(received), None)]) == date(2026, 10, 1)


@given(received=DAYS, extended=st.booleans())
def test_the_last_day_is_a_working_day_and_about_a_month_away(
    received: date, *, extended: bool
) -> None:
    last = deadlines.due(at(received), extended=extended)
    assert last.weekday() < 5
    assert last not in deadlines.holidays(last.year)
    least, most = (89, 99) if extended else (28, 36)
    assert least <= (last - received).days <= most


@given(received=DAYS, start=st.integers(0, 20), length=st.integers(0, 60))
def test_a_pause_never_shortens(received: date, start: int, length: int) -> None:
    begin = received + timedelta(days=start)
    pause = Pause(at(begin), at(begin + timedelta(days=length)))
    plain, paused = deadlines.due(at(received)), deadlines.due(at(received), pauses=[pause])
    assert paused >= plain
    assert (paused - plain).days >= length - 4  # what a weekend had given is not given twice


@given(first=DAYS, second=DAYS)
def test_who_comes_later_is_answered_no_sooner(first: date, second: date) -> None:
    early, late = sorted((first, second))
    assert deadlines.due(at(early)) <= deadlines.due(at(late))


def test_late_begins_the_day_after() -> None:
    last = date(2026, 9, 30)
    assert not deadlines.is_late(at(last, 21), last)
    assert deadlines.is_late(at(last, 22), last)  # midnight in Paris
