"""Files in real littlefs on flash with NOR rules, with a perfect memory of them: power_cuts.py."""

import power_cut_sectors  # noqa: F401 - first, see there

from sim.nor import Nor
from tare.littlefs import Folder

SECTORS = 24
_LONGEST = 4096


class FilesLife:
    """Plays `steps`: ("set", name, size), ("drop", name), ("log", size) appends and syncs."""

    def __init__(self, steps):
        self.memory = None
        self.synced = _nobody
        self._steps = steps
        self._saved = {}
        self._trying = (None, None)
        self._number = 0

    def play(self, flash):
        """Live it."""
        # Made before the first cut counts: an unformatted device holds nothing to lose.
        Folder(Nor(self.memory), 0, SECTORS).format()
        folder = Folder(flash, 0, SECTORS, self.synced)
        for step in self._steps:
            getattr(self, "_step_" + step[0])(folder, *step[1:])

    def restart(self, flash, second):
        """Mount, compare every file with what was saved, and set one more value."""
        folder = Folder(flash, 0, SECTORS)
        files = folder.mount()
        read = flash.bytes_read
        name_trying, value_trying = self._trying
        found = {entry[0] for entry in files.ilistdir("/")}
        for name in found | set(self._saved):
            if name.endswith(".new"):
                continue
            allowed = [self._saved.get(name)]
            if name == name_trying:
                allowed.append(value_trying)
            if second and name == "after":
                allowed.append(b"goes on")
            assert folder.read(name, _LONGEST) in allowed, ("neither old nor new", name)
        folder.replace("after", b"goes on")
        assert folder.read("after", _LONGEST) == b"goes on"
        return read

    def _step_set(self, folder, name, size):
        self._number += 1
        value = (b"%d," % self._number) * size
        self._trying = (name, value)
        folder.replace(name, value)
        self._done(name, value)

    def _step_drop(self, folder, name):
        self._trying = (name, None)
        folder.mount().remove(name)
        self._done(name, None)

    def _step_removed_first(self, folder, name, size):
        self._number += 1
        value = (b"%d," % self._number) * size
        self._trying = (name, value)
        folder.mount().remove(name)
        folder.replace(name, value)
        self._done(name, value)

    def _done(self, name, value):
        self._saved[name] = value
        self._trying = (None, None)


def _nobody():
    pass
