"""Nobody fills the disk with nonsense."""

from __future__ import annotations

import asyncio
import secrets
from typing import Any

import sqlalchemy as sa

from cloud_agent.devices.claims import open_window
from cloud_agent.ingest.refusals import Refusals
from cloud_agent.ingest.tidy import tidy
from cloud_agent.ingest.verify import Reason, Refused
from cloud_agent.storage import schema
from cloud_agent.tests.household import NOW_S, Household
from protocol import frame

_TABLE = schema.refused_frame


class _Delivery:
    payload = b"nonsense"

    def __init__(self, topic: str) -> None:
        self.topic = topic


def _flood(household: Household, refusals: Refusals, topic: str, count: int) -> None:
    delivery: Any = _Delivery(topic)

    def note(connection: sa.Connection) -> None:
        for _ in range(count):
            refusals.note(connection, delivery, Refused(Reason.MALFORMED), household.clock())

    household.service.writer.call(note)


def _rows(household: Household, **where: str) -> int:
    query = sa.select(sa.func.count()).select_from(_TABLE).filter_by(**where)
    with household.service.database.reading() as connection:
        return int(connection.execute(query).scalar_one())


def test_one_sender_gets_a_hundred_rows_a_minute(household: Household) -> None:
    refusals = Refusals()
    _flood(household, refusals, "loud", 5_000)
    _flood(household, refusals, "quiet", 3)
    assert (_rows(household, topic="loud"), _rows(household, topic="quiet")) == (100, 3)
    household.clock.now_s += 60
    _flood(household, refusals, "loud", 1)
    assert _rows(household, topic="loud") == 101


def test_only_the_latest_hundred_thousand_stay(household: Household) -> None:
    row = {"reason": "size", "topic": "t", "length": 1, "received_s": NOW_S}
    rows = [row | {"id": number} for number in (1, 7, 100_001, 100_007)]
    household.service.writer.call(lambda c: c.execute(_TABLE.insert(), rows))
    asyncio.run(tidy(household.service))
    with household.service.database.reading() as connection:
        assert list(connection.execute(sa.select(_TABLE.c.id)).scalars()) == [100_001, 100_007]


def test_a_window_lasts_no_longer_for_being_repeated(household: Household) -> None:
    scale = household.add_scale()
    window = frame.ClaimWindow(nonce=bytes(16), proof=secrets.token_bytes(32), window_s=60)
    table = schema.claim_window

    def hear(message: frame.ClaimWindow) -> int:
        service = household.service
        service.writer.call(lambda c: open_window(c, scale.id, message, household.clock()))
        with service.database.reading() as connection:
            return int(connection.execute(sa.select(table.c.until_s)).scalar_one())

    assert hear(window) == NOW_S + 60
    household.clock.now_s += 50
    assert hear(window) == NOW_S + 60
    other = frame.ClaimWindow(nonce=bytes(16), proof=secrets.token_bytes(32), window_s=60)
    assert hear(other) == NOW_S + 110  # another code takes its place
