"""Serves the pages on the event loop of the agent; stops when it is told to."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from cloud_agent.web.app import application

if TYPE_CHECKING:
    from cloud_agent.broker.settings import Endpoint
    from cloud_agent.service import Service

_STOP_S: Final = 5
# Longer than a slow line needs for 32 KiB; who is silent takes no place of another.
HEAD_S: Final = 10.0


class _Impatient(H11Protocol):
    """Ends a connection whose request is not there in time: whole head, counted from the first
    moment, or from the first byte after an answer.
    """

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn has it
        """The time begins."""
        self._head: asyncio.TimerHandle | None = None
        super().connection_made(transport)
        self._wait_for_head()

    def data_received(self, data: bytes) -> None:
        """It ends when a request has come to its body."""
        if not self._is_answering():
            self._wait_for_head()
        super().data_received(data)
        if self._is_answering() and self._head is not None:
            self._head.cancel()
            self._head = None

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing is waited for any more."""
        if self._head is not None:
            self._head.cancel()
        super().connection_lost(exc)

    def _wait_for_head(self) -> None:
        if self._head is None:
            self._head = self.loop.call_later(HEAD_S, self._give_up)

    def _give_up(self) -> None:
        self._head = None
        if not self._is_answering():
            self.transport.close()

    def _is_answering(self) -> bool:
        # uvicorn has none before the first request, whatever it says.
        return bool(self.cycle) and not self.cycle.response_complete


class WebServer:
    """`start` listens; `stop` lets what is being answered end."""

    def __init__(self, service: Service, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        config = uvicorn.Config(
            application(service),
            http=_Impatient,
            log_config=None,
            log_level=logging.WARNING,
            access_log=False,  # a link is what opens it
            server_header=False,
            limit_concurrency=256,
            timeout_keep_alive=20,
            timeout_graceful_shutdown=_STOP_S,
            h11_max_incomplete_event_size=32 * 1024,
            lifespan="off",
        )
        self._server = _Quiet(config)
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Listens; raises OSError where it cannot."""
        family = socket.AF_INET6 if ":" in self._endpoint.bind else socket.AF_INET
        listening = socket.create_server(
            (self._endpoint.bind, self._endpoint.port), family=family, backlog=128
        )
        listening.setblocking(False)
        self._task = asyncio.create_task(self._server.serve([listening]), name="web")

    async def stop(self) -> None:
        """Ends it, after the answers that are being given."""
        self._server.should_exit = True
        if self._task is not None:
            await self._task


class _Quiet(uvicorn.Server):
    """Leaves the signals to `serve.py`, which ends everything in order."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield
