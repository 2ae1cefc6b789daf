"""The server as a process of its own, as `tare serve` runs it: to be killed, stopped or traced."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from cloud_agent import control
from cloud_agent.accounts import agreements
from cloud_agent.config import DataFolder
from cloud_agent.tests.ingest.device import Device, new_code
from protocol import claim_code, command

EMAIL = "ada@example.org"
PASSWORD = "seven small otters sing"

_PROGRAM = """\
import sys
from pathlib import Path
from cloud_agent.serve import Options, run
run(Options(data=Path(sys.argv[1]), broker=sys.argv[2], synchronous=sys.argv[3]))
"""
_START_S = 60.0


class ServerProcess:
    """Starts on construction; `kill` is kill -9, `stop` is SIGTERM."""

    def __init__(
        self,
        folder: Path,
        *,
        broker: str = "embedded",
        synchronous: str = "FULL",
        before: tuple[str, ...] = (),
    ) -> None:
        self.folder = DataFolder(folder)
        command_line = [*before, sys.executable, "-c", _PROGRAM, str(folder), broker, synchronous]
        self._ready = folder / "ready.json"
        self._ready.unlink(missing_ok=True)
        self.process = subprocess.Popen(
            command_line, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        assert self.process.stdout is not None
        self.ready_line = self.process.stdout.readline()
        assert self.ready_line.startswith("Tare is ready"), "the server did not start"
        # Under strace the process that we started is not the server.
        self.pid = int(json.loads(self._ready.read_text())["pid"])

    def ask(self, name: str, **arguments: Any) -> dict[str, Any]:
        answer = control.ask(self.folder.control_socket, name, arguments, timeout_s=30)
        assert answer is not None, "no server listens"
        return answer

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)
        self.ended()

    def stop(self) -> int:
        os.kill(self.pid, signal.SIGTERM)
        return self.ended()

    def ended(self) -> int:
        """Waits for the end that someone else has asked for; the exit code."""
        code = self.process.wait(_START_S)
        if self.process.stdout is not None:
            self.process.stdout.close()
        return code

    def open_account(self) -> None:
        self.ask(
            "account.create",
            email=EMAIL,
            password=PASSWORD,
            zone="Europe/Paris",
            terms_version=agreements.current(agreements.TERMS).version,
            health_consent=agreements.current(agreements.HEALTH).version,
            of_age=True,
        )

    def claimed_device(self, folder: Path) -> Device:
        """Enrols a device and lets the account claim it; it is connected."""
        device = Device(folder)
        challenge = bytes.fromhex(self.ask("device.enrol-begin")["challenge"])
        answered = self.ask("device.enrol-answer", request=device.request(challenge).hex())
        device.take(bytes.fromhex(answered["reply"]))
        self.ask("device.enrol-finish", device=device.id)
        device.connect()
        device.hello()
        code = new_code()
        device.window(code)
        ordered = self._claim(device, code)
        device.obey(ordered)
        return device

    def _claim(self, device: Device, code: bytes) -> command.Command:
        # A second hello is answered only after the window before it was stored.
        device.hello()
        self.ask("device.claim", code=claim_code.to_text(code), email=EMAIL, password=PASSWORD)
        ordered = device.next_answer()
        assert isinstance(ordered, command.Command)
        return ordered

    def weights_g(self) -> list[int]:
        """Every stored weight of the account, by the command that a person would use."""
        arguments = {"email": EMAIL, "password": PASSWORD}
        listed = self.ask("readings.list", **arguments)["readings"]
        return [round(float(one["values"]["weight"]["value"]) * 1000) for one in listed]


def wait_until(is_so: Any, wait_s: float = 20.0) -> None:
    deadline = time.monotonic() + wait_s
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.02)
