"""When a request has to be answered: calendar months, pauses, one extension. Pure.

GDPR article 12(3) gives one month, and two more with a reason. A month ends on the same date,
or on the last day of a shorter month; an end on a Saturday, a Sunday or a public holiday moves
to the next working day (Regulation 1182/71, article 3; EDPB Guidelines 01/2022, 5.3). While the
identity is being asked for, the time stands still.
"""

from __future__ import annotations

import calendar
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cache
from typing import Final
from zoneinfo import ZoneInfo

MONTHS: Final = 1
EXTENDED_MONTHS: Final = 3

Holidays = Callable[[int], Collection[date]]

# Days are those of the controller's place.
ZONE: Final = ZoneInfo("Europe/Paris")
_SATURDAY: Final = 5


@dataclass(frozen=True, slots=True)
class Pause:
    """The time stood still from one moment to another (Unix seconds); None: it still does."""

    from_s: int
    until_s: int | None


def day_of(at_s: int) -> date:
    """The calendar day of a moment, where the controller is."""
    return datetime.fromtimestamp(at_s, UTC).astimezone(ZONE).date()


def hour_of(at_s: int) -> int:
    """The hour of a moment, where the controller is."""
    return datetime.fromtimestamp(at_s, UTC).astimezone(ZONE).hour


def due(received_s: int, *, pauses: Sequence[Pause] = (), extended: bool = False) -> date:
    """The last day for the answer. A pause that is still open counts up to its own beginning:
    the day then is the least that will remain.
    """
    end = add_months(day_of(received_s), EXTENDED_MONTHS if extended else MONTHS)
    stood = sum(
        (day_of(pause.until_s) - day_of(pause.from_s)).days
        for pause in pauses
        if pause.until_s is not None
    )
    return working_day(end + timedelta(days=stood), holidays)


def is_late(now_s: int, last_day: date) -> bool:
    """Whether the last day is over."""
    return day_of(now_s) > last_day


def add_months(day: date, months: int) -> date:
    """The same date so many months on, or the last day of a shorter month."""
    whole = day.year * 12 + day.month - 1 + months
    year, month = divmod(whole, 12)
    last = calendar.monthrange(year, month + 1)[1]
    return date(year, month + 1, min(day.day, last))


def working_day(day: date, holidays_of: Holidays) -> date:
    """The day, or the next that is no Saturday, no Sunday and no holiday."""
    while day.weekday() >= _SATURDAY or day in holidays_of(day.year):
        day += timedelta(days=1)
    return day


@cache
def holidays(year: int) -> Collection[date]:
    """The public holidays of France (code du travail, article L3133-1)."""
    easter = _easter(year)
    moving = (easter + timedelta(days=days) for days in (1, 39, 50))
    fixed = ((1, 1), (5, 1), (5, 8), (7, 14), (8, 15), (11, 1), (11, 11), (12, 25))
    return frozenset([*moving, *(date(year, month, day) for month, day in fixed)])


def _easter(year: int) -> date:
    """Easter Sunday of the Gregorian calendar (Meeus, Astronomical Algorithms, chapter 8)."""
    a, (b, c) = year % 19, divmod(year, 100)
    d, e = divmod(b, 4)
    g = (8 * b + 13) // 25
    h = (19 * a + b - d - g + 15) % 30
    i, k = divmod(c, 4)
    m = (32 + 2 * e + 2 * i - h - k) % 7
    n = (a + 11 * h + 22 * m) // 451
    month, day = divmod(h + m - 7 * n + 114, 31)
    return date(year, month, day + 1)
