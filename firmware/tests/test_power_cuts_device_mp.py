"""Cut anywhere, a device keeps its counters, obeys each command wholly and once, and its key."""
# ruff: noqa: RUF005 - MicroPython does not unpack inside a list

from power_cut_device import SECRET_G, SECTORS, DeviceLife
from power_cuts import MINIMUM, enumerate_cuts

from protocol import frame

TIMEOUT_S = 280
_PEOPLE = [[1, 1, SECRET_G], [2, 2, 60_000]]
_CLAIM = ("order", 1, [7, _PEOPLE])
_RENEWED = ("order", 2, [[[1, 1, SECRET_G], [2, 2, 61_000]]])


def _cut(name, steps, minimum):
    cuts = enumerate_cuts(name, DeviceLife(steps), SECTORS)
    assert cuts.total >= minimum, "fewer cuts than are promised"


def test_claimed_and_people_changed():
    refused, unknown = frame.OUTCOME_ARGUMENTS_REFUSED, frame.OUTCOME_UNKNOWN_VERB
    steps = [
        _RENEWED + (refused,),
        _CLAIM,
        ("read", 1),
        ("learn", 73_219),
        ("boot",),
        _RENEWED,
        ("read", 2),
    ]
    _cut(
        "device, claim", steps + [("order", 99, [], unknown), ("boot",), ("ack",)], MINIMUM["claim"]
    )


def test_one_person_erased():
    read = [("read", 1), ("read", 2), ("read", 1)]
    steps = [_CLAIM] + read + [("order", 4, [1]), ("ack",), ("read", 2), ("order", 4, [2])]
    _cut("device, person erased", steps, MINIMUM["person"])


def test_everything_erased_and_claimed_again():
    steps = [_CLAIM, ("read", 1), ("read", 2), ("order", 4, []), ("boot",)]
    steps += [("order", 1, [8, _PEOPLE]), ("read", 1), ("ack",), ("read", 1), ("order", 5, [])]
    _cut("device, all erased, released", steps, MINIMUM["everything"])


def test_boots_and_dates():
    steps = [_CLAIM, ("read", 2), ("boot",), ("read", 2), ("welcome",), ("boot",), ("read", 2)]
    steps += [("ack",), ("welcome",), _RENEWED, ("boot",), ("read", 2), ("boot",), ("welcome",)]
    steps += [("ack",), ("read", 1), ("boot",), ("read", 2), ("learn", 73_219), ("boot",)]
    steps += [("welcome",), ("read", 2), ("read", 1), ("boot",), ("ack",), ("read", 2)]
    _cut("device, boots and dates", steps, MINIMUM["boots"])


def test_settings_changed_and_set_back():
    refused = frame.OUTCOME_ARGUMENTS_REFUSED
    steps = [("order", 3, [[[1, 1]]]), _CLAIM, ("order", 3, [[[1, 2], [3, 30]]]), ("boot",)]
    steps += [("order", 3, [[[1, 0], [9, 1]]], refused), ("read", 2), ("order", 3, [[[1, 2]]])]
    steps += [("order", 4, [1]), ("order", 3, [[[2, 15]]]), ("order", 4, []), ("boot",)]
    steps += [("order", 3, [[[1, 1]]]), ("order", 5, [])]
    _cut("device, settings", steps, MINIMUM["settings"])


def test_commands_on_a_full_ring():
    steps = [_CLAIM, ("fill", 1), ("boot",), ("order", 4, [2], frame.OUTCOME_FAILED), _RENEWED]
    _cut("device, full ring", steps + [("order", 4, []), _CLAIM, ("read", 1)], MINIMUM["crowded"])
