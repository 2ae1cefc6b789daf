"""The conversation loses nothing, settles nothing that is not stored or refused, and never stops.

Searched exhaustively within the bounds of each scenario; TARE_SEARCH=long searches further (many
minutes). That the search finds mistakes is shown by making some.
"""

import os
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from cloud_agent.ingest.judge import Judgement
from hil_tests import cores
from hil_tests.conversation import rules
from hil_tests.conversation.cloud import Cloud
from hil_tests.conversation.device import Device
from hil_tests.conversation.scenarios import SCENARIOS, Scenario
from hil_tests.conversation.search import Report, Search, ViolationError
from protocol.fields import Payload

_LONG = os.environ.get("TARE_SEARCH") == "long"
#: Where a search that cannot end in reasonable time stops, and says so.
_MOST = 1_500_000 if _LONG else 200_000


def _search(scenario: Scenario, **changes: Any) -> Report:
    device, cloud, budget = scenario.start(long=_LONG, **changes)
    return Search(device, cloud, budget).run(rules.check, rules.settles, most=_MOST)


@pytest.mark.timeout(3600 if _LONG else 300)
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda each: each.name)
def test_nothing_goes_wrong_in_any_order_of_events(
    scenario: Scenario, record_property: Callable[[str, object], None]
) -> None:
    report = _search(scenario)
    record_property("report", str(report))
    if _LONG:
        print(report)  # noqa: T201 - what a long run is for
    assert report.complete or _LONG, report
    # A search in which little can happen would prove little.
    assert report.states > 1_000
    assert report.depth > 10


# Mistakes that the search must find


def _found(scenario: Scenario, **changes: Any) -> str:
    device, cloud, budget = scenario.start(**changes)
    search = Search(device, cloud, budget)
    with pytest.raises(ViolationError) as caught:
        search.run(rules.check, rules.settles, most=_MOST)
    return str(caught.value)


def _named(word: str) -> Scenario:
    return next(scenario for scenario in SCENARIOS if word in scenario.name)


def test_a_cursor_that_passes_a_held_record_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    settle = Cloud._settle

    def too_far(cloud: Cloud, judged: Judgement, *rest: Any, **named: Any) -> Any:
        last = judged.records[-1].sequence
        return settle(cloud, replace(judged, cursor=max(judged.cursor, last)), *rest, **named)

    monkeypatch.setattr(Cloud, "_settle", too_far)
    assert "neither stored nor refused" in _found(_named("does not know"))


def test_an_answer_before_the_commit_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    handle = Cloud.handle

    def early(cloud: Cloud, message: Payload) -> tuple[Cloud, list[bytes]]:
        _, answers = handle(cloud, message)
        return cloud, answers  # the process ends before it commits

    monkeypatch.setattr(Cloud, "handle", early)
    assert "is lost" in _found(_named("two people"))


def test_trimming_when_the_broker_has_it_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    speak = Device.speak

    def trims(device: Device) -> bytes | None:
        sent = speak(device)
        flight = device.conversation._flight
        if flight is not None:
            device.journal.trim(flight.last)
        return sent

    monkeypatch.setattr(Device, "speak", trims)
    assert "is lost" in _found(_named("two people"))


def test_believing_the_welcome_of_another_connection_is_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    believe = cores.sync.Conversation._welcome

    def gullible(talk: Any, welcome: Any, generation: int, now_ms: int) -> Any:
        talk._nonce = welcome.nonce
        return believe(talk, welcome, generation, now_ms)

    monkeypatch.setattr(cores.sync.Conversation, "_welcome", gullible)
    assert "another connection" in _found(_named("two people"))


def test_a_sequence_that_is_given_twice_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    boot = Device.boot

    def forgets(device: Device) -> None:
        boot(device)
        device.journal.next_sequence = device.journal.oldest

    monkeypatch.setattr(Device, "boot", forgets)
    assert "given twice" in _found(_named("two people"))


def test_obeying_a_repeated_command_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    obey = cores.commands.Commands.obey

    def eager(commands: Any, order: Any, now_s: int) -> Any:
        commands._state.command_counter = min(commands._state.command_counter, order.counter - 1)
        return obey(commands, order, now_s)

    monkeypatch.setattr(cores.commands.Commands, "obey", eager)
    assert "twice or late" in _found(_named("erasures"))


def test_a_command_without_receipt_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cores.journal.Journal, "append_receipt", lambda *_: 0)
    assert "wait for ever" in _found(_named("release"))


def test_a_counter_of_before_a_restore_is_found() -> None:
    assert "never reached the device" in _found(_named("erasures"), has_floor=False)
