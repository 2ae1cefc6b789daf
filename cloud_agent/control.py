"""The way from `tare` to a running server: named operations as JSON lines over a Unix socket.

One line in, `{"operation": name, "arguments": {...}}`; one line out, `{"result": {...}}` or
`{"error": {"kind", "message"}}`. The same `dispatch` serves a command that finds no server
and opens the files itself. The socket is 0600 in a 0700 folder, and only this user's (or
root's) processes are answered.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import socket
import struct
import sys
import traceback
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, Final

from cloud_agent.arguments import Arguments
from cloud_agent.config import PRIVATE_FILE_MODE
from cloud_agent.errors import BusyError, TareError, UsageError, from_kind, from_os
from cloud_agent.service import Service

_log = logging.getLogger(__name__)

Operation = Callable[[Service, Arguments], Awaitable[Arguments]]
Operations = Mapping[str, Operation]

_MAX_LINE: Final = 16 * 1024 * 1024  # ten years of readings as one answer
_CONNECT_TIMEOUT_S: Final = 5.0
# The kernel's limit for the path of a Unix socket is 108 bytes with the closing zero.
_MAX_SOCKET_PATH: Final = 100
# From Python 3.13 on asyncio removes the socket by the address that it was bound to, which for
# a deep folder is not the file's path.
_OURS_TO_REMOVE: Final[dict[str, Any]] = (
    {"cleanup_socket": False} if sys.version_info >= (3, 13) else {}
)


async def dispatch(
    service: Service, operations: Operations, name: str, arguments: Arguments
) -> Arguments:
    """Runs one operation. Raises `UsageError` for an unknown name; else what it raises."""
    operation = operations.get(name)
    if operation is None:
        raise UsageError(f"this server does not know the operation {name!r}")
    return await operation(service, arguments)


class ControlServer:
    """Answers on the control socket until closed."""

    def __init__(self, service: Service, operations: Operations) -> None:
        self._service = service
        self._operations = operations
        self._server: asyncio.Server | None = None
        self._talks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Binds the socket. The caller holds the folder's lock, so an old file is nobody's."""
        path = self._service.folder.control_socket
        path.unlink(missing_ok=True)
        with _reachable(path) as address:
            bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                # Before anyone can connect: the mode is of the file that bind makes.
                os.fchmod(bound.fileno(), PRIVATE_FILE_MODE)
                bound.bind(address)
                path.chmod(PRIVATE_FILE_MODE)
                self._server = await asyncio.start_unix_server(
                    self._accept, sock=bound, limit=_MAX_LINE, **_OURS_TO_REMOVE
                )
            except BaseException:
                bound.close()
                raise

    async def close(self) -> None:
        """Stops listening, lets running operations end, removes the socket."""
        if self._server is None:
            return
        self._server.close()
        self._service.folder.control_socket.unlink(missing_ok=True)
        if self._talks:
            await asyncio.wait(self._talks, timeout=_CONNECT_TIMEOUT_S)
        for talk in self._talks:
            talk.cancel()
        await asyncio.gather(*self._talks, return_exceptions=True)
        self._server = None

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._talks.add(task)
            task.add_done_callback(self._talks.discard)
        with contextlib.suppress(ConnectionError):
            try:
                if _is_same_user(writer):
                    await self._talk(reader, writer)
            finally:
                writer.close()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One request for one connection: the client closes when it has its answer."""
        try:
            line = await reader.readline()
        except ValueError:
            answer = _error(UsageError("the request is too long"))
        else:
            if not line:
                return
            answer = await self._answer(line)
        writer.write(json.dumps(answer).encode() + b"\n")
        await writer.drain()

    async def _answer(self, line: bytes) -> Arguments:
        name = "?"
        try:
            name, arguments = _parse(line)
            return {"result": await dispatch(self._service, self._operations, name, arguments)}
        except TareError as error:
            return _error(error)
        except OSError as error:
            return _error(from_os(error))
        except Exception as error:  # noqa: BLE001 # one bad request must not end the server
            # The server goes on. Where it failed is logged, and not the text of a foreign error,
            # which may hold what a person typed.
            trace = "".join(traceback.format_tb(error.__traceback__))
            _log.error("operation %s failed: %s\n%s", name, type(error).__name__, trace)
            return _error(TareError(f"internal error ({type(error).__name__}); see the log"))


def ask(path: Path, name: str, arguments: Arguments, *, timeout_s: float) -> Arguments | None:
    """Asks the server that listens on `path`; None when no server is there.

    Raises the `TareError` that the operation raised, and `BusyError` when no answer comes
    within `timeout_s`.
    """
    request = json.dumps({"operation": name, "arguments": arguments}).encode() + b"\n"
    try:
        with _connect(path) as connection:
            connection.settimeout(timeout_s)
            connection.sendall(request)
            answer = _read_line(connection)
    except (FileNotFoundError, ConnectionRefusedError):
        return None
    except TimeoutError as error:
        raise BusyError(f"the server gave no answer within {timeout_s:.0f} s") from error
    except OSError as error:
        raise BusyError(f"the server cannot be reached: {error.strerror}") from error
    return _result(answer)


def _connect(path: Path) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.settimeout(_CONNECT_TIMEOUT_S)
        with _reachable(path) as address:
            connection.connect(address)
    except BaseException:
        connection.close()
        raise
    return connection


def _read_line(connection: socket.socket) -> bytes:
    with connection.makefile("rb") as stream:
        return stream.readline(_MAX_LINE)


def _result(answer: bytes) -> Arguments:
    try:
        body = json.loads(answer)
    except ValueError as error:
        raise BusyError("the server ended before it answered") from error
    if "error" in body:
        raise from_kind(body["error"]["kind"], body["error"]["message"])
    result: Arguments = body["result"]
    return result


def _parse(line: bytes) -> tuple[str, Arguments]:
    try:
        request = json.loads(line)
    except ValueError as error:
        raise UsageError("the request is not JSON") from error
    match request:
        case {"operation": str(name), "arguments": dict(arguments)}:
            return name, arguments
        case _:
            raise UsageError("a request has an operation and its arguments")


def _error(error: TareError) -> Arguments:
    return {"error": {"kind": error.kind, "message": str(error)}}


def _is_same_user(writer: asyncio.StreamWriter) -> bool:
    """The permissions say so already; the kernel's word for it costs one call."""
    if not hasattr(socket, "SO_PEERCRED"):
        return True
    peer = writer.get_extra_info("socket")
    form = "3i"  # struct ucred: pid, uid, gid
    raw = peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize(form))
    _pid, user, _group = struct.unpack(form, raw)
    return user in (os.getuid(), 0)


@contextlib.contextmanager
def _reachable(path: Path) -> Any:
    """An address of `path` that is short enough for the kernel, also in a deep folder."""
    if len(os.fsencode(path)) <= _MAX_SOCKET_PATH or not sys.platform.startswith("linux"):
        yield str(path)
        return
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)
