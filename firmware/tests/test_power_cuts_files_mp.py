"""Cut anywhere, also with writes out of order, littlefs mounts and every setting is old or new."""

from power_cut_files import SECTORS, FilesLife
from power_cuts import MINIMUM, REORDERED, enumerate_cuts

TIMEOUT_S = 280


def test_settings_are_old_or_new():
    steps = [("set", "wifi", 5), ("set", "units", 30), ("set", "wifi", 200), ("drop", "units")]
    steps += [("set", "units", 100)] + [("set", "wifi", 3 + 20 * count) for count in range(8)]
    cuts = enumerate_cuts("files", FilesLife(steps), SECTORS)
    assert cuts.total >= MINIMUM["files"]
    assert cuts.cuts[REORDERED] > 100
