"""The cloud's side of the demo: `tare serve` as a child process, and the `tare` commands.

Also what the acts do to it from outside: freezing the agent, keeping the broker down.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from tools.demo.errors import DemoError
from tools.demo.screen import Screen

TARE = Path(sys.executable).parent / "tare"
_READY_S = 60
_COMMAND_S = 120
_STOP_S = 20
_LOG_LINES = 30


class Cloud:
    """One `tare serve` on a data folder, with the embedded broker."""

    def __init__(self, data: Path, log: Path, screen: Screen) -> None:
        self.data = data
        self._log = log
        self._screen = screen
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The agent's process id."""
        if self._process is None:
            raise DemoError("the cloud is not running")
        return self._process.pid

    @property
    def broker_pid(self) -> int | None:
        """The broker's process id, the one child that speaks MQTT; None while there is none."""
        for child in _children(self.pid):
            words = Path(f"/proc/{child}/cmdline").read_bytes().split(b"\0")
            if any(word.endswith((b"broker.embedded", b"mosquitto")) for word in words):
                return child
        return None

    def start(self) -> str:
        """Starts it and waits until it is ready; the line by which it says so."""
        command = [str(TARE), "serve", "--data", str(self.data), "--broker", "embedded"]
        self._screen.command(["tare", "serve", "--data", str(self.data), "--broker", "embedded"])
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log
            )
        return self._await_ready(self._process)

    def stop(self) -> None:
        """Ends it in an orderly way, as Ctrl-C would."""
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()

    def tare(self, *words: str, environment: dict[str, str] | None = None) -> str:
        """Runs one `tare` command on this data folder; what it printed."""
        shown = ["tare", *words, "--data", str(self.data)]
        self._screen.command(shown)
        done = subprocess.run(
            [str(TARE), *shown[1:]],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            env={**os.environ, **(environment or {})},
            timeout=_COMMAND_S,
            check=False,
        )
        if done.returncode:
            raise DemoError(
                f"`{' '.join(shown)}` ended with {done.returncode}:\n{done.stdout}{done.stderr}"
            )
        return done.stdout

    def tare_json(self, *words: str, environment: dict[str, str] | None = None) -> Any:
        """The same for a command that prints JSON."""
        return json.loads(self.tare(*words, environment=environment))

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """The agent stands still (SIGSTOP): it receives and answers nothing."""
        os.kill(self.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self.pid, signal.SIGCONT)

    @contextmanager
    def without_broker(self) -> Iterator[None]:
        """The broker is killed, and killed again whenever it is started, until the end."""
        over = threading.Event()
        killer = threading.Thread(target=self._keep_broker_down, args=(over,), daemon=True)
        killer.start()
        try:
            yield
        finally:
            over.set()
            killer.join()

    def await_broker(self, timeout_s: float) -> float:
        """Waits until a broker runs again; how long that took."""
        started_s = time.monotonic()
        while self.broker_pid is None:
            if time.monotonic() - started_s > timeout_s:
                raise DemoError("the broker did not come back")
            time.sleep(0.05)
        return time.monotonic() - started_s

    def recent_log(self) -> str:
        """The end of the cloud's log, for failure messages."""
        try:
            lines = self._log.read_text(errors="replace").splitlines()
        except OSError:
            return ""
        return "\n".join(lines[-_LOG_LINES:])

    def _keep_broker_down(self, over: threading.Event) -> None:
        while not over.is_set():
            broker = self.broker_pid
            if broker is not None:
                with suppress(ProcessLookupError):
                    os.kill(broker, signal.SIGKILL)
            over.wait(0.05)

    def _await_ready(self, process: subprocess.Popen[bytes]) -> str:
        if process.stdout is None:
            raise DemoError("the server has no output")
        lines: list[str] = []
        timer = threading.Timer(_READY_S, process.kill)
        timer.start()
        try:
            for raw in process.stdout:
                lines.append(raw.decode(errors="replace").rstrip())
                if "ready" in lines[-1].lower():
                    return lines[-1]
        finally:
            timer.cancel()
        said = "\n".join(lines)
        raise DemoError(f"the cloud did not become ready:\n{said}\n{self.recent_log()}")


def _children(pid: int) -> list[int]:
    try:
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    except OSError:
        return []
    return [int(word) for word in text.split()]
