"""Kill -9 of device, agent and broker at random moments under a stream of weigh-ins.

Whatever the person was told is saved must be stored once, with the weight that was shown, and
nothing else. Each failure prints its seed; TARE_KILL_SEED repeats it.
"""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Callable

import pytest

from hil_tests.rig.making import MakeStation, broker_kinds
from hil_tests.rig.station import Station
from hil_tests.rig.stream import people_step_on
from hil_tests.rig.waiting import until

_MOMENTS = 10
# More than step on before the power goes, which ends a stream.
_STREAM = 10_000
_WELCOME_S = 45
# What the stream's weights can be: 72.5 to 74.1 kg, measured to 100 g.
_LOWEST_G = 72_400
_HIGHEST_G = 74_200


def test_the_device_is_cut_off_at_ten_moments(
    make_station: MakeStation, moments: random.Random
) -> None:
    station = make_station("embedded", together=True)
    for _ in range(_MOMENTS):
        station.scale.ask("sim", "stream", _STREAM)
        # From the boot over handshake, hello and welcome into the sending.
        time.sleep(moments.uniform(0, 1.2))
        station.scale.cut_power()
        station.scale.power_on()
    # A cut may fall between the flash and the announcement.
    _assert_exactly_once(station, unannounced=_MOMENTS)


@pytest.mark.parametrize("kind", broker_kinds())
def test_the_agent_is_killed_at_ten_moments(
    make_station: MakeStation, moments: random.Random, kind: str
) -> None:
    """As a home server runs it: the broker dies with the agent."""
    station = make_station(kind, together=True)

    def kill() -> None:
        station.cloud.agent.kill()
        station.cloud.start_agent()

    _under_a_stream(station, moments, kill, _MOMENTS)


def test_the_agent_is_killed_and_its_broker_goes_on(
    make_station: MakeStation, moments: random.Random
) -> None:
    """The device's connection stays: only its own resending (after 10 s) brings the frame."""
    station = make_station("embedded")
    since = station.scale.mark()
    station.scale.ask("sim", "stream", 40)
    time.sleep(moments.uniform(0.1, 0.5))
    station.cloud.agent.kill()
    station.cloud.start_agent()
    until(lambda: len(station.scale.saved(since)) == 40, "the stream ends", timeout_s=30)
    station.settle()
    assert "link:" not in station.scale.said(since), "the connection was lost"
    station.verify_exactly_once(station.scale.saved())


@pytest.mark.parametrize("kind", broker_kinds())
def test_the_broker_is_killed_at_ten_moments(
    make_station: MakeStation, moments: random.Random, kind: str
) -> None:
    station = make_station(kind)

    def kill() -> None:
        station.cloud.broker.kill()
        time.sleep(moments.uniform(0, 0.3))
        station.cloud.start_broker()

    _under_a_stream(station, moments, kill, _MOMENTS)


def _under_a_stream(
    station: Station, moments: random.Random, kill: Callable[[], None], times: int
) -> None:
    """Kills at random moments after each welcome, while people step on without end."""
    scale = station.scale
    with people_step_on(scale):
        welcomes = 0
        for _ in range(times):
            _await_welcomes(station, welcomes + 1)
            time.sleep(moments.uniform(0, 0.8))
            kill()
            welcomes = _welcomes(station)
            scale.ask("wake")
    # Ends what is still under way; nothing that was announced may be lost by it.
    scale.cut_power()
    scale.power_on()
    _assert_exactly_once(station, unannounced=1)


def _await_welcomes(station: Station, count: int) -> None:
    until(
        lambda: _welcomes(station) >= count,
        f"welcome number {count}",
        timeout_s=_WELCOME_S,
    )


def _welcomes(station: Station) -> int:
    return station.scale.said().count("# welcomed\n")


def _assert_exactly_once(station: Station, *, unannounced: int) -> None:
    station.settle()
    saved = station.scale.saved()
    assert len(saved) > _MOMENTS, "no stream that could have been disturbed"
    export = station.verify_exactly_once(saved, unannounced=unannounced)
    assert all(_LOWEST_G <= grams <= _HIGHEST_G for grams in export.listed_g())
    sys.stdout.write(f"{len(saved)} readings announced, {len(export.readings)} stored\n")
