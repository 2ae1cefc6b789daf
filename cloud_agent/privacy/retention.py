"""The ends of what rests on a consent: readings go a month after it was withdrawn.

A month, so that the person may still take them along (`tare account export`) or consent again;
from the withdrawal on nothing is stored, and whoever wants them gone at once says so.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

import sqlalchemy as sa

from cloud_agent.accounts import accounts, agreements
from cloud_agent.privacy import erasure
from cloud_agent.privacy.requests import deadlines
from cloud_agent.storage import schema

if TYPE_CHECKING:
    from cloud_agent.service import Service

_log = logging.getLogger(__name__)

GRACE_S: Final = 30 * 86_400
_NIGHT_HOUR: Final = 3


def erase_without_consent(service: Service) -> int:
    """Erases the readings of whoever withdrew the consent a month ago; returns of how many."""
    subjects = _without_consent(service)
    for subject in subjects:
        account = accounts.by_subject(service.database, subject)
        if account is not None and account.state == "active":
            erasure.erase(service, account, only_readings=True)
            _log.info("readings without consent were erased")
    return len(subjects)


def compact_at_night(service: Service) -> bool:
    """Once a night: what was deleted leaves the files. True when it did so now.

    At once after an erasure; what people delete otherwise may wait for the night.
    """
    today = deadlines.day_of(service.now())
    if deadlines.hour_of(service.now()) != _NIGHT_HOUR or service.compacted_on == today:
        return False
    service.database.compact()
    service.compacted_on = today
    erasure.prove_compacted(service)
    return True


def _without_consent(service: Service) -> list[bytes]:
    """Who has readings, and has had no consent for a month."""
    consent, reading = schema.consent, schema.reading
    before_s = service.now() - GRACE_S
    last = (
        sa.select(consent.c.subject)
        .where(consent.c.purpose == agreements.HEALTH)
        .group_by(consent.c.subject)
        # One that stands has no end, which is later than any.
        .having(sa.func.max(sa.func.coalesce(consent.c.withdrawn_s, 2**62)) <= before_s)
    )
    query = sa.select(reading.c.owner).where(reading.c.owner.in_(last)).distinct()
    with service.database.reading() as connection:
        return list(connection.execute(query).scalars())
