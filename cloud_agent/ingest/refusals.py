"""Notes of refused messages: reason, kid, topic, length and time, never the payload (SPEC 13).
Works inside the caller's transaction and commits nothing.

Who sends nonsense without end gets a row for the first hundred of each minute only: neither the
disk nor the log may be filled by one device. All are counted.
"""

from __future__ import annotations

import logging
from collections import Counter
from typing import Final

import sqlalchemy as sa

from cloud_agent.ingest.link import Delivery
from cloud_agent.ingest.verify import Refused
from cloud_agent.storage import schema

log = logging.getLogger("tare.ingest")

_MOST_A_MINUTE: Final = 100
_MAX_TOPIC: Final = 64


class Refusals:
    """Writes the notes; belongs to the writer's thread."""

    def __init__(self) -> None:
        self._minute = 0
        self._by_topic: Counter[str] = Counter()

    def note(
        self, connection: sa.Connection, delivery: Delivery, refused: Refused, now_s: int
    ) -> None:
        """A row without the payload, so that someone can find out, and nobody can read along."""
        topic = delivery.topic[:_MAX_TOPIC]
        if self._is_too_many(topic, now_s):
            return
        log.warning("message refused: %s", refused.reason.value)
        connection.execute(
            schema.refused_frame.insert().values(
                reason=refused.reason.value,
                kid=refused.kid,
                topic=topic,
                length=len(delivery.payload),
                received_s=now_s,
            )
        )

    def _is_too_many(self, topic: str, now_s: int) -> bool:
        if now_s // 60 != self._minute:
            self._minute = now_s // 60
            self._by_topic.clear()
        self._by_topic[topic] += 1
        if self._by_topic[topic] == _MOST_A_MINUTE + 1:
            log.warning("more messages of one sender are refused, and not noted one by one")
        return self._by_topic[topic] > _MOST_A_MINUTE
