"""Serves the pages on the event loop of the agent; stops when it is told to."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

import uvicorn

from cloud_agent.web.app import application

if TYPE_CHECKING:
    from cloud_agent.broker.settings import Endpoint
    from cloud_agent.service import Service

_STOP_S: Final = 5


class WebServer:
    """`start` listens; `stop` lets what is being answered end."""

    def __init__(self, service: Service, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        config = uvicorn.Config(
            application(service),
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
