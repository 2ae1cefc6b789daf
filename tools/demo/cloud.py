"""The cloud's side of the demo: `tare serve` as a child process, and the `tare` commands.

Also what the acts do to it from outside: freezing the agent, stopping the broker.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cloud_agent.client import Client
from cloud_agent.config import DataFolder
from tools.demo.errors import DemoError
from tools.demo.screen import Screen

TARE = Path(sys.executable).parent / "tare"
_READY = "Tare is ready"
_READY_S = 60
_COMMAND_S = 180
_STOP_S = 20
_LOG_LINES = 30
#: The one command that needs no data: the texts are part of the program.
_TEXTS = ("account", "texts")


class Cloud:
    """One `tare serve` on a data folder, with the embedded broker."""

    def __init__(self, data: Path, log: Path, screen: Screen) -> None:
        self.data = data
        self._log = log
        self._screen = screen
        self._process: subprocess.Popen[bytes] | None = None
        #: What each command gets in addition: whose account it is about.
        self.login: tuple[str, ...] = ()
        self.environment: dict[str, str] = {}

    @property
    def pid(self) -> int:
        """The agent's process id."""
        if self._process is None:
            raise DemoError("the cloud is not running")
        return self._process.pid

    def start(self) -> str:
        """Starts it and waits until it is ready; the line by which it says so."""
        words = ["tare", "serve", "--broker", "embedded", "--data", str(self.data)]
        self._screen.command(words)
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [str(TARE), *words[1:]],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                # An interrupt at the terminal is for the demo, which then ends its parts in order.
                start_new_session=True,
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

    def tare(self, *words: str, mine: bool = False, quiet: bool = False) -> str:
        """Runs one `tare` command on this data folder; what it printed.

        `mine`: with the login of the demo's account; `quiet`: the command is not shown, because
        only the demo looks at what it prints.
        """
        done = self.try_tare(*words, mine=mine, quiet=quiet)
        if done.returncode:
            raise DemoError(
                f"`tare {' '.join(words)}` ended with {done.returncode}:\n"
                f"{done.stdout}{done.stderr}"
            )
        return done.stdout

    def try_tare(
        self,
        *words: str,
        mine: bool = False,
        settings: Sequence[str] = (),
        quiet: bool = False,
    ) -> subprocess.CompletedProcess[str]:
        """The same for a command that may fail.

        `settings`: NAME=VALUE, for this command only; `quiet`: it is not shown.
        """
        own = dict(setting.split("=", 1) for setting in settings)
        shown = ["tare", *words, *(self.login if mine else ())]
        if words != _TEXTS:
            shown += ["--data", str(self.data)]
        if not quiet:
            self._screen.command([*settings, *shown])
        return subprocess.run(
            [str(TARE), *shown[1:]],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            env={**os.environ, **self.environment, **own},
            timeout=_COMMAND_S,
            check=False,
        )

    def readings(self) -> list[dict[str, Any]]:
        """The account's readings, oldest first."""
        readings: list[dict[str, Any]] = json.loads(
            self.tare("readings", "list", "--json", mine=True, quiet=True)
        )
        return readings

    def refused(self) -> list[dict[str, Any]]:
        """The latest refused messages."""
        refused: list[dict[str, Any]] = json.loads(self.tare("refused", "--json", quiet=True))
        return refused

    def operation(self, name: str) -> dict[str, Any]:
        """Asks the running server for something that has no command of its own."""
        with Client(DataFolder(self.data)) as client:
            return client.ask(name, {})

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
        """The broker is stopped, and started again in the end."""
        self.operation("broker.stop")
        try:
            yield
        finally:
            self.operation("broker.start")

    def recent_log(self) -> str:
        """The end of the cloud's log, for failure messages."""
        try:
            lines = self._log.read_text(errors="replace").splitlines()
        except OSError:
            return ""
        return "\n".join(lines[-_LOG_LINES:])

    def _await_ready(self, process: subprocess.Popen[bytes]) -> str:
        if process.stdout is None:
            raise DemoError("the server has no output")
        lines: list[str] = []
        timer = threading.Timer(_READY_S, process.kill)
        timer.start()
        try:
            for raw in process.stdout:
                lines.append(raw.decode(errors="replace").rstrip())
                if lines[-1].startswith(_READY):
                    return lines[-1]
        finally:
            timer.cancel()
        said = "\n".join(lines)
        raise DemoError(f"the cloud did not become ready:\n{said}\n{self.recent_log()}")
