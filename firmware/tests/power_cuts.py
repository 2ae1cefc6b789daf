"""Cuts the power at every flash operation of a script, in every way, and again in the recovery.

A script is an object with `play(flash)`, which lives a life and keeps a perfect memory of it, and
`restart(flash, second)`, which starts the device on what a cut left, checks it against that memory
and goes on a little. Nothing is run twice to reach a cut: the flash is put back from an undo log.
A script that syncs (`synced`) also loses any one sector of what it wrote since, out of order.
"""

from time import ticks_diff, ticks_us

import power_cut_sectors

from sim.nor import EVERY_TEAR, Memory, Nor
from tare.flash import SECTOR

#: In which the file systems and tables here are counted.
SHORT_SECTOR = power_cut_sectors.flash_map.SECTOR
#: One sector lost what it took since the last sync, while a later operation happened.
REORDERED = "reordered"
#: How many cuts each script stands for in every run: together 200,000 and more.
MINIMUM = {
    "settled": 6_000,
    "half settled": 6_000,
    "full": 6_800,
    "erased": 24_000,
    "erased, dated": 28_000,
    "wiped": 9_900,
    "dated": 7_600,
    "restored": 7_300,
    "claim": 11_500,
    "person": 19_000,
    "everything": 18_700,
    "boots": 9_500,
    "crowded": 24_800,
    "trust": 17_000,
    # These depend on the release of littlefs.
    "settings": 50_000,
    "files": 40_000,
}


class UndoMemory(Memory):
    """Memory that can be put back to an earlier moment."""

    def __init__(self, sectors):
        super().__init__(sectors * SECTOR, b"\xff" * (sectors * SECTOR))
        self._log = []

    def write(self, at, data, step=SECTOR):  # noqa: ARG002 - the interface of both stores
        """Overwrite a range and remember what stood there."""
        self._log.append((at, self.data[at : at + len(data)]))
        self.data[at : at + len(data)] = data

    def moment(self):
        """Return the present, for `back_to`."""
        return len(self._log)

    def back_to(self, moment):
        """Put back everything written since."""
        while len(self._log) > moment:
            at, old = self._log.pop()
            self.data[at : at + len(old)] = old

    def forget(self):
        """There is no way back beyond the present."""
        self._log.clear()

    def holds(self, pattern):
        """Tell whether these bytes can be read anywhere in the raw image."""
        return self.data.find(pattern) >= 0


class Enumeration:
    """Plays one script; `cuts` counts by tear, first and second ones together."""

    def __init__(self, script, sectors, second_every=1):
        self.cuts = dict.fromkeys(EVERY_TEAR, 0)
        self.cuts[REORDERED] = 0
        self.operations = 0
        self.seconds = 0
        self.most_read = 0
        self._memory = UndoMemory(sectors)
        self._script = script
        self._second_every = second_every
        began_us = ticks_us()
        self._window = None
        script.memory = self._memory
        if hasattr(script, "synced"):
            script.synced = self._synced
            self._window = {}
        script.play(Nor(self._memory, watch=self._at))
        self.us_per_cut = ticks_diff(ticks_us(), began_us) / max(1, self.total)

    @property
    def total(self):
        """All cuts, each with its recovery and its check."""
        return sum(self.cuts.values())

    def report(self, name):
        """Print the figures: one line for the script, one for the ways of tearing."""
        first = self.total - self.seconds
        print(
            "%s: %d operations, %d cuts (%d first, %d in the recovery), %d us each"
            % (name, self.operations, self.total, first, self.seconds, self.us_per_cut)
        )
        print("  " + ", ".join("%s %d" % item for item in self.cuts.items() if item[1]))

    def _at(self, operation):
        self.operations += 1
        self._memory.forget()
        for tear, left in _outcomes(operation):
            self._memory.write(operation.address, left)
            moment = self._memory.moment()
            tape = []
            self._restart(tear, False, tape.append)
            self._memory.back_to(moment)
            if self.operations % self._second_every == 0:
                self._again(tape)
            self._memory.back_to(0)
        if self._window is not None:
            self._reorder(operation)

    def _synced(self):
        self._window.clear()

    def _reorder(self, operation):
        """Since the last sync the flash may have done later operations and not an earlier one."""
        sector = operation.address // SECTOR
        for lost, before in self._window.items():
            if lost == sector:
                continue
            for left in (operation.before, operation.after):
                self._memory.write(lost * SECTOR, before)
                self._memory.write(operation.address, left)
                self._restart(REORDERED, False, None)
                self._memory.back_to(0)
        if sector not in self._window:
            self._window[sector] = self._memory.read(sector * SECTOR, SECTOR)

    def _again(self, tape):
        for operation in tape:
            for tear, left in _outcomes(operation):
                moment = self._memory.moment()
                self._memory.write(operation.address, left)
                self.seconds += 1
                self._restart(tear, True, None)
                self._memory.back_to(moment)
            self._memory.write(operation.address, operation.after)

    def _restart(self, tear, second, watch):
        self.cuts[tear] += 1
        flash = Nor(self._memory, watch=watch)
        try:
            self.most_read = max(self.most_read, self._script.restart(flash, second) or 0)
        except Exception as error:
            where = "second cut" if second else "cut"
            raise AssertionError("%s, operation %d, %s: %r" % (where, self.operations, tear, error))


def enumerate_cuts(name, script, sectors):
    """Cut everywhere, print the figures, return them."""
    cuts = Enumeration(script, sectors)
    cuts.report(name)
    return cuts


def _outcomes(operation):
    """The ways of tearing that leave something different here, with what they leave."""
    seen = set()
    for tear in EVERY_TEAR:
        left = operation.torn(tear)
        if left not in seen:
            seen.add(left)
            yield tear, left
