"""`python -m hil_tests.simulation --seeds N [--seed S] [--days D]`: runs seeds, names bad ones."""

from __future__ import annotations

import argparse
import contextlib
import sys

from hil_tests.simulation.report import Summary
from hil_tests.simulation.run import DEFAULT_DAYS, run


def main() -> int:
    """Returns 1 when a seed breaks an invariant."""
    parser = argparse.ArgumentParser(prog="python -m hil_tests.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=100, help="how many, counted from --seed")
    parser.add_argument("--seed", type=int, default=1, help="the first one")
    parser.add_argument("--days", type=int, default=DEFAULT_DAYS, help="days of each seed")
    arguments = parser.parse_args()
    summary = Summary()
    with contextlib.suppress(KeyboardInterrupt):  # what was lived until then still counts
        _run_all(arguments.seed, arguments.seeds, arguments.days, summary)
    print(summary.text())  # noqa: T201 - a tool
    return 1 if summary.failed else 0


def _run_all(first: int, count: int, days: int, summary: Summary) -> None:
    for seed in range(first, first + count):
        outcome = run(seed, days)
        summary.add(outcome)
        if outcome.broken:
            # A tool.
            print(f"--seeds 1 --seed {seed} --days {days}: {outcome.broken}", flush=True)  # noqa: T201


if __name__ == "__main__":
    sys.exit(main())
