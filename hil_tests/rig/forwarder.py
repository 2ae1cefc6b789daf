"""Another address of the same broker: a port of this machine from which bytes go on as they are."""

from __future__ import annotations

import contextlib
import socket
import socketserver
import threading
from collections.abc import Iterator

_HOST = "127.0.0.1"
_CHUNK = 4096


class _Forwarder(socketserver.ThreadingTCPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, target: int) -> None:
        super().__init__((_HOST, 0), _Connection)
        self.target = target
        self.connections = 0


class _Connection(socketserver.BaseRequestHandler):
    server: _Forwarder

    def handle(self) -> None:
        self.server.connections += 1
        target = (_HOST, self.server.target)
        with contextlib.suppress(OSError), socket.create_connection(target) as onward:
            back = threading.Thread(target=_copy, args=(onward, self.request), daemon=True)
            back.start()
            _copy(self.request, onward)
            back.join()


def _copy(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(_CHUNK):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)


@contextlib.contextmanager
def forwarder(target: int) -> Iterator[_Forwarder]:
    """Serves as long as the block runs; `server_address` is where, `connections` how many came."""
    with _Forwarder(target) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
