"""`python -m hil_tests.simulation --seeds N [--seed S] [--days D]`: runs seeds, names bad ones."""

from __future__ import annotations

import argparse
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
    for seed in range(arguments.seed, arguments.seed + arguments.seeds):
        outcome = run(seed, arguments.days)
        summary.add(outcome)
        if outcome.broken:
            print(f"seed {seed} --days {arguments.days}: {outcome.broken}", flush=True)  # noqa: T201
    print(summary.text())  # noqa: T201
    return 1 if summary.failed else 0


if __name__ == "__main__":
    sys.exit(main())
