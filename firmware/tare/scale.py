"""From load-cell samples to readings: is someone on the plate, do they stand, what do they weigh.

Pure integers; time is the count of samples, 10 a second. States go EMPTY, LOADING, SETTLING, HELD,
UNLOADING. Thresholds come from force-plate recordings of 22 standing adults: their weight varies
by 0.16 kg (median peak to peak) in any 2 s, so 50 g is the honest resolution.
"""

SAMPLES_PER_S = 10

EMPTY = "empty"
LOADING = "loading"
SETTLING = "settling"
HELD = "held"
UNLOADING = "unloading"

STEP_ON = "step on"
LOCKED = "locked"
UNSTEADY = "unsteady"
STEP_OFF = "step off"

RESOLUTION_G = 50
MAX_G = 180_000

_WINDOW = 2 * SAMPLES_PER_S
_LOADED_G = 8_000
_LOADING_G = 5_000
_STEEP_G_PER_SAMPLE = 10_000 // SAMPLES_PER_S
_EMPTY_G = 4_000

_STILL_G = 90
_STILL_RELAXED_G = 150
_STILL_DOUBTFUL_G = 300
_SLOPE_G_PER_S = 50
_RELAX_AFTER = 4 * SAMPLES_PER_S
_GIVE_UP_AFTER = 8 * SAMPLES_PER_S
_TRIM = _WINDOW // 10

_MOVED_G = 300
_MOVED_SAMPLES = SAMPLES_PER_S
# So long on the plate again after leaving it is the next person, not a hop.
_BACK_SAMPLES = 2 * SAMPLES_PER_S
# Readings that wait for the empty plate: people who change places without ever leaving it empty.
_MAX_PROVISIONAL = 4

_ZERO_WINDOW = SAMPLES_PER_S
_ZERO_RANGE_G = 250
_ZERO_STILL_G = 20
# OIML R 76: at most half a step (50 g) a second, and 4 % of the range in all.
_ZERO_STEP_G = RESOLUTION_G // 2
_ZERO_TOTAL_G = MAX_G * 4 // 100
_ZERO_WRONG_G = 100


class Event:
    """What happened: `kind`, and for LOCKED the weight.

    `grams` is rounded to 50 g. `moved`: the person did not stand still. `corrected`: the zero
    found after step-off was taken into account. A LOCKED that is not `final` is shown only: the
    zero before it was not sure, and the final one follows after step-off.
    """

    __slots__ = ("corrected", "final", "grams", "kind", "moved")

    def __init__(self, kind: str, grams: int = 0) -> None:
        self.kind = kind
        self.grams = grams
        self.moved = False
        self.corrected = False
        self.final = True


