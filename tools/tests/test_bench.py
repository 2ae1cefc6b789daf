"""The benchmarks run, and what they say of sizes holds: bytes do not depend on the machine."""

from itertools import pairwise

import pytest

from tools.bench import __main__ as bench
from tools.bench import frames, verify


@pytest.mark.parametrize("kind", list(frames.BUDGETS))
def test_frames_keep_their_budgets_and_are_the_smallest(kind: str) -> None:
    sizes = frames.measure(kind, tuple(range(1, 33)))
    one, further = frames.BUDGETS[kind]
    assert sizes[0].tare <= one
    for before, after in pairwise(sizes):
        assert after.tare - before.tare <= further
    for size in sizes:
        # Signed, and still smaller than the unsigned ones.
        assert size.tare < min(size.json, size.senml)
        assert size.jws > size.json


def test_verifying_is_timed_beside_openssl() -> None:
    rates = verify.measure(records=2, frames=20)
    assert rates.openssl > rates.tare > 0
    # A slow machine is slow for both: only a verifier that does much too much falls below.
    assert rates.ratio > 0.1


def test_one_command_runs_what_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert bench.main(["frames"]) == 0
    printed = capsys.readouterr().out
    assert "weigh-in" in printed
    assert "SenML" in printed
    with pytest.raises(SystemExit):
        bench.main(["nothing"])
    assert "signature" in capsys.readouterr().err
