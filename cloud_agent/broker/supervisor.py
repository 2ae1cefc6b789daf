"""Runs a broker as a child process: starts it, waits until it listens, starts it again when it
dies, ends it. Touches the process table and the broker's port on this machine.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cloud_agent.broker import mosquitto
from cloud_agent.broker.errors import BrokerError
from cloud_agent.broker.settings import EmbeddedSettings, Endpoint
from cloud_agent.devices.pki import TlsFiles

log = logging.getLogger("tare.broker")

_READY_S = 30
_STOP_S = 5
_POLL_S = 0.05
_FIRST_PAUSE_S = 0.2
_LONGEST_PAUSE_S = 10
# A broker that ran for so long was well; the next pause is a short one again.
_WELL_S = 60


@dataclass(frozen=True, slots=True)
class Launch:
    """How to start a broker: the command, what to write to its standard input, and whether what
    it writes to standard error is for the log only.
    """

    name: str
    command: tuple[str, ...]
    first_line: bytes = b""
    is_talkative: bool = False


def launch_for(kind: str, folder: Path, endpoint: Endpoint, tls: TlsFiles) -> Launch:
    """Chooses the broker. `auto` prefers Mosquitto where it is installed.

    Raises BrokerError when Mosquitto is wanted and cannot be had.
    """
    if kind not in {"auto", "embedded", "mosquitto"}:
        raise BrokerError(f"no broker of the kind {kind}")
    found = mosquitto.find() if kind != "embedded" and sys.platform == "linux" else None
    if found:
        return _mosquitto(found, mosquitto.write_config(folder, endpoint, tls))
    if kind == "mosquitto":
        raise BrokerError(
            "Mosquitto is not installed here (Debian: apt-get install mosquitto);"
            " --broker embedded needs nothing"
        )
    return _embedded(endpoint, tls)


def _mosquitto(program: str, config: Path) -> Launch:
    leash = (sys.executable, "-m", "cloud_agent.broker.leash", str(os.getpid()))
    # It complains of being run by root, and of each connection that ends before it has begun.
    return Launch("mosquitto", (*leash, program, "-c", str(config)), is_talkative=True)


def _embedded(endpoint: Endpoint, tls: TlsFiles) -> Launch:
    settings = EmbeddedSettings(
        bind=endpoint.bind,
        port=endpoint.port,
        ca=str(tls.ca.absolute()),
        certificate=str(tls.certificate.absolute()),
        key=str(tls.key.absolute()),
        parent=os.getpid(),
    )
    command = (sys.executable, "-m", "cloud_agent.broker.embedded")
    return Launch("embedded", command, settings.line())


class BrokerProcess:
    """One broker under supervision. All methods belong to one event loop."""

    def __init__(self, launch: Launch, endpoint: Endpoint) -> None:
        self._launch = launch
        self._endpoint = endpoint
        self._process: asyncio.subprocess.Process | None = None
        self._task: asyncio.Task[None] | None = None
        self._listener: asyncio.Task[None] | None = None
        self._last_words = ""
        # Two orders at once would start two brokers, and lose sight of one.
        self._ordered = asyncio.Lock()
        self.restarts = 0

    @property
    def name(self) -> str:
        """`embedded` or `mosquitto`."""
        return self._launch.name

    @property
    def pid(self) -> int | None:
        """The child's process id; None while there is none."""
        running = self._process is not None and self._process.returncode is None
        return self._process.pid if self._process and running else None

    async def start(self) -> None:
        """Starts the broker and returns when it listens. Raises BrokerError."""
        async with self._ordered:
            if self._task is not None:
                return
            self._process = await self._spawn()
            try:
                await self._wait_listening(self._process)
            except BrokerError:
                await self._end(self._process)
                raise
            self._task = asyncio.create_task(self._supervise(), name="broker supervisor")

    async def stop(self) -> None:
        """Ends the broker, and its supervision first."""
        async with self._ordered:
            if self._task is not None:
                self._task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await self._task
                self._task = None
            if self._process is not None:
                await self._end(self._process)
                self._process = None

    async def _supervise(self) -> None:
        pause_s: float = _FIRST_PAUSE_S
        while self._process is not None:
            started = asyncio.get_running_loop().time()
            code = await self._process.wait()
            if asyncio.get_running_loop().time() - started > _WELL_S:
                pause_s = _FIRST_PAUSE_S
            log.warning("the broker ended with code %s; starting it again", code)
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
            try:
                self._process = await self._spawn()
            except OSError as error:
                log.warning("the broker cannot be started: %s", error.strerror)
            self.restarts += 1

    async def _spawn(self) -> asyncio.subprocess.Process:
        process = await asyncio.create_subprocess_exec(
            *self._launch.command,
            stdin=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE if self._launch.is_talkative else None,
            # Its own session: Ctrl-C in a terminal goes to the server, which stops it in order.
            start_new_session=True,
            # What a shell was told for other commands is none of the broker's business.
            env={k: v for k, v in os.environ.items() if not k.startswith("TARE_")},
        )
        if process.stderr is not None:
            self._listener = asyncio.create_task(self._listen(process.stderr))
        if self._launch.first_line and process.stdin is not None:
            with contextlib.suppress(ConnectionError):
                process.stdin.write(self._launch.first_line)
                await process.stdin.drain()
        return process

    async def _wait_listening(self, process: asyncio.subprocess.Process) -> None:
        deadline = asyncio.get_running_loop().time() + _READY_S
        while process.returncode is None:
            if await self._listens():
                return
            if asyncio.get_running_loop().time() > deadline:
                raise BrokerError(f"the broker does not listen after {_READY_S} s")
            await asyncio.sleep(_POLL_S)
        if self._listener is not None:  # its last words may still be on their way
            await asyncio.wait({self._listener}, timeout=_POLL_S * 20)
        words = f": {self._last_words}" if self._last_words else ""
        raise BrokerError(f"the broker ended at once, with code {process.returncode}{words}")

    async def _listen(self, stream: asyncio.StreamReader) -> None:
        """Reads until the broker ends, so that it never has to wait for us."""
        with contextlib.suppress(ValueError):  # an endless line: the rest is dropped with it
            while line := await stream.readline():
                self._last_words = line.decode(errors="replace").strip()
                log.debug("%s: %s", self.name, self._last_words)

    async def _listens(self) -> bool:
        host = reachable(self._endpoint.bind)
        try:
            _, writer = await asyncio.open_connection(host, self._endpoint.port)
        except OSError:
            return False
        writer.transport.abort()
        return True

    async def _end(self, process: asyncio.subprocess.Process) -> None:
        if process.stdin is not None:
            process.stdin.close()
        await _stop_with(process, process.terminate)
        await _stop_with(process, process.kill)
        if self._listener is not None:
            self._listener.cancel()
            self._listener = None


async def _stop_with(process: asyncio.subprocess.Process, send: Callable[[], None]) -> None:
    if process.returncode is not None:
        return
    with contextlib.suppress(ProcessLookupError):
        send()
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(process.wait(), _STOP_S)


def reachable(bind: str) -> str:
    """The address at which this machine reaches its own broker."""
    # Compared, not bound.
    return {"0.0.0.0": "127.0.0.1", "": "127.0.0.1", "::": "::1"}.get(bind, bind)  # noqa: S104
