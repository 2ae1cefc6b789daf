"""The one thread that writes to a database.

Functions are queued from any thread or task. What waits is run in one transaction (group
commit: one sync for many), each in a savepoint of its own, so that one that raises undoes
only itself. A result is delivered only after the commit is durable. Nothing a function does
stops the thread.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Final, Generic, TypeVar

import sqlalchemy as sa

from cloud_agent.errors import StorageError

T = TypeVar("T")

# Upper bound of one group: keeps the time that a transaction holds the file in milliseconds.
_MAX_GROUP: Final = 200


class _Job(Generic[T]):
    """One queued function, what came out of it, and who waits for it."""

    def __init__(self, function: Callable[[sa.Connection], T], *, alone: bool) -> None:
        self.alone = alone  # outside any transaction (VACUUM, checkpoint)
        self.future: Future[T] = Future()
        self.failure: StorageError | None = None  # what SQLite said
        self._function = function
        self._deliver: Callable[[], None] = lambda: None

    def run(self, connection: sa.Connection) -> None:
        """Runs the function in a savepoint; keeps its result or error for `deliver`."""
        try:
            with connection.begin_nested() if not self.alone else contextlib.nullcontext():
                result = self._function(connection)
        except sa.exc.OperationalError as fault:  # a full disk, an unreadable page
            self.failure = StorageError(f"nothing was stored: {_first(fault)}")
            self.failure.__cause__ = fault
            self._deliver = lambda: self.future.set_exception(self.failure)
        except BaseException as error:  # noqa: BLE001 # belongs to whoever queued the function
            # Mypy: a lambda with a default.
            self._deliver = lambda error=error: self.future.set_exception(error)  # type: ignore[misc]
        else:
            self._deliver = lambda: self.future.set_result(result)

    def deliver(self) -> None:
        self._deliver()


class Writer:
    """Runs functions on the only writing connection of `engine`; close it to stop the thread."""

    def __init__(self, engine: sa.Engine, *, name: str) -> None:
        self._engine = engine
        try:
            self._connection = engine.connect()
        except sa.exc.OperationalError as error:
            raise StorageError(f"the database {name} cannot be opened: {error.orig}") from error
        self._queue: queue.SimpleQueue[_Job[Any] | None] = queue.SimpleQueue()
        self._closed = False
        self._closing = threading.Lock()
        self._thread = threading.Thread(target=self._work, name=f"writer-{name}", daemon=True)
        self._thread.start()

    def submit(self, function: Callable[[sa.Connection], T]) -> Future[T]:
        """Queues `function`; the future resolves after the durable commit.

        The function gets the connection inside a transaction and must not commit, roll back
        or keep it. Its exceptions are the future's; `StorageError` when the commit failed.
        """
        return self._put(_Job(function, alone=False))

    def call(self, function: Callable[[sa.Connection], T]) -> T:
        """Queues `function` and blocks until its commit is durable. Not from the event loop."""
        return self.submit(function).result()

    async def run(self, function: Callable[[sa.Connection], T]) -> T:
        """Queues `function` and waits, without blocking the loop, until its commit is durable."""
        return await asyncio.wrap_future(self.submit(function))

    def call_alone(self, function: Callable[[sa.Connection], T]) -> T:
        """Like `call`, but outside any transaction: for VACUUM and checkpoints."""
        return self._put(_Job(function, alone=True)).result()

    def close(self) -> None:
        """Finishes what is queued, then ends thread, connection and engine."""
        with self._closing:
            if self._closed:
                return
            self._closed = True
            self._queue.put(None)
        self._thread.join()
        self._connection.close()
        self._engine.dispose()

    def _put(self, job: _Job[T]) -> Future[T]:
        with self._closing:
            if self._closed:
                raise StorageError("the database is closed")
            self._queue.put(job)
        return job.future

    def _work(self) -> None:
        ahead: _Job[Any] | None = None
        while True:
            job = ahead or self._queue.get()
            ahead = None
            if job is None:
                return
            if job.alone:
                self._run_alone(job)
                continue
            group, ahead, last = self._collect(job)
            self._run_group(group)
            if last:
                return

    def _collect(self, first: _Job[Any]) -> tuple[list[_Job[Any]], _Job[Any] | None, bool]:
        """The jobs that can share a transaction with `first`; the one that cannot; the end."""
        group = [first]
        while len(group) < _MAX_GROUP:
            try:
                job = self._queue.get_nowait()
            except queue.Empty:
                break
            if job is None:
                return group, None, True
            if job.alone:
                return group, job, False
            group.append(job)
        return group, None, False

    def _run_alone(self, job: _Job[Any]) -> None:
        if not job.future.set_running_or_notify_cancel():
            return
        job.run(self._connection)
        job.deliver()

    def _run_group(self, jobs: list[_Job[Any]]) -> None:
        running = [job for job in jobs if job.future.set_running_or_notify_cancel()]
        try:
            with self._connection.begin():
                for job in running:
                    job.run(self._connection)
                    self._check_transaction(job)
        except BaseException as error:  # noqa: BLE001 # the thread must live; the jobs are told
            for job in running:
                job.future.set_exception(_failure(error))
            return
        for job in running:
            job.deliver()

    def _check_transaction(self, job: _Job[Any]) -> None:
        """SQLite ends a transaction by itself on a full disk or an I/O error."""
        driver = self._connection.connection.driver_connection
        if driver is None or not driver.in_transaction:
            raise job.failure or StorageError("nothing was stored: SQLite gave the transaction up")


def _first(fault: BaseException) -> BaseException:
    """What went wrong before the savepoint could not be undone because SQLite had done that."""
    first, link = fault, fault.__context__
    while link is not None:
        if isinstance(link, sqlite3.OperationalError):
            first = link
        link = link.__context__
    return first


def _failure(error: BaseException) -> StorageError:
    """One for each job that shared the transaction: they may be raised in different threads."""
    if isinstance(error, StorageError):
        failure = StorageError(str(error))
    elif isinstance(error, sa.exc.OperationalError):  # at the commit itself
        failure = StorageError(f"nothing was stored: {_first(error)}")
    else:
        failure = StorageError(f"nothing was stored: {type(error).__name__}: {error}")
    failure.__cause__ = error
    return failure
