"""Slows guessing down: after a few failures the next attempt has to wait, longer each time.

Kept in memory, for each address (or its keyed digest) and origin, known or not: an answer
must not tell whether an account exists. `origin` is the way of the attempt, so that a stranger
on one way does not lock the owner out of another; nobody waits longer than a quarter of an hour.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
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
        # The one that was longest ago comes first.
        self._records: OrderedDict[tuple[bytes, str], _Record] = OrderedDict()
        self._lock = threading.Lock()

    def begin(self, who: bytes, origin: str, now_s: int) -> None:
        """Counts an attempt as failed until `succeeded` says otherwise, so that many at once
        gain nothing. Raises `RefusedError` while the attempt has to wait.
        """
        with self._lock:
            record = self._records.setdefault((who, origin), _Record(0, now_s))
            self._records.move_to_end((who, origin))
            while len(self._records) > _MAX_KNOWN:
                self._records.popitem(last=False)
            if now_s - record.last_s >= _FORGET_AFTER_S:
                record.failures = 0
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


def _wait_s(failures: int) -> int:
    if failures < _FREE_FAILURES:
        return 0
    # The exponent is bounded before the power is made.
    steps = min(failures - _FREE_FAILURES, 10)
    return min(_FIRST_WAIT_S << steps, _LONGEST_WAIT_S)
