"""A running server in a thread of its own, an account, and devices that talk to it."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from cloud_agent.accounts import accounts, agreements
from cloud_agent.accounts.accounts import Account, NewAccount
from cloud_agent.broker import mosquitto
from cloud_agent.control import dispatch
from cloud_agent.readings import listing
from cloud_agent.serve import Options, Server
from cloud_agent.storage import schema
from cloud_agent.tests.ingest.device import Device, new_code
from protocol import claim_code, command

EMAIL = "ada@example.org"
PASSWORD = "seven small otters sing"


class ServerThread:
    """Runs `Server` on its own event loop; `stop` and `start` again on the same folder."""

    def __init__(self, folder: Path, kind: str) -> None:
        self.folder = folder
        self._options = Options(data=folder, broker=kind)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self._stack: AsyncExitStack
        self.server: Server

    def start(self) -> None:
        self.run(self._start())

    def stop(self) -> None:
        self.run(self._stack.aclose())

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def run(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(60)

    def ask(self, name: str, **arguments: Any) -> dict[str, Any]:
        """An operation, as the control socket would run it."""
        table = self.server.operations()
        result: dict[str, Any] = self.run(dispatch(self.server.service, table, name, arguments))
        return result

    async def _start(self) -> None:
        self._stack = AsyncExitStack()
        self.server = await self._stack.enter_async_context(Server.running(self._options))


def _kinds() -> list[Any]:
    absent = mosquitto.find() is None
    reason = "Mosquitto is not installed (tools/dev.py test installs it as root)"
    return ["embedded", pytest.param("mosquitto", marks=pytest.mark.skipif(absent, reason=reason))]


@pytest.fixture(scope="module", params=_kinds())
def cloud(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServerThread]:
    thread = ServerThread(tmp_path_factory.mktemp("cloud"), request.param)
    try:
        thread.start()
        yield thread
        thread.stop()
    finally:
        thread.close()


@pytest.fixture(scope="module")
def account(cloud: ServerThread) -> Account:
    return make_account(cloud, EMAIL)


def make_account(cloud: ServerThread, email: str) -> Account:
    new = NewAccount(
        email=email,
        name="Ada",
        password=PASSWORD,
        zone="Europe/Paris",
        terms_version=agreements.current(agreements.TERMS).version,
        health_consent=agreements.current(agreements.HEALTH).version,
        of_age=True,
    )
    return accounts.create(cloud.server.service, new)


@pytest.fixture
def new_device(cloud: ServerThread, tmp_path: Path) -> Iterator[Callable[[], Device]]:
    made: list[Device] = []

    def make() -> Device:
        device = Device(tmp_path)
        made.append(device)
        return device

    yield make
    for device in made:
        device.disconnect()


@pytest.fixture
def enrolled(cloud: ServerThread, new_device: Callable[[], Device]) -> Device:
    return enrol(cloud, new_device())


@pytest.fixture
def claimed(cloud: ServerThread, account: Account, enrolled: Device) -> Device:
    """A connected device that belongs to the account."""
    return claim(cloud, enrolled)


def enrol(cloud: ServerThread, device: Device) -> Device:
    challenge = bytes.fromhex(cloud.ask("device.enrol-begin")["challenge"])
    answered = cloud.ask("device.enrol-answer", request=device.request(challenge).hex())
    device.take(bytes.fromhex(answered["reply"]))
    cloud.ask("device.enrol-finish", device=answered["device"])
    return device


def claim(cloud: ServerThread, device: Device, email: str = EMAIL) -> Device:
    device.connect()
    assert device.hello().claim_epoch == 0
    code = new_code()
    device.window(code)
    eventually(lambda: window_open(cloud, device), "the claim window is open")
    claim_with(cloud, code, email)
    ordered = device.next_answer()
    assert isinstance(ordered, command.Command)
    device.obey(ordered)
    return device


def window_open(cloud: ServerThread, device: Device) -> bool:
    table = schema.claim_window
    query = sa.select(sa.exists().where(table.c.device == device.id))
    return bool(value(cloud, query))


def value(cloud: ServerThread, query: Any) -> Any:
    """The one value that a query gives."""
    with cloud.server.service.database.reading() as connection:
        return connection.execute(query).scalar_one_or_none()


def eventually(is_so: Callable[[], bool], what: str, wait_s: float = 10.0) -> None:
    deadline = time.monotonic() + wait_s
    while not is_so():
        assert time.monotonic() < deadline, f"not in {wait_s} s: {what}"
        time.sleep(0.02)


def claim_with(cloud: ServerThread, code: bytes, email: str = EMAIL) -> dict[str, Any]:
    text = claim_code.to_text(code)
    return cloud.ask("device.claim", code=text, email=email, password=PASSWORD)


def stored(cloud: ServerThread, account: Account, device: Device) -> list[listing.Reading]:
    service = cloud.server.service
    found = listing.list_readings(service.database, service.vault, account.subject)
    return [one for one in found if one.device == device.id]


def grams(found: list[listing.Reading]) -> list[int]:
    return [one.content.values[0] for one in found]


def last_refusal(cloud: ServerThread) -> dict[str, Any]:
    refused: list[dict[str, Any]] = cloud.ask("frames.refused", limit=1)["refused"]
    return refused[-1] if refused else {}


def refusals(cloud: ServerThread) -> int:
    return int(value(cloud, sa.select(sa.func.count()).select_from(schema.refused_frame)))


def next_order(device: Device) -> command.Command:
    ordered = device.next_answer()
    assert isinstance(ordered, command.Command)
    return ordered
