"""Erasing an account: the scale forgets too, also what it had not sent yet, and what was recorded
on the way is refused for ever.
"""

from __future__ import annotations

import json
import random
import time
from pathlib import Path

import pytest

from hil_tests.rig import peer
from hil_tests.rig.cloud import Export
from hil_tests.rig.making import MakeStation, broker_kinds
from hil_tests.rig.scale import Saved
from hil_tests.rig.station import Station
from protocol import answer, cbor, cose, envelope, frame, topics

_WAIT_S = "30"
_CUTS = 8
# The exit code of `tare` for what is not allowed or not there.
_REFUSED = 3


@pytest.mark.parametrize("kind", broker_kinds())
def test_nothing_of_the_person_stays_in_the_scale_and_nothing_comes_back(
    make_station: MakeStation, kind: str, tmp_path: Path
) -> None:
    station = make_station(kind)
    settled = [station.scale.weigh(72_000 + 150 * number) for number in range(3)]
    station.settle()
    export = station.cloud.export()
    # The account is erased while the scale is away with readings that it has not sent.
    station.cloud.broker.stop()
    unsent = [station.scale.weigh(72_800 + 150 * number) for number in range(2)]
    traces = _traces(export, [*settled, *unsent])
    assert _found(station, traces) == set(traces), "the control: all of it is in the flash"

    receipt = _erase(station)
    assert receipt["state"] == "awaiting-devices"
    assert receipt["missing_before"] == []
    assert receipt["found_before"]
    assert receipt["found_after"] == {}

    station.cloud.start_broker()
    station.scale.ask("wake")
    receipt = _await_proof(station, receipt["request"])
    assert receipt["state"] == "proven"
    assert receipt["devices"] == {station.device: "done"}
    assert receipt["scanned_last"] == ["given file 1"]
    assert receipt["found_after"] == receipt["rows_after"] == {}
    assert _found(station, traces) == set()
    assert station.scale.ask("about")["claim_epoch"] == 0
    station.settle()

    _assert_late_frames_are_refused(station, export, tmp_path)
    shown = station.cloud.try_tare("account", "show", "--email", station.cloud.person.email)
    assert shown.returncode == _REFUSED
    assert _found(station, traces) == set()


def test_power_cuts_while_the_scale_erases_leave_nothing_behind(
    make_station: MakeStation, moments: random.Random
) -> None:
    station = make_station("embedded")
    settled = [station.scale.weigh(72_000)]
    station.settle()
    export = station.cloud.export()
    station.cloud.broker.stop()
    unsent = [station.scale.weigh(72_300 + 150 * number) for number in range(4)]
    traces = _traces(export, [*settled, *unsent])
    request = _erase(station)["request"]
    station.cloud.start_broker()
    for _ in range(_CUTS):
        station.scale.cut_power()
        station.scale.power_on()
        # Around hello, welcome, the frames that are refused now, and the order itself.
        time.sleep(moments.uniform(0, 0.4))
    station.scale.ask("wake")
    receipt = _await_proof(station, request)
    assert (receipt["state"], receipt["found_after"]) == ("proven", {})
    assert _found(station, traces) == set()
    station.settle()
    assert station.scale.ask("about")["claim_epoch"] == 0


def test_an_erased_scale_is_claimed_and_used_again(make_station: MakeStation) -> None:
    station = make_station("embedded")
    station.scale.weigh(72_100)
    station.settle()
    receipt = json.loads(
        station.cloud.as_person("account", "erase", "--yes", "--wait", _WAIT_S, "--json")
    )
    assert receipt["state"] == "proven"
    station.cloud.open_account()
    station.claim()
    saved = station.scale.weigh(72_300)
    station.settle()
    (listed,) = station.cloud.readings()
    assert listed["values"]["weight"]["value"] == saved.grams / 1000


def _erase(station: Station) -> dict[str, object]:
    receipt: dict[str, object] = json.loads(
        station.cloud.as_person(
            "account", "erase", "--yes", "--also-scan", str(station.scale.flash), "--json"
        )
    )
    return receipt


def _await_proof(station: Station, request: object) -> dict[str, object]:
    also = ("--also-scan", str(station.scale.flash))
    receipt: dict[str, object] = json.loads(
        station.cloud.tare("account", "erasure", str(request), *also, "--wait", _WAIT_S, "--json")
    )
    return receipt


def _traces(export: Export, saved: list[Saved]) -> dict[str, bytes]:
    """What a reading leaves in flash: whole records where we know them, else their values."""
    traces = {f"values of {each.sequence}": cbor.encode([each.grams]) for each in saved}
    for signed in export.frames:
        message = frame.parse(envelope.parse_sign1(signed).payload)
        assert isinstance(message, frame.Readings)
        for sequence, record in enumerate(message.records, start=message.first):
            traces[f"record {sequence}"] = cbor.encode(record.item())
    return traces


def _found(station: Station, traces: dict[str, bytes]) -> set[str]:
    flash = station.scale.flash.read_bytes()
    return {name for name, trace in traces.items() if trace in flash}


def _assert_late_frames_are_refused(station: Station, export: Export, folder: Path) -> None:
    """Sent again as they were recorded, under the scale's own name."""
    station.scale.cut_power()
    cloud = station.cloud
    with peer.device_client(cloud.endpoint.port, station.device, cloud.authority, folder) as client:
        client.subscribe(topics.down(station.device))
        for signed in export.frames:
            client.publish(topics.up(station.device), signed)
            message = client.message()
            assert message is not None
            ack = answer.parse(cose.parse_mac0(message.payload).payload)
            assert isinstance(ack, answer.Ack)
            sent = frame.parse(envelope.parse_sign1(signed).payload)
            assert isinstance(sent, frame.Readings)
            assert [(sequence, reason) for sequence, reason in ack.refusals] == [
                (sequence, answer.DROP_ERASED) for sequence in range(sent.first, sent.last + 1)
            ]
    station.scale.power_on()
