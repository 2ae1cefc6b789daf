"""IANA time zones: names that people may choose, and offsets at a moment."""

from __future__ import annotations

import zoneinfo
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from functools import lru_cache

from cloud_agent.errors import UsageError


@lru_cache(maxsize=64)
def zone_of(name: str) -> tzinfo:
    """The zone; raises `UsageError` when the name is not known here."""
    if name == "UTC":
        return UTC  # also on a machine without the time zone database
    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise UsageError(
            f"{name!r} is not a time zone known here: use an IANA name such as Europe/Paris"
        ) from error


def offset_s(name: str, at_s: int) -> int:
    """Seconds east of UTC in the zone at the Unix time `at_s`."""
    offset = datetime.fromtimestamp(at_s, zone_of(name)).utcoffset()
    return int(offset.total_seconds()) if offset is not None else 0


def iso_text(at_s: int, east_s: int) -> str:
    """RFC 3339 with the offset: 2026-03-01T07:12:00+01:00."""
    zone = timezone(timedelta(seconds=east_s))
    return datetime.fromtimestamp(at_s, zone).isoformat()
