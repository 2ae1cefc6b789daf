"""The verifier and a second one, written from SPEC alone, name the same reason for each refusal:
the order of the rules is part of the contract, because the reason is stored and shown.
"""

from __future__ import annotations

from collections import Counter

from cloud_agent.ingest.verify import KnownDevice, Reason, Refused, Verified, verify
from protocol.tests import second
from protocol.tests.traffic import CLOUD, DEVICE, OTHER, STRANGER, UPLINK, Traffic

_CASES = 4000
_TOPICS = (
    *[f"tare/1/{DEVICE.kid.hex()}/up"] * 12,
    f"tare/1/{OTHER.kid.hex()}/up",
    f"tare/1/{DEVICE.kid.hex()}/down",
    f"tare/1/{DEVICE.kid.hex().upper()}/up",
    f"tare/1/{DEVICE.kid.hex()}/up/",
    f"tare/2/{DEVICE.kid.hex()}/up",
)
# One device that is fine, one that has not confirmed, one that is revoked.
_SECOND = {
    DEVICE.kid: second.Known(DEVICE.public),
    OTHER.kid: second.Known(OTHER.public, confirmed=False),
    CLOUD.kid: second.Known(CLOUD.public, revoked=True),
}
_FIRST = {
    kid: KnownDevice(kid.hex(), known.key, enrolled=known.confirmed, revoked=known.revoked)
    for kid, known in _SECOND.items()
}


def _first(topic: str, data: bytes) -> str | bytes:
    outcome = verify(topic, data, _FIRST.get)
    if isinstance(outcome, Refused):
        return outcome.reason.value
    assert isinstance(outcome, Verified)
    return outcome.message.encode()


def _second(topic: str, data: bytes) -> str | bytes:
    try:
        return second.encode(second.read_uplink(topic, data, _SECOND))
    except second.RefusedError as error:
        return str(error.args[0])


def test_both_name_the_same_reason() -> None:
    traffic = Traffic(3)
    met: Counter[str] = Counter()
    for number in range(_CASES):
        case = traffic.case()
        if case.reader != UPLINK:
            continue
        party = (DEVICE, DEVICE, OTHER, CLOUD, STRANGER)[number % 5]
        data = case.data
        if number % 7 == 0:
            item = traffic.item()
            data = second.seal_signed(item, party.kid, party.private, party.kid)
        topic = _TOPICS[number % len(_TOPICS)] if number % 7 else f"tare/1/{party.kid.hex()}/up"
        found = _first(topic, data)
        assert found == _second(topic, data), (topic, case.made, data.hex())
        met[found if isinstance(found, str) else "verified"] += 1
    # Every rule of SPEC 13 was the one that failed, more than once.
    rules = [reason.value for reason in list(Reason)[:10]]
    assert [rule for rule in rules if met[rule] < 2] == []
    assert met["verified"] > _CASES / 10
