"""Cut anywhere, the journal loses, doubles and changes nothing, erases wholly, and goes on.

Every operation of every script, in every way of tearing, and every operation of what the next
start does; at least as many cuts as power_cuts.MINIMUM says.
"""
# ruff: noqa: RUF005 - MicroPython does not unpack inside a list

from power_cut_lives import JournalLife
from power_cuts import MINIMUM, enumerate_cuts

TIMEOUT_S = 280
_DAY = ["r0", "r1", "r0", "c"]
_UNDATED = ["u", "r0", "u", "d", "u", "u", "b", "r0", "u", "h", "d", "u", "t"]


def _cut(name, steps, sectors, minimum):
    life = JournalLife(steps, sectors)
    cuts = enumerate_cuts(name, life, sectors)
    assert cuts.total >= minimum, "fewer cuts than are promised"
    # Bounded start: headers, the entries twice (last sector, copies), one sector for the end.
    assert cuts.most_read <= (2 * sectors + 1) * (256 + 32), cuts.most_read
    return life


def test_filled_settled_and_rotated():
    _cut("journal, all settled", (_DAY + ["t"]) * 20, 4, MINIMUM["settled"])
    _cut("journal, half settled", (_DAY + ["h"]) * 20, 4, MINIMUM["half settled"])


def test_full_and_emptied_again():
    steps = _DAY * 9 + ["c"] * 12 + ["t"] + _DAY * 5 + ["t"] + _DAY * 8
    life = _cut("journal, full ring", steps, 4, MINIMUM["full"])
    assert life.refused > 20, "it was never full"


def test_one_person_erased():
    steps = _DAY * 3 + ["e1"] + _DAY * 2 + ["t"] + _DAY + ["e1"] + _DAY * 2
    _cut("journal, handle erased", steps, 7, MINIMUM["erased"])


def test_one_person_erased_among_dated_readings():
    steps = _DAY + ["u", "d", "u", "b"] + _DAY + ["e1", "u", "h", "d", "e1"] + _DAY
    _cut("journal, handle erased, dates", steps, 7, MINIMUM["erased, dated"])


def test_everything_erased():
    steps = _DAY * 2 + ["w"] + _DAY * 3 + ["w", "t"] + _DAY * 9 + ["w"] + _DAY
    life = _cut("journal, all erased", steps, 4, MINIMUM["wiped"])
    assert life.refused, "never erased when full"


def test_dated_afterwards():
    _cut("journal, dated", _UNDATED * 6, 4, MINIMUM["dated"])


def test_a_cloud_that_knows_more():
    steps = _DAY * 3 + ["j"] + _DAY * 3 + ["t"] + _DAY * 3 + ["j", "w"] + _DAY
    _cut("journal, restored flash", steps, 4, MINIMUM["restored"])


def test_the_promised_cuts_are_enough():
    assert sum(MINIMUM.values()) >= 200_000
