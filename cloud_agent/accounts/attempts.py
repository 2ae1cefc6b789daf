"""Slows guessing down: after a few failures the next attempt has to wait, longer each time.

Kept in memory, for each address (or its keyed digest) and origin, known or not: an answer
must not tell whether an account exists, and a stranger elsewhere must not lock the owner out.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Final

from cloud_agent.errors import RefusedError

_FREE_FAILURES: Final = 5
_FIRST_WAIT_S: Final = 2
_LONGEST_WAIT_S: Final = 900
_FORGET_AFTER_S: Final = 3_600
_MAX_KNOWN: Final = 10_000


@dataclass(slots=True)
class _Record:
    failures: int
    last_s: int


class Attempts:
    """Counts failures by key. The time is an argument."""

    def __init__(self) -> None:
        self._records: dict[tuple[bytes, str], _Record] = {}
        self._lock = threading.Lock()

    def begin(self, who: bytes, origin: str, now_s: int) -> None:
        """Counts an attempt as failed until `succeeded` says otherwise, so that many at once
        gain nothing. Raises `RefusedError` while the attempt has to wait.
        """
        with self._lock:
            self._forget(now_s)
            record = self._records.setdefault((who, origin), _Record(0, now_s))
            # A clock that was set back must not lock anyone out until it has caught up.
            record.last_s = min(record.last_s, now_s)
            wait_s = _wait_s(record.failures) - (now_s - record.last_s)
            if wait_s > 0:
                raise RefusedError(f"too many attempts: try again in {wait_s} s")
            record.failures += 1
            record.last_s = now_s

    def succeeded(self, who: bytes, origin: str) -> None:
        """The attempt was right: the failures before it are forgotten."""
        with self._lock:
            self._records.pop((who, origin), None)

    def _forget(self, now_s: int) -> None:
        if len(self._records) < _MAX_KNOWN:
            return
        self._records = {
            key: record
            for key, record in self._records.items()
            if now_s - record.last_s < _FORGET_AFTER_S
        }


def _wait_s(failures: int) -> int:
    if failures < _FREE_FAILURES:
        return 0
    # The exponent is bounded before the power is made.
    steps = min(failures - _FREE_FAILURES, 10)
    return min(_FIRST_WAIT_S << steps, _LONGEST_WAIT_S)
