"""Whose reading is it: the person whose reference is near, and nearer than all others. Pure.

Else the answer is 0 (unknown), which the cloud sorts out: silence is better than a wrong name.
Only readings that are sure teach the reference.
"""

from protocol.command import Person

UNKNOWN = 0
# A person's weight changes from day to day by 1.05 kg at 95 %, 2.3 kg at 99 % (12 people).
_TOLERANCE_G = 3_000
# Two people 2.5 kg apart: with this, a day's change of one of them takes a reading to the other
# once in a thousand times, and to nobody 8 times in a hundred (normal, from the 95 % above).
_MARGIN_G = 1_000
# A claim names one person without a weight: the first calm adult after it is taken for them. Of
# several nobody is guessed: the cloud knows a weight, or its person is asked for one.
_LIGHTEST_UNSEEN_G = 30_000
# The reference follows slowly, so that one odd reading does not carry it away.
_FOLLOW = 4
_WORTH_STORING_G = 100


def recognise(people: list[Person], grams: int) -> int:
    """Return the handle of the person who weighs this, or `UNKNOWN`."""
    if len(people) == 1 and people[0].reference_g == 0:
        return people[0].handle if grams >= _LIGHTEST_UNSEEN_G else UNKNOWN
    near = sorted(
        (abs(grams - person.reference_g), person.handle) for person in people if person.reference_g
    )
    if not near or near[0][0] > _TOLERANCE_G:
        return UNKNOWN
    if len(near) > 1 and near[1][0] - near[0][0] < _MARGIN_G:
        return UNKNOWN
    return near[0][1]


def learn(people: list[Person], handle: int, grams: int) -> bool:
    """Move the reference of a recognised person; True when the change is worth a write."""
    for person in people:
        if person.handle == handle and handle != UNKNOWN:
            if person.reference_g == 0:
                person.reference_g = grams
                return True
            moved = (grams - person.reference_g) // _FOLLOW
            if abs(moved) * _FOLLOW >= _WORTH_STORING_G:
                person.reference_g += moved
                return True
    return False
