"""What must hold: `check` in every state, `settles` at the end of a fair run from every state."""

from __future__ import annotations

from hil_tests import cores
from hil_tests.conversation.cloud import Cloud
from hil_tests.conversation.device import Device, nonce
from hil_tests.conversation.steps import Steps, hears
from protocol import answer, command

_ERASURES = (command.VERB_ERASE, command.VERB_RELEASE)
_ROUNDS = 6
_EXCHANGES = 24
#: Numbers of connections that no search uses.
_FAIR = 1_000


def check(device: Device, cloud: Cloud) -> str | None:
    """Return what is wrong with a state, or None."""
    return _honest(cloud) or _kept(device, cloud) or _bound(device) or _done(device, cloud)


def _honest(cloud: Cloud) -> str | None:
    """Nothing counts as settled that was not stored, refused, or noted as lost."""
    state = cloud.durable
    for sequence in range(1, state.cursor + 1):
        if state.outcome(sequence) is None and not state.in_gap(sequence):
            return f"{sequence} is settled and neither stored nor refused nor a gap"
    return None


def _kept(device: Device, cloud: Cloud) -> str | None:
    """A saved reading is at the device, or what became of it is known to the cloud."""
    at_device = {sequence for kind, sequence, _ in device.records if kind == cores.journal.READING}
    if len(set(device.saved)) < len(device.saved):
        return "a sequence was given twice"
    erased = any(verb in _ERASURES for _, verb, _ in device.obeyed)
    for sequence in device.saved:
        outcome = cloud.durable.outcome(sequence)
        if outcome is None:
            if sequence not in at_device and not erased and not cloud.was_restored:
                return f"{sequence} is lost"
        elif outcome[0] == answer.DROP_CLAIM_ENDED and not cloud.durable.claims:
            continue  # the operator has ended a claim that this cloud does not know
        elif outcome[0] and not erased and not cloud.erased and not cloud.was_restored:
            return f"{sequence} was refused with reason {outcome[0]}"
    return None


def _bound(device: Device) -> str | None:
    """Only the welcome of this connection is believed, and no command twice or out of order."""
    if device.believed is not None and device.believed != nonce(device.connection):
        return "the welcome of another connection was believed"
    counters = [counter for counter, _, _ in device.obeyed]
    if counters != sorted(set(counters)):
        return "a command was obeyed twice or late"
    return None


def _done(device: Device, cloud: Cloud) -> str | None:
    """What an account is told was done, was done."""
    for order in cloud.durable.orders:
        wanted = (order.verb, _listed(order.arguments))
        if order.state == "done" and wanted not in [each[1:] for each in device.obeyed]:
            return f"verb {order.verb} counts as done and never reached the device"
    return None


def _listed(arguments: tuple[object, ...]) -> str:
    return repr(arguments).replace(",)", ")").replace("(", "[").replace(")", "]")


def settles(steps: Steps, device: int, cloud: int) -> str | None:
    """Return what is not settled though every message arrives from now on, or None.

    The device connects anew as often as it would by itself; the operator decides about a claim
    that a restore has forgotten. At last one more reading is made, so that gaps are noted.
    """
    device, cloud = _fair_run(steps, device, cloud)
    wrong = _unsettled(steps.device(device), steps.cloud(cloud))
    if wrong is None and steps.device(device).state.claim_epoch:
        device, _ = steps.by_device(device, ("weigh", 1), lambda each: each.weigh(1))
        device, cloud = _fair_run(steps, device, cloud)
        ends = steps.device(device), steps.cloud(cloud)
        wrong = check(*ends) or _unsettled(*ends) or _unnoted(*ends)
    return None if wrong is None else f"in the end, {wrong}"


def _fair_run(steps: Steps, device: int, cloud: int) -> tuple[int, int]:
    for turn in range(_ROUNDS):
        device, cloud = _connection(steps, device, cloud, _FAIR + turn)
        if _unsettled(steps.device(device), steps.cloud(cloud)) is None:
            break
        cloud = steps.of_cloud(steps.cloud(cloud).settled_unknown_claim())
    return device, cloud


def _connection(steps: Steps, device: int, cloud: int, number: int) -> tuple[int, int]:
    """One connection in which nothing is lost, until the device has nothing more to say."""
    device, _ = steps.by_device(device, ("link lost",), lambda each: each.drop_link())
    name = ("connect", number)
    device, sent = steps.by_device(device, name, lambda each: each.connect(number))
    for _ in range(_EXCHANGES):
        for message, _ in steps.members(sent):
            cloud, answers = steps.by_cloud(cloud, message)
            for at in answers:
                data = steps.messages.things[at]
                device, _ = steps.by_device(device, ("receive", at), hears(data))
        if not (steps.device(device).welcomed and steps.device(device).quiet):
            break
        device, sent = steps.by_device(device, ("speak",), lambda each: each.speak())
        if not sent:
            break
    return device, cloud


def _unsettled(device: Device, cloud: Cloud) -> str | None:
    if device.journal.kept:
        return f"{device.journal.oldest} .. {device.journal.next_sequence - 1} wait for ever"
    waiting = [order.verb for order in cloud.durable.orders if order.state == "waiting"]
    return f"orders {waiting} wait for ever" if waiting else None


def _unnoted(device: Device, cloud: Cloud) -> str | None:
    for sequence in device.saved:
        known = cloud.durable.outcome(sequence)
        if known is None and not cloud.durable.in_gap(sequence):
            return f"{sequence} is gone and nobody noted it"
        if known is not None and known[0] == answer.DROP_OUT_OF_RANGE:
            return f"{sequence} was refused as out of range"
    return None
