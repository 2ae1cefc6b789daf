"""Many lives of many households: nothing saved is lost, doubled, mixed up or wrongly dated.

To repeat a seed that failed: python -m hil_tests.simulation --seeds 1 --seed N --days D
"""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from hil_tests.simulation.mutations import MUTATIONS
from hil_tests.simulation.report import Summary
from hil_tests.simulation.run import run
from hil_tests.simulation.timeline import Timeline
from hil_tests.simulation.variant import Variant

# Chosen for 60 to 90 s of one core; ranges, so that several cores may share them.
DAYS = 10
SEEDS_A_RANGE = 5
RANGES = 16
FIRST_SEED = 1
# A fault that is not found within so many seeds is not found.
PATIENCE = 40


@pytest.mark.parametrize("part", range(RANGES))
def test_every_shown_reading_is_there_once_with_its_person_and_time(part: int) -> None:
    summary = Summary()
    first = FIRST_SEED + part * SEEDS_A_RANGE
    broken = []
    for seed in range(first, first + SEEDS_A_RANGE):
        outcome = run(seed, DAYS)
        summary.add(outcome)
        if outcome.broken:
            broken.append(f"--seeds 1 --seed {seed} --days {DAYS}: {outcome.broken}")
    sys.stdout.write(summary.text())
    assert not broken, "\n".join(broken)


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_a_known_fault_is_found(mutation: Variant) -> None:
    for seed in range(FIRST_SEED, FIRST_SEED + PATIENCE):
        if run(seed, DAYS, mutation).broken:
            return
    pytest.fail(f"a system that {mutation.name} passed {PATIENCE} seeds")


@pytest.mark.parametrize("seed", [7, 25])
def test_a_seed_is_the_same_life_each_time(seed: int) -> None:
    """25 signs and verifies with the portable code, 7 with OpenSSL."""
    once, again = run(seed, 4), run(seed, 4)
    assert once.fingerprint == again.fingerprint
    assert once.events == again.events > 0


def test_a_seed_is_the_same_life_in_another_process() -> None:
    code = "from hil_tests.simulation.run import run; print(run(7, 4).fingerprint)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        check=True,
        text=True,
        cwd=Path(__file__).parents[3],
        env={**os.environ, "PYTHONHASHSEED": "12345"},
    )
    assert done.stdout.strip() == run(7, 4).fingerprint


def test_the_seeds_hold_what_they_are_there_for() -> None:
    """A simulation in which nothing happens proves nothing."""
    outcomes = [run(seed, DAYS) for seed in range(1, 13)]
    for name in ("stored", "cuts", "deaths", "claims", "releases", "erasures"):
        assert sum(getattr(outcome, name) for outcome in outcomes) > 0, name
    readings = sum(outcome.readings for outcome in outcomes)
    assert sum(outcome.stored for outcome in outcomes) > readings // 2, "most are not erased"


def test_the_command_says_what_it_ran_and_how_fast() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "hil_tests.simulation", "--seeds", "2", "--days", "2"],
        capture_output=True,
        check=True,
        text=True,
        cwd=Path(__file__).parents[3],
    )
    assert "2 seeds, 0 failed" in done.stdout
    assert "device-years a CPU minute" in done.stdout


def test_what_is_due_at_one_time_happens_in_the_order_it_was_planned() -> None:
    timeline = Timeline()
    seen: list[tuple[str, int]] = []

    def noting(name: str) -> Callable[[], None]:
        return lambda: seen.append((name, timeline.now_ms))

    for name in "abc":
        timeline.after(5, noting(name))
    timeline.after(1, lambda: timeline.after(4, noting("d")))
    timeline.run_until(4)
    assert seen == []
    timeline.run_until(9)
    assert seen == [("a", 5), ("b", 5), ("c", 5), ("d", 5)]
    assert timeline.now_ms == 9
