"""Waiting with an end: every wait of the rig goes through here, and says what it waited for."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

_POLL_S = 0.02
_Result = TypeVar("_Result")


class RigTimeoutError(AssertionError):
    """Something did not happen in time. A failure of the test, not an error of the rig."""


def until(
    condition: Callable[[], _Result | None],
    what: str,
    *,
    timeout_s: float,
    poll_s: float = _POLL_S,
) -> _Result:
    """Returns the first true result of `condition`. Raises RigTimeoutError."""
    deadline_s = time.monotonic() + timeout_s
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() > deadline_s:
            raise RigTimeoutError(f"{what}: not within {timeout_s:.0f} s")
        time.sleep(poll_s)