class Scale:
    """Feed it one weight (g, over the stored zero) a sample; it returns an `Event` or None.

    `zero_g`: the last zero that was found, because who steps on a sleeping scale would else be
    taken for the empty plate. `zero_known` says that it was checked since the scale woke.
    """

    def __init__(self, zero_g: int = 0) -> None:
        self.state = EMPTY
        self.zero_g = zero_g if abs(zero_g) <= _ZERO_TOTAL_G else 0
        self.zero_known = False
        self._window: list[int] = []
        self._since_step_on = 0
        self._held_g = 0
        self._moving = 0
        self._back = 0
        self._provisional: list[Event] = []

    def feed(self, sample_g: int) -> Event | None:
        """Take the next sample."""
        self._window.append(sample_g)
        if len(self._window) > _WINDOW:
            self._window.pop(0)
        if self.state == EMPTY:
            return self._empty()
        self._since_step_on += 1
        if self.state == LOADING:
            return self._loading()
        if self.state == SETTLING:
            return self._settling()
        if self.state == HELD:
            return self._held()
        return self._unloading()

    def _weight(self, samples: int) -> int:
        recent = self._window[-samples:]
        return sum(recent) // len(recent) - self.zero_g

    def _empty(self) -> Event | None:
        weight = self._weight(2)
        slope = 0
        if len(self._window) > 2:
            slope = (self._window[-1] - self._window[-3]) // 2
        if weight > _LOADED_G or (weight > _LOADING_G and slope > _STEEP_G_PER_SAMPLE):
            self.state = LOADING
            self._since_step_on = 0
            return Event(STEP_ON)
        self._track_zero()
        return None

    def _track_zero(self) -> None:
        """Follow a slow drift of the empty plate, never something that is laid on it."""
        if len(self._window) < _ZERO_WINDOW:
            return
        recent = self._window[-_ZERO_WINDOW:]
        off = sum(recent) // _ZERO_WINDOW - self.zero_g
        if not _is_still(recent, _ZERO_STILL_G):
            return
        if off < -_ZERO_RANGE_G:
            # Nothing is lighter than the empty plate: something lay there at the first look.
            self.zero_known = False
        if not self.zero_known and abs(off) <= _ZERO_TOTAL_G // 2:
            # First look after waking: whatever lies there calmly and is light is the empty plate.
            self.zero_g += off
            self.zero_known = True
        elif abs(off) <= _ZERO_RANGE_G:
            step = max(-_ZERO_STEP_G // SAMPLES_PER_S, min(_ZERO_STEP_G // SAMPLES_PER_S, off))
            if abs(self.zero_g + step) <= _ZERO_TOTAL_G:
                self.zero_g += step

    def _loading(self) -> Event | None:
        if self._weight(3) < _EMPTY_G:
            return self._gone()
        recent = self._window[-5:]
        # The ramp is over when half a second stays within a tenth.
        if max(recent) - min(recent) < max(recent) // 10 or self._since_step_on > _RELAX_AFTER:
            self.state = SETTLING
        return None

    def _settling(self) -> Event | None:
        if self._weight(3) < _EMPTY_G:
            return self._gone()
        if self._since_step_on < _WINDOW:
            return None
        limit = _STILL_G if self._since_step_on <= _RELAX_AFTER else _STILL_RELAXED_G
        if _is_still(self._window, limit) and _slope(self._window) <= _SLOPE_G_PER_S:
            return self._lock(moved=False)
        if self._since_step_on < _GIVE_UP_AFTER:
            return None
        if _is_still(self._window, _STILL_DOUBTFUL_G):
            return self._lock(moved=True)
        # Who then does stand still is weighed after all.
        self._since_step_on = 0
        return Event(UNSTEADY)

    def _lock(self, *, moved: bool) -> Event:
        ordered = sorted(self._window)[_TRIM:-_TRIM]
        weight = sum(ordered) // len(ordered) - self.zero_g
        event = Event(LOCKED, _rounded(weight))
        event.moved = moved
        event.final = self.zero_known
        if not event.final:
            exact = Event(LOCKED, weight)
            exact.moved = moved
            self._provisional = self._provisional[1 - _MAX_PROVISIONAL :]
            self._provisional.append(exact)
        self._held_g = event.grams
        self._moving = self._back = 0
        self.state = HELD
        return event

    def _held(self) -> Event | None:
        if self._weight(3) < self._held_g // 2:
            self.state = UNLOADING
            return None
        self._moving = self._moving + 1 if abs(self._weight(3) - self._held_g) > _MOVED_G else 0
        if self._moving >= _MOVED_SAMPLES:
            # Something was taken up or put down: weigh again.
            self.state = SETTLING
            self._since_step_on = 0
        return None

    def _unloading(self) -> Event | None:
        if self._weight(3) >= _EMPTY_G:
            return self._back_on()
        self._back = 0
        if not self._provisional:
            return self._left()
        # The zero was unsure: wait for the calm plate.
        recent = self._window[-_ZERO_WINDOW:]
        if not _is_still(recent, _ZERO_STILL_G):
            return None
        return self._corrected(sum(recent) // _ZERO_WINDOW)

    def _back_on(self) -> Event | None:
        """Somebody stepped on before the plate was empty: the weight shown is not theirs."""
        self._back = self._back + 1 if self._weight(3) > _LOADED_G else 0
        if self._back < _BACK_SAMPLES:
            return None
        self.state = LOADING
        self._since_step_on = 0
        return Event(STEP_ON)

    def _corrected(self, found_g: int) -> Event:
        """Take the zero that was found into account; one waiting reading a sample."""
        event = self._provisional.pop(0)
        if abs(found_g - self.zero_g) > _ZERO_WRONG_G:
            event.grams -= found_g - self.zero_g
            event.corrected = True
        event.grams = _rounded(event.grams)
        if not self._provisional:
            self.zero_g = found_g
            self.zero_known = True
            self._left()
        return event

    def _gone(self) -> Event | None:
        if not self._provisional:
            return self._left()
        self.state = UNLOADING
        self._back = 0
        return None

    def _left(self) -> Event:
        self.state = EMPTY
        return Event(STEP_OFF)


def _rounded(grams: int) -> int:
    return (grams + RESOLUTION_G // 2) // RESOLUTION_G * RESOLUTION_G


def _is_still(samples: list[int], limit_g: int) -> bool:
    """Tell whether the standard deviation is at most `limit_g`, in whole numbers."""
    count = len(samples)
    first = samples[0]
    total = squares = 0
    for sample in samples:
        total += sample - first
        squares += (sample - first) * (sample - first)
    return count * squares - total * total <= limit_g * limit_g * count * count


def _slope(samples: list[int]) -> int:
    """Return the size of the least-squares slope in g a second."""
    count = len(samples)
    first = samples[0]
    total = 0
    for place, sample in enumerate(samples):
        total += (2 * place - count + 1) * (sample - first)
    # Sum of (2i - n + 1)^2 is n (n^2 - 1) / 3; the factor 2 of the places cancels once.
    return abs(total) * 2 * 3 * SAMPLES_PER_S // (count * (count * count - 1))
