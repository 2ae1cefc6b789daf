"""The parts that a run is made of, so that a test can put a broken one in their place."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from cloud_agent.ingest.judge import Judgement, Origin, Seen, judge_readings
from cloud_agent.ingest.pipeline import Pipeline
from hil_tests import cores
from protocol import frame

JudgeReadings = Callable[[frame.Readings, int, Origin, Mapping[int, Seen]], Judgement]


@dataclass(frozen=True)
class Variant:
    """The real parts, unless a mutation says otherwise. A `puback` does something only there."""

    name: str = "real"
    pipeline: type[Pipeline] = Pipeline
    judge_readings: JudgeReadings = judge_readings
    commands: Any = cores.commands.Commands
    journal: Any = cores.journal.Journal
    puback: Callable[[Any, bytes], None] | None = None


REAL = Variant()
