"""The control socket: this user's only, every answer one line, nothing ends the server."""

from __future__ import annotations

import asyncio
import json
import socket
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from cloud_agent import control
from cloud_agent.arguments import Arguments
from cloud_agent.control import ControlServer, Operations
from cloud_agent.errors import BusyError, NotFoundError, TareError, UsageError
from cloud_agent.service import Service
from cloud_agent.tests.household import Household


async def echo(_: Service, arguments: Arguments) -> Arguments:
    return arguments


async def missing(_: Service, __: Arguments) -> Arguments:
    raise NotFoundError("there is no such thing")


async def broken(_: Service, __: Arguments) -> Arguments:
    raise ZeroDivisionError("ann@example.org weighs 72.5 kg")


async def slow(_: Service, __: Arguments) -> Arguments:
    await asyncio.sleep(0.4)
    return {"slow": True}


OPERATIONS: Operations = {"echo": echo, "missing": missing, "broken": broken, "slow": slow}


class Running:
    """The control server on a loop of its own thread."""

    def __init__(self, service: Service, operations: Operations) -> None:
        self.path = service.folder.control_socket
        self._server = ControlServer(service, operations)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self._run(self._server.start())

    def _run(self, work: Any) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(20)

    def close(self) -> None:
        self._run(self._server.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def ask(self, name: str, arguments: Arguments | None = None) -> Arguments | None:
        return control.ask(self.path, name, arguments or {}, timeout_s=10)

    def raw(self, line: bytes) -> Any:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(10)
            connection.connect(str(self.path))
            connection.sendall(line)
            connection.shutdown(socket.SHUT_WR)
            with connection.makefile("rb") as stream:
                answer = stream.readline()
        return json.loads(answer) if answer else None


@contextmanager
def running(service: Service, operations: Operations = OPERATIONS) -> Iterator[Running]:
    server = Running(service, operations)
    try:
        yield server
    finally:
        server.close()


@pytest.fixture
def server(household: Household) -> Iterator[Running]:
    with running(household.service) as server:
        yield server


def test_socket_and_folder_are_private(server: Running) -> None:
    mode = server.path.stat().st_mode
    assert stat.S_ISSOCK(mode)
    assert stat.S_IMODE(mode) == 0o600
    assert stat.S_IMODE(server.path.parent.stat().st_mode) == 0o700


def test_an_answer_comes_back_whole(server: Running) -> None:
    big = {"text": "ä\n" * 200_000, "number": 2**53, "list": [1, None, True]}
    assert server.ask("echo", big) == big


def test_an_error_is_the_same_on_both_ends(server: Running) -> None:
    with pytest.raises(NotFoundError, match="no such thing"):
        server.ask("missing")
    with pytest.raises(UsageError, match="does not know"):
        server.ask("unheard of")


def test_an_error_of_the_program_tells_nothing_and_ends_nothing(
    server: Running, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(TareError) as failed:
        server.ask("broken")
    assert "ann" not in str(failed.value)
    assert server.ask("echo", {"still": "here"}) == {"still": "here"}
    assert "operation broken failed" in caplog.text


@pytest.mark.parametrize(
    "line",
    [
        b"\n",
        b"{\n",
        b"[]\n",
        b"null\n",
        b'{"operation": 1, "arguments": {}}\n',
        b'{"operation": "echo"}\n',
        b'{"operation": "echo", "arguments": []}\n',
        b"\xff\xfe\n",
        b'{"operation": "echo", "arguments": {}}',
    ],
)
def test_junk_gets_an_error_and_ends_nothing(server: Running, line: bytes) -> None:
    answer = server.raw(line)
    assert answer is not None
    assert answer.get("error", {}).get("kind", "usage") == "usage"
    assert server.ask("echo") == {}


def test_who_says_nothing_gets_nothing(server: Running) -> None:
    assert server.raw(b"") is None
    assert server.ask("echo") == {}


def test_many_at_once(server: Running) -> None:
    results: list[Arguments | None] = []
    threads = [
        threading.Thread(target=lambda n=n: results.append(server.ask("echo", {"n": n})))
        for n in range(20)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(r["n"] for r in results if r) == list(range(20))


def test_a_running_operation_ends_before_the_server_does(household: Household) -> None:
    answers: list[Arguments | None] = []
    with running(household.service) as server:
        asking = threading.Thread(target=lambda: answers.append(server.ask("slow")))
        asking.start()
        threading.Event().wait(0.1)
    asking.join(10)
    assert answers == [{"slow": True}]
    assert not household.service.folder.control_socket.exists()


def test_without_a_server_there_is_no_answer(tmp_path: Path) -> None:
    assert control.ask(tmp_path / "none.sock", "echo", {}, timeout_s=1) is None
    left = tmp_path / "left.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(left))
    assert control.ask(left, "echo", {}, timeout_s=1) is None


def _listener(path: Path, behave: Callable[[socket.socket], object]) -> threading.Thread:
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(str(path))
    listening.listen()

    def serve() -> None:
        with listening:
            connection, _ = listening.accept()
            with connection:
                behave(connection)

    thread = threading.Thread(target=serve)
    thread.start()
    return thread


def test_a_server_that_does_not_answer_is_busy(tmp_path: Path) -> None:
    thread = _listener(tmp_path / "s", lambda _: threading.Event().wait(0.6))
    with pytest.raises(BusyError, match="no answer"):
        control.ask(tmp_path / "s", "echo", {}, timeout_s=0.2)
    thread.join()


def test_a_server_that_dies_is_busy(tmp_path: Path) -> None:
    thread = _listener(tmp_path / "s", lambda connection: connection.recv(10))
    with pytest.raises(BusyError):
        control.ask(tmp_path / "s", "echo", {}, timeout_s=5)
    thread.join()


def test_a_deep_folder_does_not_matter(tmp_path: Path) -> None:
    deep = tmp_path.joinpath(*["quite-a-long-folder-name"] * 8)
    household = Household(deep)
    assert len(str(household.service.folder.control_socket)) > 200
    with running(household.service) as server:
        assert server.ask("echo", {"a": 1}) == {"a": 1}
    household.close()
