"""How a command gets an operation done: by the running server, else by opening the files.

with Client(DataFolder.choose(data)) as client:
client.ask("readings.list", {...})
"""

from __future__ import annotations

import asyncio
import time
from typing import Final, Self

from cloud_agent import control
from cloud_agent.arguments import Arguments
from cloud_agent.config import DataFolder
from cloud_agent.control import Operations
from cloud_agent.devices import operations as device_operations
from cloud_agent.errors import BusyError, NotFoundError
from cloud_agent.operations import OPERATIONS
from cloud_agent.service import Service

# A server that is starting holds the lock for a moment before it answers.
_PATIENCE_S: Final = 5.0
_RETRY_S: Final = 0.2
# Erasing compacts the database: minutes on a slow disk with many years of readings.
_ANSWER_TIMEOUT_S: Final = 600.0


class Client:
    """Asks for operations; close it, because it may hold the data folder's lock."""

    def __init__(self, folder: DataFolder, *, create: bool = False) -> None:
        """`create`: a folder without data becomes a new installation, instead of an error."""
        self._folder = folder
        self._create = create
        self._service: Service | None = None
        self._operations: Operations = {}

    def ask(self, name: str, arguments: Arguments) -> Arguments:
        """The operation's result. Raises what it raises, `BusyError` when neither the server nor
        the files can be had, and `NotFoundError` where there is no data.
        """
        deadline = time.monotonic() + _PATIENCE_S
        while self._service is None:
            answer = control.ask(
                self._folder.control_socket, name, arguments, timeout_s=_ANSWER_TIMEOUT_S
            )
            if answer is not None:
                return answer
            try:
                self._open()
            except BusyError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(_RETRY_S)
        return asyncio.run(control.dispatch(self._service, self._operations, name, arguments))

    def _open(self) -> None:
        # A mistyped folder must not become a second, empty cloud that answers in earnest.
        if not self._create and not self._folder.holds_data():
            raise NotFoundError(
                f"there is no Tare data in {self._folder.root}: name the folder with --data or "
                "TARE_DATA, or start `tare serve` there"
            )
        self._service = Service.open(self._folder.root)
        self._operations = OPERATIONS | device_operations.operations(self._service)

    def close(self) -> None:
        """Closes the files if this command opened them."""
        if self._service is not None:
            self._service.close()
            self._service = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
