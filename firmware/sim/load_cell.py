"""A person on a plate on four load cells, as the counts of an HX711 at 10 samples a second.

Step-on: a ramp, then a damped bounce, then the sway of quiet standing (0.16 kg peak to peak in
2 s, median of recorded adults), then step-off. Or a recorded trace. Sensor noise 1 g, slow drift of
the zero, 24-bit saturation. `random(n)` gives n random bytes; touches nothing else.
"""

import math

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: A real build with four 50 kg half bridges (24 bit over 20 mV): counts of one kilogram.
COUNTS_PER_KG = 20_624
#: Where such a build sits without load.
ZERO_COUNTS = -481_989
_HIGHEST = 0x7FFFFF
_LOWEST = -0x800000

_STEP_S = 0.1
_RAMP_S = 0.7
_BOUNCE_HZ = 3.0
_BOUNCE_DAMPING = 0.2
_NOISE_G = 1.0
# Standard deviations (g) by band, from 66 recordings of quiet standing; see `Sway`.
_SWAY_SLOW_G = 27.0
_SWAY_FAST_G = 50.0
_DRIFT_G = 0.02


class Sway:
    """What a standing body adds: slow shifts (a damped walk) and fast ones, of breath and heart."""

    def __init__(self, normal: "Callable[[], float]") -> None:
        self._normal = normal
        self._slow = 0.0

    def next(self, share: float) -> float:
        """Return the next addition in g; `share` scales it to the body's weight."""
        self._slow = 0.8 * self._slow + 0.6 * self._normal() * _SWAY_SLOW_G
        return share * (self._slow + self._normal() * _SWAY_FAST_G)


class LoadCell:
    """Turns weights into counts; keeps the drift of the zero between weigh-ins."""

    def __init__(self, random: "Callable[[int], bytes]") -> None:
        self._random = random
        self._zero_g = 0.0
        self._sway = Sway(self._normal)

    def counts(self, grams: float) -> int:
        """Return what the converter gives for a load, noise, drift and saturation included."""
        self._zero_g += self._normal() * _DRIFT_G
        load = grams + self._zero_g + self._normal() * _NOISE_G
        counts = ZERO_COUNTS + round(load * COUNTS_PER_KG / 1000)
        return max(_LOWEST, min(_HIGHEST, counts))

    def empty(self, seconds: float) -> "Iterator[int]":
        """Samples of the empty plate."""
        for _ in range(round(seconds / _STEP_S)):
            yield self.counts(0)

    def stand(self, grams: int, seconds: float = 6.0) -> "Iterator[int]":
        """Samples from the first foot on the plate until a second after the last one left it."""
        for number in range(round(seconds / _STEP_S)):
            yield self.counts(self._standing(grams, number * _STEP_S))
        yield self.counts(grams * 0.4)
        yield from self.empty(1.0)

    def trace(self, weights: "Iterator[int]") -> "Iterator[int]":
        """Samples of recorded weights in g, 10 a second, then the empty plate."""
        for grams in weights:
            yield self.counts(grams)
        yield from self.empty(1.5)

    def _standing(self, grams: int, at_s: float) -> float:
        if at_s < _RAMP_S:
            # The first foot carries up to 0.6 of the weight before the second one leaves the floor.
            part = at_s / _RAMP_S
            return grams * (0.6 * min(1.0, 2 * part) + 0.4 * max(0.0, 2 * part - 1))
        since = at_s - _RAMP_S
        angle = 2 * math.pi * _BOUNCE_HZ * since
        bounce = 0.1 * math.exp(-_BOUNCE_DAMPING * angle) * math.cos(angle)
        return grams * (1 + bounce) + self._sway.next(grams / 75_000)

    def _normal(self) -> float:
        """Nearly normal: the sum of twelve uniform numbers has variance 1."""
        raw = self._random(24)
        total = sum(raw[place] << 8 | raw[place + 1] for place in range(0, 24, 2))
        return total / (1 << 16) - 6.0
