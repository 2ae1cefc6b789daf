"""The listening server itself: silent connections take nobody's place for long."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable

import httpx2 as httpx
import pytest

from cloud_agent.broker.settings import Endpoint
from cloud_agent.tests.household import Household
from cloud_agent.web import server as serving
from cloud_agent.web.server import WebServer

Talk = Callable[[int], Awaitable[None]]


def with_server(household: Household, talk: Talk) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = int(free.getsockname()[1])

    async def run() -> None:
        server = WebServer(household.service, Endpoint("127.0.0.1", "127.0.0.1", port))
        await server.start()
        try:
            await talk(port)
        finally:
            await server.stop()

    asyncio.run(run())


async def ask(port: int) -> int:
    async with httpx.AsyncClient() as client:
        return (await client.get(f"http://127.0.0.1:{port}/")).status_code


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "HEAD_S", 3.0)


@pytest.mark.parametrize("said", [b"", b"GET / HTTP/1.1\r\nHost: x\r\nX: "])
def test_who_is_silent_is_let_go(household: Household, said: bytes) -> None:
    async def talk(port: int) -> None:
        assert await ask(port) == 200
        silent = [await asyncio.open_connection("127.0.0.1", port) for _ in range(256)]
        for _, writer in silent:
            writer.write(said)
        await asyncio.sleep(0.1)
        assert await ask(port) == 503, "the control: they take all places"
        await asyncio.wait_for(asyncio.gather(*(reader.read() for reader, _ in silent)), 20)
        assert await ask(port) == 200
        for _, writer in silent:
            writer.close()

    with_server(household, talk)


def test_a_second_request_may_be_as_slow_as_the_first(household: Household) -> None:
    async def talk(port: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in range(2):
            writer.write(b"GET / HTTP/1.1\r\n")
            await asyncio.sleep(0.2)
            writer.write(b"Host: 127.0.0.1\r\n\r\n")
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
            assert head.startswith(b"HTTP/1.1 200")
            [length] = [
                int(line.split(b":")[1])
                for line in head.lower().splitlines()
                if line.startswith(b"content-length")
            ]
            await reader.readexactly(length)
        writer.write(b"GET")
        assert await asyncio.wait_for(reader.read(), 10) == b"", "and no slower"
        writer.close()

    with_server(household, talk)
