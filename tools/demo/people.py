"""Who steps on the scale in the demo: recorded standing people where the recordings are there,
else the firmware's own physics. A trace is a file with one weight in g a line, ten a second.
"""

from __future__ import annotations

import gzip
import os
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from tools.environment import ROOT

_PER_SECOND = 10
_RECORDED_PER_SECOND = 100
_GRAVITY_M_S2 = 9.81
_RISE = (0.2, 0.6, 0.9)  # of the weight, three samples: the second foot follows the first
_STAND_S = 4.0
_LEAVE_S = 1.0
#: Whoever stands in for the recordings (g).
_SIMULATED_G = (72_450, 72_600, 72_300)
#: Columns of a recording: vertical force of one foot and of the other, in N.
_FORCES = (2, 5)


@dataclass(frozen=True)
class Person:
    """One weigh-in to play: the console request, and the true weight."""

    source: str
    request: str
    grams: int


def weigh_ins(count: int, folder: Path) -> list[Person]:
    """`count` weigh-ins of one person; traces are written to `folder`."""
    recording = _recording()
    if recording is None:
        return [
            Person("simulated person", f"sim step-on {grams}", grams)
            for grams in (_SIMULATED_G * count)[:count]
        ]
    weights = _weights_g(recording)
    # Pieces of one recording, one after the other: the same person three times.
    length = int(_STAND_S * _RECORDED_PER_SECOND)
    people = []
    for number in range(count):
        start = (number * length) % (len(weights) - length)
        piece = weights[start : start + length]
        trace = folder / f"weigh-in-{number + 1}.txt"
        trace.write_text("".join(f"{grams}\n" for grams in _trace(piece)))
        people.append(
            Person(f"recorded person ({recording.name})", f"sim trace {trace}", round(fmean(piece)))
        )
    return people


def _recording() -> Path | None:
    shared = Path(os.environ.get("TARE_SHARED") or ROOT.parent / "shared")
    return next(iter(sorted((shared / "data" / "standing").glob("*.txt.gz"))), None)


def _weights_g(recording: Path) -> list[float]:
    weights = []
    with gzip.open(recording, "rt") as lines:
        next(lines)  # names of the columns
        for line in lines:
            values = line.split()
            force_n = sum(float(values[column]) for column in _FORCES)
            weights.append(force_n / _GRAVITY_M_S2 * 1000)
    return weights


def _trace(weights: list[float]) -> list[int]:
    step = _RECORDED_PER_SECOND // _PER_SECOND
    standing = [
        fmean(weights[place : place + step]) for place in range(0, len(weights) - step + 1, step)
    ]
    rise = [part * standing[0] for part in _RISE]
    leave = [0.0] * int(_LEAVE_S * _PER_SECOND)
    return [round(grams) for grams in (*rise, *standing, *leave)]
