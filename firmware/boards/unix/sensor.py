"""The simulated load cell behind the verb `sim`: people who step on, traces, streams of weigh-ins.

It gives samples only while someone is near, as a sleeping scale does: 10 a second, or with `fast`
as quickly as they are taken. Reads trace files; touches nothing else.
"""

import asyncio

from sim.load_cell import LoadCell
from tare.console import expect, number
from tare.errors import ConsoleError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_SAMPLE_MS = 100
_FAST_SAMPLES = 20
_MAX_WAITING = 32
_MAX_GRAMS = 400_000
# The empty plate before and after each weigh-in, so that the scale finds its zero.
_EMPTY_S = 1.5
# Weights of a stream: one person, from day to day.
_STREAM_G = 72_500
_STREAM_SPREAD_G = 800


class SimulatedSensor:
    """`random(n)` gives n random bytes."""

    def __init__(self, random: "Callable[[int], bytes]", *, fast: bool) -> None:
        self._random = random
        self._cell = LoadCell(random)
        self._fast = fast
        self._taken = 0
        self._waiting: list[Iterator[int]] = []
        self._arrived = asyncio.Event()
        self._broken = False

    async def next_counts(self) -> int:
        """Return the next sample; waits as long as nobody is near."""
        while True:
            while not self._waiting and not self._broken:
                self._arrived.clear()
                await self._arrived.wait()
            if self._broken:
                raise OSError("the simulated sensor is broken")
            await self._pace()
            for counts in self._waiting[0]:
                return counts
            self._waiting.pop(0)

    def fail(self) -> None:
        """Break for good: every sample from now on is an error."""
        self._broken = True
        self._arrived.set()

    async def _pace(self) -> None:
        if not self._fast:
            await asyncio.sleep_ms(_SAMPLE_MS)
            return
        # Let the others run now and then: one turn of the loop costs more than a weigh-in.
        self._taken += 1
        if self._taken % _FAST_SAMPLES == 0:
            await asyncio.sleep_ms(0)

    def command(self, arguments: list[str]) -> object:
        """The console verb: `step-on GRAMS`, `trace PATH`, `plate PATH`, `stream COUNT`."""
        if len(self._waiting) >= _MAX_WAITING:
            raise ConsoleError("busy", "too many weigh-ins are waiting")
        expect(arguments, 2)
        what, value = arguments
        if what == "step-on":
            self._add(self._weigh_in(number(value, 1, _MAX_GRAMS)))
        elif what == "stream":
            self._add(self._stream(number(value, 1, 100_000)))
        elif what == "trace":
            self.play(value)
        elif what == "plate":
            self._add(self._cell.counts(grams) for grams in _weights(value))
        else:
            raise ConsoleError("arguments", "expected step-on, trace, plate or stream")
        return None

    def play(self, path: str) -> None:
        """Let a trace come: a file with one weight in g a line, 10 a second."""
        self._add(self._trace(_weights(path)))

    def _add(self, samples: "Iterator[int]") -> None:
        self._waiting.append(samples)
        self._arrived.set()

    def _weigh_in(self, grams: int) -> "Iterator[int]":
        yield from self._cell.empty(_EMPTY_S)
        yield from self._cell.stand(grams)

    def _stream(self, count: int) -> "Iterator[int]":
        for _ in range(count):
            yield from self._weigh_in(_STREAM_G + self._below(2 * _STREAM_SPREAD_G))

    def _trace(self, weights: list[int]) -> "Iterator[int]":
        yield from self._cell.empty(_EMPTY_S)
        yield from self._cell.trace(iter(weights))

    def _below(self, bound: int) -> int:
        """A number below `bound`; bound is small against 2**32, so the bias does not matter."""
        return int.from_bytes(self._random(4), "big") % bound


def _weights(path: str) -> list[int]:
    try:
        with open(path) as file:
            return [int(line) for line in file if line.strip()]
    except (OSError, ValueError):
        raise ConsoleError("arguments", "the trace cannot be read")
