"""The cloud of one test: data folder, broker and agent, each a process that can be cut off alone.

`together`: as a home server runs it, the broker is the agent's child and dies with it. Else it
runs beside the agent (`tare serve --broker none`), and each outlives a kill -9 of the other. Looks
at results only through the command `tare` and the socket that it uses.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cloud_agent import control
from cloud_agent.accounts import agreements
from cloud_agent.broker.settings import Endpoint, settle_endpoint
from cloud_agent.broker.supervisor import launch_for
from cloud_agent.config import DataFolder
from cloud_agent.devices.pki import Authority, TlsFiles
from hil_tests.rig import listening
from hil_tests.rig.process import Process
from hil_tests.rig.waiting import until
from protocol import envelope, frame

TARE = str(Path(sys.executable).with_name("tare"))
_START_S = 30
_COMMAND_S = 60


class Broker:
    """One broker on the cloud's port; `tls` other than the cloud's own makes it a false one."""

    def __init__(self, kind: str, folder: DataFolder, endpoint: Endpoint, log: Path) -> None:
        self._kind = kind
        self._folder = folder
        self._endpoint = endpoint
        self._log = log
        self._process: Process | None = None

    def start(self, tls: TlsFiles | None = None) -> None:
        """Starts it and returns when it listens."""
        own = tls or Authority.open(self._folder.ca).server_files
        launch = launch_for(self._kind, self._folder.broker, self._endpoint, own)
        self._process = Process(launch.command, self._log)
        self._process.start(launch.first_line)
        until(
            lambda: listening.accepts(self._endpoint.port),
            f"the broker ({self._kind}) listens",
            timeout_s=_START_S,
        )

    def stop(self) -> None:
        """Ends it in order."""
        if self._process is not None:
            self._process.stop()

    def kill(self) -> None:
        """Kill -9."""
        if self._process is not None:
            self._process.kill()


@dataclass(frozen=True)
class Person:
    """Who has the account: what the rig types, and what must never be seen in a log."""

    email: str = "mina.weighs@example.org"
    name: str = "Wilhelmina Quetelet"
    password: str = "seven tall herons fishing"  # noqa: S105 - of a made-up person


class Cloud:
    """`start` it, break it, look at it."""

    def __init__(self, folder: Path, kind: str, *, together: bool) -> None:
        self.person = Person()
        self.logs = folder / "logs"
        self.logs.mkdir(parents=True)
        self.folder = DataFolder(folder / "data")
        self.folder.create()
        self.endpoint = settle_endpoint(self.folder.broker)
        self.authority = Authority.open(self.folder.ca)
        self.broker = Broker(kind, self.folder, self.endpoint, self.logs / "broker.log")
        self._together = together
        own = kind if together else "none"
        command = (TARE, "serve", "--data", str(self.folder.root), "--broker", own)
        self.agent = Process(command, self.logs / "agent.log")

    def start(self) -> None:
        """Broker, then agent."""
        if not self._together:
            self.broker.start()
        self.start_agent()

    def start_agent(self) -> None:
        """Starts the agent and returns when it is connected and answers."""
        self.agent.start()
        until(self._ready, f"the agent is ready ({self.agent.log})", timeout_s=_START_S)

    def start_broker(self) -> None:
        """Starts the broker and returns when the agent is back on it.

        A device that comes before the agent says hello to nobody, and again only after 10 s:
        right, but not what a test should spend its time on.
        """
        self.broker.start()
        until(lambda: self.status()["connected"], "the agent is back", timeout_s=_START_S)

    def stop(self) -> None:
        """Ends both in order."""
        try:
            self.agent.stop()
        finally:
            self.broker.stop()

    def kill(self) -> None:
        """Ends both at once, whatever they do."""
        self.agent.kill()
        self.broker.kill()

    def ask(self, operation: str, **arguments: Any) -> dict[str, Any]:
        """What the command `tare` asks of a running server, without the command's start."""
        socket = self.folder.control_socket
        found = control.ask(socket, operation, arguments, timeout_s=_COMMAND_S)
        assert found is not None, "no server answers"
        return found

    def ask_as_person(self, operation: str, **arguments: Any) -> dict[str, Any]:
        """The same, for what needs to know whose it is."""
        person = self.person
        return self.ask(operation, email=person.email, password=person.password, **arguments)

    def open_account(self) -> None:
        """The person accepts the terms and consents, separately."""
        self.ask_as_person(
            "account.create",
            name=self.person.name,
            zone="Europe/Paris",
            terms_version=agreements.current(agreements.TERMS).version,
            health_consent=agreements.current(agreements.HEALTH).version,
            of_age=True,
        )

    def readings(self) -> list[dict[str, Any]]:
        """The person's readings, as `tare readings list --json` shows them."""
        listed: list[dict[str, Any]] = self.ask_as_person("readings.list")["readings"]
        return listed

    def refused(self) -> list[dict[str, Any]]:
        """As `tare refused --json` shows them."""
        listed: list[dict[str, Any]] = self.ask("frames.refused")["refused"]
        return listed

    def export(self) -> Export:
        """A new export of the person's data."""
        return Export.read(Path(self.ask_as_person("account.export")["path"]))

    def status(self) -> dict[str, Any]:
        """What the running server says of itself."""
        return self.ask("server.status")

    def tare(self, *arguments: str) -> str:
        """Runs the command `tare` on this data folder; its output. Fails on a bad exit code."""
        done = self.try_tare(*arguments)
        assert done.returncode == 0, f"tare {' '.join(arguments)}:\n{done.stdout}{done.stderr}"
        return done.stdout

    def as_person(self, *arguments: str) -> str:
        """A command of `tare` that needs to know whose it is."""
        return self.tare(*arguments, "--email", self.person.email)

    def try_tare(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Runs the command `tare`, whatever its exit code."""
        return subprocess.run(
            [TARE, *arguments, "--data", str(self.folder.root)],
            capture_output=True,
            text=True,
            timeout=_COMMAND_S,
            check=False,
            stdin=subprocess.DEVNULL,
            env={**os.environ, "TARE_PASSWORD": self.person.password},
        )

    def _ready(self) -> bool:
        assert self.agent.running, f"the agent ended at once:\n{self.agent.said()}"
        try:
            told = json.loads((self.folder.root / "ready.json").read_text())
        except (FileNotFoundError, ValueError):
            return False
        # A killed agent leaves its file behind.
        return bool(told["pid"] == self.agent.pid)


@dataclass(frozen=True)
class Export:
    """What a person took along: their readings, and the signed frames behind them."""

    readings: list[dict[str, Any]]
    frames: list[bytes]

    @classmethod
    def read(cls, path: Path) -> Export:
        """Reads the zip file."""
        with zipfile.ZipFile(path) as archive:
            readings = json.loads(archive.read("readings.json"))
            names = sorted(name for name in archive.namelist() if name.startswith("frames/"))
            return cls(readings, [archive.read(name) for name in names])

    def signed(self) -> dict[int, int]:
        """Sequence and weight (g) of every reading in the signed frames, each frame once."""
        found: dict[int, int] = {}
        for signed in self.frames:
            message = frame.parse(envelope.parse_sign1(signed).payload)
            assert isinstance(message, frame.Readings)
            for sequence, record in enumerate(message.records, start=message.first):
                # A frame that was sent again with more records is kept again.
                assert found.get(sequence, record.values[0]) == record.values[0]
                found[sequence] = record.values[0]
        return found

    def listed_g(self) -> list[int]:
        """The weights of the listed readings in g, sorted."""
        return sorted(round(each["values"]["weight"]["value"] * 1000) for each in self.readings)
