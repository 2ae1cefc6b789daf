"""Sums up many seeds: what was lived through, and how fast."""

from __future__ import annotations

from hil_tests.simulation.run import Outcome

_DAYS_A_YEAR = 365.25


class Summary:
    """Counts of all seeds added to it. `failed`: the seeds that broke an invariant."""

    def __init__(self) -> None:
        self.failed: list[int] = []
        self._outcomes: list[Outcome] = []

    def add(self, outcome: Outcome) -> None:
        """Counts one seed."""
        self._outcomes.append(outcome)
        if outcome.broken:
            self.failed.append(outcome.seed)

    @property
    def device_days(self) -> int:
        """Of all seeds together."""
        return sum(outcome.device_days for outcome in self._outcomes)

    def text(self) -> str:
        """A few lines for people."""
        cpu_s = sum(outcome.cpu_s for outcome in self._outcomes) or 1.0
        a_minute = self.device_days / cpu_s * 60
        counts = ", ".join(
            f"{sum(getattr(outcome, name) for outcome in self._outcomes)} {what}"
            for name, what in _COUNTED.items()
        )
        return (
            f"{len(self._outcomes)} seeds, {len(self.failed)} failed; {counts}\n"
            f"{self.device_days} device-days in {cpu_s:.1f} s of CPU: {a_minute:.0f} device-days "
            f"or {a_minute / _DAYS_A_YEAR:.1f} device-years a CPU minute"
        )


_COUNTED = {
    "readings": "weigh-ins shown as saved",
    "stored": "readings found in their place",
    "cuts": "power cuts inside flash operations",
    "boots": "starts",
    "deaths": "agent deaths",
    "claims": "claims",
    "releases": "releases",
    "erasures": "erasures",
    "full": "readings refused by a full journal",
}
