"""Whatever goes wrong with one message, or with the store, never stops the consumer."""

from __future__ import annotations

import asyncio
import logging
import threading
from typing import Any

import pytest
import sqlalchemy as sa

from cloud_agent.accounts.accounts import Account
from cloud_agent.devices import claims
from cloud_agent.errors import StorageError
from cloud_agent.ingest import handlers, pipeline, tidy
from cloud_agent.storage import schema
from cloud_agent.tests.ingest.conftest import ServerThread, eventually, value, window_open
from cloud_agent.tests.ingest.device import Device, new_code, weight
from protocol import answer, claim_code, frame

NOTHING_S = 0.4


def _count(cloud: ServerThread, table: sa.Table, **where: Any) -> int:
    query = sa.select(sa.func.count()).select_from(table).filter_by(**where)
    return int(value(cloud, query))


def test_message_that_breaks_the_handler_is_noted_and_the_next_is_stored(
    cloud: ServerThread,
    claimed: Device,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    whole = handlers.Handlers._readings

    def breaks(self: Any, connection: sa.Connection, verified: Any, message: Any) -> Any:
        handled = whole(self, connection, verified, message)
        if message.records[0].values[0] == 66_600:
            raise ValueError("66600")  # after it has written rows
        return handled

    monkeypatch.setattr(handlers.Handlers, "_readings", breaks)
    poison = claimed.readings([weight(66_600)])
    with caplog.at_level(logging.ERROR, logger="tare"):
        claimed.send(poison)
        eventually(lambda: _count(cloud, schema.refused_frame, reason="internal") >= 1, "noted")
    assert "ValueError" in caplog.text
    assert "66600" not in caplog.text  # no reading in a log, also not by way of an error
    assert claimed.poll(NOTHING_S) is None
    assert _count(cloud, schema.ingest, device=claimed.id, sequence=poison.first) == 0
    following = claimed.readings([weight(70_000)], oldest=poison.first)
    assert claimed.deliver(following).settled == poison.first - 1
    monkeypatch.undo()
    assert claimed.deliver(poison).settled == poison.first  # sent again, as a device does
    assert claimed.deliver(following).settled == following.last


def test_store_that_fails_gives_no_ack_and_recovers(
    cloud: ServerThread, claimed: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = cloud.server.service.writer
    whole = type(writer).run
    failures = [2]

    async def fails(self: Any, function: Any) -> Any:
        if failures[0]:
            failures[0] -= 1
            raise StorageError("nothing was stored: the disk is full")
        return await whole(self, function)

    monkeypatch.setattr(pipeline, "_PAUSE_AFTER_FAILURE_S", 0.05)
    monkeypatch.setattr(type(writer), "run", fails)
    message = claimed.readings([weight(70_000)])
    before = cloud.server.pipeline.counts.failures
    for _ in range(2):
        claimed.send(message)
        assert claimed.poll(NOTHING_S) is None
    assert cloud.server.pipeline.counts.failures == before + 2
    assert claimed.deliver(message).settled == message.last


def test_window_of_another_connection_is_ignored(cloud: ServerThread, enrolled: Device) -> None:
    enrolled.connect()
    enrolled.hello()
    stale = frame.ClaimWindow(
        nonce=enrolled.nonce, proof=claim_code.proof(enrolled.kid, new_code()), window_s=60
    )
    enrolled.hello()
    enrolled.send(stale)
    enrolled.hello()  # answered after the window was handled
    assert not window_open(cloud, enrolled)


def test_window_is_taken_when_the_server_knows_no_nonce(
    cloud: ServerThread, enrolled: Device
) -> None:
    """After a restart: the person at the device should not have to begin again."""
    enrolled.connect()
    enrolled.hello()
    cloud.server.pipeline._greeted.clear()
    enrolled.window(new_code())
    eventually(lambda: window_open(cloud, enrolled), "the window")


def test_later_window_takes_the_place_of_the_first(
    cloud: ServerThread, account: Account, enrolled: Device
) -> None:
    enrolled.connect()
    enrolled.hello()
    first, second = new_code(), new_code()
    enrolled.window(first)
    enrolled.window(second)
    enrolled.hello()
    service = cloud.server.service
    with service.database.reading() as connection:
        found = [claims._device_of(connection, code, service.now()) for code in (first, second)]
    assert found == [None, enrolled.id]


def test_tidy_removes_what_has_had_its_time(
    cloud: ServerThread, enrolled: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    enrolled.connect()
    enrolled.hello()
    enrolled.window(new_code(), window_s=60)
    eventually(lambda: window_open(cloud, enrolled), "the window")
    enrolled.send(b"")
    eventually(lambda: _count(cloud, schema.refused_frame) > 0, "a refusal")
    service = cloud.server.service
    cloud.run(tidy.tidy(service))
    assert window_open(cloud, enrolled)  # its time is not over
    later_s = service.now() + 91 * 86_400
    with monkeypatch.context() as patched:
        patched.setattr(service, "now", lambda: later_s)
        cloud.run(tidy.tidy(service))
    assert not window_open(cloud, enrolled)
    assert _count(cloud, schema.refused_frame) == 0


def test_many_voids_at_once(cloud: ServerThread, claimed: Device) -> None:
    first = claimed.next_sequence
    void = frame.Voids(oldest=first, first=first, count=65_535)
    ack = claimed.deliver(void)
    assert ack.settled == first + 65_534
    late = claimed.readings([weight(1)], first=first)
    assert claimed.deliver(late).refusals == [(first, answer.DROP_ERASED)]


def test_threads_that_all_wait_do_not_stop_the_consumer(
    cloud: ServerThread, claimed: Device
) -> None:
    """Exports and erasures wait for each other in the threads that operations share."""
    end = threading.Event()

    async def wait_in_threads() -> list[asyncio.Task[bool]]:
        return [asyncio.create_task(asyncio.to_thread(end.wait, 30)) for _ in range(64)]

    async def ended(tasks: list[asyncio.Task[bool]]) -> None:
        await asyncio.gather(*tasks)

    waiting = cloud.run(wait_in_threads())
    try:
        message = claimed.readings([weight(70_000)])
        assert claimed.deliver(message).settled == message.last
    finally:
        end.set()
        cloud.run(ended(waiting))
