"""`tare serve`: the whole cloud as one command. Opens the data folder, starts the broker as a child
process, connects to it, answers on the control socket. Ends in order on SIGTERM or SIGINT: no new
messages, store and answer what came, disconnect, stop the broker, close the files.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import signal
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from cloud_agent.broker.settings import Endpoint, settle_endpoint, settle_web
from cloud_agent.broker.supervisor import BrokerProcess, launch_for, reachable
from cloud_agent.control import ControlServer, Operation
from cloud_agent.devices.operations import DeviceOperations
from cloud_agent.devices.pki import Authority
from cloud_agent.devices.signing import CommandSigner
from cloud_agent.errors import RefusedError
from cloud_agent.files import write_private
from cloud_agent.housekeeping import keep_house
from cloud_agent.ingest.link import Link
from cloud_agent.ingest.pipeline import Pipeline
from cloud_agent.ingest.tidy import tidy
from cloud_agent.mail.intake import Intake
from cloud_agent.operation import of_technician
from cloud_agent.operations import OPERATIONS
from cloud_agent.service import Service
from cloud_agent.storage.engine import Synchronous
from cloud_agent.web.server import WebServer

log = logging.getLogger("tare.serve")

_CONNECT_S: Final = 30
_TIDY_EVERY_S: Final = 3600


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the person at the keyboard chose. `broker`: auto, embedded, mosquitto or none."""

    data: Path | None = None
    broker: str = "auto"
    port: int | None = None
    bind: str | None = None
    host: str | None = None
    web_port: int | None = None
    # For the test that shows why FULL is needed.
    synchronous: Synchronous = "FULL"


def run(options: Options) -> None:
    """Serves until a signal. Raises TareError for what the person can mend."""
    logging.basicConfig(
        level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    logging.getLogger("tare").setLevel(logging.INFO)
    asyncio.run(_run(options))


async def _run(options: Options) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with Server.running(options) as server:
        print(server.ready_line, flush=True)  # noqa: T201 - the answer of the command
        await stop.wait()
        log.info("stopping")


class Server:
    """Everything that runs. Use `async with Server.running(options) as server`."""

    def __init__(
        self,
        service: Service,
        authority: Authority,
        endpoint: Endpoint,
        web: Endpoint,
        *,
        ours: bool,
    ) -> None:
        """`web`: where the pages are. `ours`: the broker is our child, on this machine; else it
        is where devices find it.
        """
        self.service: Final = service
        self.endpoint: Final = endpoint
        self.web_endpoint: Final = web
        self.web: Final = WebServer(service, web)
        self.broker: BrokerProcess | None = None
        host = reachable(endpoint.bind) if ours else endpoint.host
        self.link: Final = Link(host=host, port=endpoint.port, tls=authority.agent_files)
        self.pipeline: Final = Pipeline(service, self.link, CommandSigner(authority.command_key))
        self._authority = authority
        self._devices = DeviceOperations(service, authority=authority, endpoint=endpoint)
        self._ready_file = service.folder.root / "ready.json"

    @classmethod
    @contextlib.asynccontextmanager
    async def running(cls, options: Options) -> AsyncIterator[Server]:
        """Starts everything; ends everything, in the reverse order, whatever happens."""
        async with contextlib.AsyncExitStack() as stack:
            service = await asyncio.to_thread(
                Service.open, options.data, synchronous=options.synchronous
            )
            stack.callback(service.close)
            service.bind_loop()
            authority = await asyncio.to_thread(Authority.open, service.folder.ca)
            ours = options.broker != "none"
            endpoint = settle_endpoint(
                service.folder.broker,
                bind=options.bind,
                host=options.host,
                port=options.port,
                ours=ours,
            )
            web = settle_web(service.folder.web, options.web_port)
            server = cls(service, authority, endpoint, web, ours=ours)
            await server._start(options.broker, stack)
            yield server

    async def _start(self, kind: str, stack: contextlib.AsyncExitStack) -> None:
        self._ready_file.unlink(missing_ok=True)
        if kind != "none":
            folder, files = self.service.folder.broker, self._authority.server_files
            launch = launch_for(kind, folder, self.endpoint, files)
            self.broker = BrokerProcess(launch, self.endpoint)
            stack.push_async_callback(self.broker.stop)
            await self.broker.start()
        stack.push_async_callback(self.link.close)
        self.link.start()
        stack.push_async_callback(self.pipeline.stop)
        self.pipeline.start()
        stack.push_async_callback(self.link.quiesce)
        await self.link.wait_connected(_CONNECT_S)
        tidying = asyncio.create_task(self._tidy(), name="tidy")
        stack.callback(tidying.cancel)
        control = ControlServer(self.service, self.operations())
        stack.push_async_callback(control.close)
        await control.start()
        mail = Intake(self.service)
        stack.push_async_callback(mail.stop)
        await mail.start()
        stack.push_async_callback(self.web.stop)
        await self.web.start()
        self.service.pages_at(self.web_endpoint)
        stack.callback(self._ready_file.unlink, missing_ok=True)
        write_private(self._ready_file, json.dumps(self.status()).encode(), replace=True)

    @property
    def ready_line(self) -> str:
        """One line for a person."""
        name = self.broker.name if self.broker is not None else "other"
        where = f"{self.endpoint.bind} port {self.endpoint.port}"
        pages = f"pages at {self.service.pages}"
        return (
            f"Tare is ready: {name} broker at {where}, {pages}, data in {self.service.folder.root}"
        )

    def status(self) -> dict[str, Any]:
        """What runs, for `ready.json` and for whoever asks."""
        broker = self.broker
        counts = self.pipeline.counts
        return {
            "pid": os.getpid(),
            "host": self.endpoint.host,
            "port": self.endpoint.port,
            "pages": self.service.pages,
            "broker": broker.name if broker is not None else "none",
            "broker_pid": broker.pid if broker is not None else None,
            "broker_restarts": broker.restarts if broker is not None else 0,
            "connected": self.link.connected,
            "accepted": counts.accepted,
            "refused": counts.refused,
            "failures": counts.failures,
        }

    def operations(self) -> dict[str, Operation]:
        """What the control socket offers."""
        return {
            **OPERATIONS,
            **self._devices.table(),
            "server.status": self._status,
            "broker.stop": of_technician(self._broker_stop),
            "broker.start": of_technician(self._broker_start),
        }

    async def _status(self, _service: Service, _arguments: dict[str, Any]) -> dict[str, Any]:
        return self.status()

    async def _broker_stop(self, _service: Service, _arguments: dict[str, Any]) -> dict[str, Any]:
        await self._own_broker().stop()
        return self.status()

    async def _broker_start(self, _service: Service, _arguments: dict[str, Any]) -> dict[str, Any]:
        await self._own_broker().start()
        await self.link.wait_connected(_CONNECT_S)
        return self.status()

    def _own_broker(self) -> BrokerProcess:
        if self.broker is None:
            raise RefusedError("this server did not start the broker, and does not stop it")
        return self.broker

    async def _tidy(self) -> None:
        while True:
            await tidy(self.service)
            await asyncio.to_thread(keep_house, self.service)
            await asyncio.sleep(_TIDY_EVERY_S)
