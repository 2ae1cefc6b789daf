"""The whole conversation over a real broker: enrol, claim, readings, ack, duplicate, refusals."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import sqlalchemy as sa

from cloud_agent.accounts.accounts import Account
from cloud_agent.privacy import erasure
from cloud_agent.storage import schema
from cloud_agent.tests.ingest.conftest import (
    ServerThread,
    claim,
    enrol,
    eventually,
    grams,
    last_refusal,
    make_account,
    next_order,
    refusals,
    stored,
    value,
)
from cloud_agent.tests.ingest.device import NOW_S, Device, high_s, weight
from protocol import answer, command, frame, reading, topics

NOTHING_S = 0.4


def test_enrolled_device_is_welcomed(cloud: ServerThread, enrolled: Device) -> None:
    enrolled.connect()
    welcome = enrolled.hello()
    assert (welcome.settled, welcome.claim_epoch) == (0, 0)
    assert abs(welcome.time_s - cloud.server.service.now()) <= 2
    (listed,) = [d for d in cloud.ask("device.list")["devices"] if d["id"] == enrolled.id]
    assert listed["state"] == "enrolled"
    assert listed["model"] == "test scale"


def test_a_repeated_hello_is_welcomed_again(enrolled: Device) -> None:
    enrolled.connect()
    first = enrolled.hello_message()
    for _ in range(2):
        enrolled.send(first)
        welcome = enrolled.next_answer()
        assert isinstance(welcome, answer.Welcome)
        assert welcome.nonce == first.nonce


def test_hello_completes_an_enrolment_whose_last_word_was_lost(
    cloud: ServerThread, new_device: Callable[[], Device]
) -> None:
    device = new_device()
    challenge = bytes.fromhex(cloud.ask("device.enrol-begin")["challenge"])
    answered = cloud.ask("device.enrol-answer", request=device.request(challenge).hex())
    device.take(bytes.fromhex(answered["reply"]))
    state = sa.select(schema.device.c.state).where(schema.device.c.id == device.id)
    assert value(cloud, state) == "enrolling"
    device.connect()
    device.send(device.readings([weight(72_500)]))  # before hello it is nobody
    eventually(lambda: last_refusal(cloud).get("kid") == device.kid.hex(), "the refusal")
    assert last_refusal(cloud)["reason"] == "unknown-key"
    device.hello()
    assert value(cloud, state) == "enrolled"


def test_claimed_device_delivers_once(
    cloud: ServerThread, account: Account, claimed: Device
) -> None:
    message = claimed.readings([weight(72_500), weight(72_600, at_s=NOW_S + 60)])
    ack = claimed.deliver(message)
    assert (ack.settled, ack.refusals) == (message.last, [])
    found = stored(cloud, account, claimed)
    assert sorted(grams(found)) == [72_500, 72_600]
    assert {one.taken_s for one in found} == {NOW_S, NOW_S + 60}

    again = claimed.deliver(message)  # duplicates are normal
    assert (again.settled, again.refusals) == (message.last, [])
    assert len(stored(cloud, account, claimed)) == 2


def test_a_batch_of_many_frames_is_acked_in_full(
    cloud: ServerThread, account: Account, claimed: Device
) -> None:
    messages = [claimed.readings([weight(60_000 + n)]) for n in range(100)]
    assert claimed.wire is not None
    for message in messages:
        claimed.send(message)
    last = 0
    while last < messages[-1].last:
        ack = claimed.next_answer()
        assert isinstance(ack, answer.Ack)
        last = max(last, ack.settled)
    assert sorted(grams(stored(cloud, account, claimed))) == list(range(60_000, 60_100))


def test_readings_of_nobody_go_to_the_tray(
    cloud: ServerThread, account: Account, claimed: Device
) -> None:
    ack = claimed.deliver(claimed.readings([weight(5_000, attribution=0)], handle=0))
    assert ack.refusals == []
    assert stored(cloud, account, claimed) == []
    owner = value(cloud, sa.select(schema.reading.c.owner).where(
        schema.reading.c.device == claimed.id
    ))  # fmt: skip
    assert owner == value(cloud, sa.select(schema.claim.c.tray).where(
        schema.claim.c.device == claimed.id
    ))  # fmt: skip


def test_bad_record_is_dropped_and_its_neighbours_stay(
    cloud: ServerThread, account: Account, claimed: Device
) -> None:
    bad = reading.Reading(NOW_S, 1 | 1 << 5, [300_001])
    message = claimed.readings([weight(70_000), bad, weight(70_002)])
    ack = claimed.deliver(message)
    assert ack.settled == message.last
    assert ack.refusals == [(message.first + 1, answer.DROP_OUT_OF_RANGE)]
    assert sorted(grams(stored(cloud, account, claimed))) == [70_000, 70_002]
    assert last_refusal(cloud)["reason"] == "out-of-range"


def test_unknown_kind_is_held_and_the_cursor_waits(claimed: Device) -> None:
    newer = reading.Reading(NOW_S, 9 | 1 << 5, [1])
    message = claimed.readings([weight(70_000), newer, weight(70_001)])
    ack = claimed.deliver(message)
    assert ack.settled == message.first
    assert ack.refusals == [(message.first + 1, answer.HOLD_KIND_UNKNOWN)]


def test_fork_is_held_and_never_stored(
    cloud: ServerThread, account: Account, claimed: Device
) -> None:
    later = claimed.readings([weight(70_001)], first=claimed.next_sequence + 1, oldest=1)
    claimed.deliver(later)
    forked = claimed.readings([weight(99_999)], first=later.first, oldest=1)
    ack = claimed.deliver(forked)
    assert ack.refusals == [(later.first, answer.HOLD_FORK)]
    assert grams(stored(cloud, account, claimed)) == [70_001]


@pytest.mark.parametrize(
    ("epoch", "reason"), [(0, answer.DROP_CLAIM_ENDED), (99, answer.HOLD_CLAIM_UNKNOWN)]
)
def test_claim_epochs_that_are_not_open(claimed: Device, epoch: int, reason: int) -> None:
    message = claimed.readings([weight(70_000)], epoch=epoch)
    ack = claimed.deliver(message)
    assert ack.refusals == [(message.first, reason)]
    assert ack.settled == (message.first if reason < 16 else message.first - 1)


def test_lost_records_are_noted_and_passed_over(cloud: ServerThread, claimed: Device) -> None:
    cursor = claimed.next_sequence - 1
    message = claimed.readings([weight(70_000)], first=cursor + 11)
    assert claimed.deliver(message).settled == message.last
    gap = schema.gap
    query = sa.select(gap.c.first, gap.c.last).where(gap.c.device == claimed.id)
    with cloud.server.service.database.reading() as connection:
        assert connection.execute(query).all() == [(cursor + 1, cursor + 10)]


def test_voids_settle_what_will_never_come(
    cloud: ServerThread, account: Account, claimed: Device
) -> None:
    message = claimed.readings([weight(70_000)])
    void = frame.Voids(oldest=message.first, first=message.first, count=3)
    assert claimed.deliver(void).settled == message.first + 2
    late = claimed.deliver(message)  # delayed on its way: erased since
    assert late.refusals == [(message.first, answer.DROP_ERASED)]
    assert stored(cloud, account, claimed) == []


def _flip(signed: bytes, index: int) -> bytes:
    return signed[:index] + bytes([signed[index] ^ 1]) + signed[index + 1 :]


def test_one_flipped_bit_anywhere_is_refused(cloud: ServerThread, claimed: Device) -> None:
    signed = claimed.seal(claimed.readings([weight(70_000)], first=claimed.next_sequence))
    counts = cloud.server.pipeline.counts  # rows are written for the first hundred only
    before = counts.refused
    for index in range(len(signed)):
        claimed.send(_flip(signed, index))
    eventually(lambda: counts.refused == before + len(signed), "all refused")
    assert claimed.poll(NOTHING_S) is None
    claimed.next_sequence -= 1
    assert claimed.deliver(signed).settled >= 1  # the control: unchanged it is taken


def test_refused_messages_leave_a_reason_and_no_payload(
    cloud: ServerThread, claimed: Device, new_device: Callable[[], Device]
) -> None:
    message = claimed.readings([weight(70_000)], first=claimed.next_sequence)
    signed = claimed.seal(message)
    stranger = new_device()
    other = enrol(cloud, new_device())
    cases = [
        (high_s(signed), "signature", claimed.kid),
        (stranger.seal(message), "unknown-key", stranger.kid),
        (other.seal(message), "wrong-topic", other.kid),
        (b"", "size", None),
        (bytes(1025), "size", None),
        (signed + b"\x00", "malformed", None),
        (b"\x80", "envelope", None),
    ]
    for data, reason, kid in cases:
        before = refusals(cloud)
        claimed.send(data)
        # Mypy: a lambda with a default.
        eventually(lambda before=before: refusals(cloud) == before + 1, reason)  # type: ignore[misc]
        row = last_refusal(cloud)
        expected = kid.hex() if kid else None
        assert (row["reason"], row["kid"], row["length"]) == (reason, expected, len(data))
        assert row["topic"] == topics.up(claimed.id)
    assert claimed.poll(NOTHING_S) is None  # nobody is answered


def test_erased_account_and_a_late_frame(
    cloud: ServerThread, new_device: Callable[[], Device]
) -> None:
    account = make_account(cloud, "zoe@example.org")
    device = claim(cloud, enrol(cloud, new_device()), "zoe@example.org")
    recorded = device.seal(device.readings([weight(81_234)]))
    device.deliver(recorded)
    assert grams(stored(cloud, account, device)) == [81_234]
    late = device.seal(device.readings([weight(81_235)]))
    report = erasure.erase(cloud.server.service, account)
    assert report.state == "awaiting-devices"
    ordered = next_order(device)  # sent at once: the device is connected
    assert isinstance(ordered.order(), command.Erase)
    device.obey(ordered)
    for frame_ in (recorded, late):
        ack = device.deliver(frame_)
        assert {reason for _, reason in ack.refusals} == {answer.DROP_ERASED}
        assert last_refusal(cloud)["reason"] == "erased"
    request = erasure.parse_request(report.request)
    assert erasure.status(cloud.server.service, request).state == "proven"


def test_device_never_hears_what_is_for_another(
    cloud: ServerThread, claimed: Device, new_device: Callable[[], Device]
) -> None:
    other = enrol(cloud, new_device())
    other.connect()
    other.hello()
    claimed.deliver(claimed.readings([weight(70_000)]))
    assert claimed.wire is not None
    assert other.poll(NOTHING_S) is None
    assert isinstance(claimed.wire.messages, list)


def test_restart_keeps_port_devices_and_readings(
    cloud: ServerThread, account: Account, claimed: Device
) -> None:
    message = claimed.readings([weight(70_000)])
    settled = claimed.deliver(message).settled
    port = cloud.server.endpoint.port
    cloud.stop()
    cloud.start()
    assert cloud.server.endpoint.port == port
    claimed.disconnect()
    claimed.connect()
    assert claimed.hello().settled == settled
    assert grams(stored(cloud, account, claimed)) == [70_000]


def test_broker_that_is_stopped_and_started(cloud: ServerThread, claimed: Device) -> None:
    cloud.ask("broker.stop")
    assert cloud.ask("server.status")["broker_pid"] is None
    eventually(lambda: not cloud.server.link.connected, "the link is lost")
    cloud.ask("broker.start")
    assert cloud.ask("server.status")["connected"]
    claimed.disconnect()
    claimed.connect()
    claimed.hello()
    message = claimed.readings([weight(70_000)])
    assert claimed.deliver(message).settled == message.last
