"""Whether what was announced as saved is stored exactly once. Pure: tested by itself, because a
check that cannot fail proves nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from hil_tests.rig.scale import Saved


def complaints(
    saved: Sequence[Saved],
    signed: Mapping[int, int],
    listed_g: Sequence[int],
    *,
    unannounced: int,
) -> list[str]:
    """What is wrong; empty when all is well.

    `saved`: what the scale announced. `signed`: sequence and weight (g) in the stored frames.
    `listed_g`: the weights that the cloud lists. At most `unannounced` readings may be stored
    without announcement: a power cut can fall between the flash and the line on the console.
    """
    found = []
    announced = {each.sequence: each.grams for each in saved}
    if len(announced) != len(saved):
        found.append("a sequence was announced twice")
    missing = sorted(announced.keys() - signed.keys())
    if missing:
        found.append(f"announced as saved and not stored: {missing}")
    wrong = sorted(n for n, grams in announced.items() if signed.get(n, grams) != grams)
    if wrong:
        found.append(f"stored with another weight than was shown: {wrong}")
    if Counter(listed_g) != Counter(signed.values()):
        found.append(f"{len(signed)} readings are stored and {len(listed_g)} listed, or others")
    invented = len(signed.keys() - announced.keys())
    if invented > unannounced:
        found.append(f"{invented} readings are stored that were not announced")
    return found
