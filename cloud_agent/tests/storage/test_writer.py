"""One thread writes: together where it can, durable before it answers, and nothing stops it."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path

import pytest
import sqlalchemy as sa

from cloud_agent.errors import StorageError
from cloud_agent.storage import Database, schema


def insert(number: int) -> Callable[[sa.Connection], int]:
    def function(connection: sa.Connection) -> int:
        row = {"id": number.to_bytes(16, "big"), "kind": "tray"}
        connection.execute(schema.owner.insert().values(row))
        return number

    return function


def stored(database: Database) -> set[int]:
    with database.reading() as connection:
        rows = connection.execute(sa.select(schema.owner.c.id)).scalars()
        return {int.from_bytes(row, "big") for row in rows}


class Held:
    """Keeps the writer busy, so that what is queued meanwhile is one group."""

    def __init__(self, database: Database) -> None:
        self._go = threading.Event()
        started = threading.Event()

        def hold(_: sa.Connection) -> None:
            started.set()
            self._go.wait(10)

        self._future = database.writer.submit(hold)
        assert started.wait(10)

    def release(self) -> None:
        self._go.set()
        self._future.result(10)


def test_a_result_comes_after_the_commit(database: Database) -> None:
    assert database.writer.call(insert(1)) == 1
    assert stored(database) == {1}


def test_from_the_event_loop(database: Database) -> None:
    async def many() -> list[int]:
        return await asyncio.gather(*(database.writer.run(insert(n)) for n in range(50)))

    assert asyncio.run(many()) == list(range(50))
    assert stored(database) == set(range(50))


def commits(database: Database, functions: list[Callable[[sa.Connection], int]]) -> int:
    """How many transactions the functions took, counted by the engine itself."""
    count = 0

    def on_commit(_: object) -> None:
        nonlocal count
        count += 1

    engine = database.writer.call(lambda c: c.engine)
    held = Held(database)
    sa.event.listen(engine, "commit", on_commit)
    futures = [database.writer.submit(function) for function in functions]
    held.release()
    for future in futures:
        future.exception(10)
    sa.event.remove(engine, "commit", on_commit)
    return count


def test_what_waits_together_is_committed_together(database: Database) -> None:
    # One for the function that was held, one for the hundred behind it.
    assert commits(database, [insert(number) for number in range(100)]) == 2
    assert len(stored(database)) == 100


def test_one_that_raises_undoes_only_itself(database: Database) -> None:
    def half_done(connection: sa.Connection) -> None:
        insert(2)(connection)
        raise ZeroDivisionError

    held = Held(database)
    first = database.writer.submit(insert(1))
    broken = database.writer.submit(half_done)
    twice = database.writer.submit(insert(1))
    last = database.writer.submit(insert(3))
    held.release()
    assert (first.result(10), last.result(10)) == (1, 3)
    with pytest.raises(ZeroDivisionError):
        broken.result(10)
    with pytest.raises(sa.exc.IntegrityError):
        twice.result(10)
    assert stored(database) == {1, 3}


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt, RecursionError])
def test_nothing_stops_the_thread(database: Database, error: type[BaseException]) -> None:
    def broken(_: sa.Connection) -> None:
        raise error

    with pytest.raises(error):
        database.writer.call(broken)
    assert database.writer.call(insert(1)) == 1


def test_a_transaction_that_sqlite_gave_up_fails_for_all_and_work_goes_on(
    database: Database,
) -> None:
    def gives_up(connection: sa.Connection) -> None:
        driver = connection.connection.driver_connection
        assert driver is not None
        driver.execute("ROLLBACK")  # as SQLite does by itself on a full disk

    held = Held(database)
    futures: list[Future[object]] = [
        database.writer.submit(insert(1)),
        database.writer.submit(gives_up),
        database.writer.submit(insert(2)),
    ]
    held.release()
    for future in futures:
        with pytest.raises(StorageError):
            future.result(10)
    assert stored(database) == set()
    assert database.writer.call(insert(3)) == 3
    assert stored(database) == {3}


def test_a_cancelled_function_is_not_run(database: Database) -> None:
    held = Held(database)
    doomed = database.writer.submit(insert(1))
    kept = database.writer.submit(insert(2))
    assert doomed.cancel()
    held.release()
    assert kept.result(10) == 2
    assert stored(database) == {2}


def test_closing_finishes_what_is_queued(tmp_path: Path) -> None:
    database = Database(tmp_path / "tare.db")
    held = Held(database)
    futures = [database.writer.submit(insert(number)) for number in range(20)]
    closing = threading.Thread(target=database.close)
    closing.start()
    held.release()
    closing.join(10)
    assert [future.result(0) for future in futures] == list(range(20))
    with pytest.raises(StorageError, match="closed"):
        database.writer.submit(insert(99))


def test_a_statement_error_does_not_show_its_values(database: Database) -> None:
    database.writer.call(insert(1))
    with pytest.raises(sa.exc.IntegrityError) as raised:
        database.writer.call(insert(1))
    assert "\\x00\\x01" not in str(raised.value)
    assert "hidden" in str(raised.value)


_CHILD = """
import sys
from pathlib import Path
from cloud_agent.storage import Database
from cloud_agent.tests.storage.test_writer import insert
database = Database(Path(sys.argv[1]))
number = 0
while True:
    number += 1
    print(database.writer.call(insert(number)), flush=True)
"""


def test_what_was_answered_survives_a_kill(tmp_path: Path) -> None:
    path = tmp_path / "tare.db"
    command = [sys.executable, "-c", _CHILD, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        answered = [int(child.stdout.readline()) for _ in range(50)]
        os.kill(child.pid, signal.SIGKILL)
        answered += [int(line) for line in child.stdout if line.endswith("\n")]
    reopened = Database(path)
    try:
        assert set(answered) <= stored(reopened)
    finally:
        reopened.close()
