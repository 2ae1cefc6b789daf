"""Connects again and again as the firmware does, and says what came of each; for test_hostile_tls.

Usage: micropython tls_attempts.py FOLDER PORT COUNT. A line each: `ok`, or the kind of failure; and
after each quarter the heap in use.
"""

import asyncio
import gc
import sys

from boards.unix.board import UnixBoard
from protocol import enrolment
from tare.errors import LinkError
from tare.mqtt import Client

_TIMEOUT_MS = 4_000


class _Identity:
    host = "127.0.0.1"
    server_name = enrolment.SERVER_NAME

    def __init__(self, folder, port):
        self.port = port
        self.ca_certificate = _read(folder + "/ca.der")
        self.certificate = _read(folder + "/device.der")
        self._key = _read(folder + "/key.der")

    def tls_key(self):
        return self._key


def _read(path):
    with open(path, "rb") as file:
        return file.read()


async def _attempt(identity):
    # The method needs nothing of its board.
    opening = UnixBoard.open_stream(None, identity)
    try:
        stream = await asyncio.wait_for_ms(opening, _TIMEOUT_MS)
    except (OSError, ValueError) as failure:
        return type(failure).__name__
    client = Client(stream, lambda _: None, lambda: None, timeout_ms=_TIMEOUT_MS)
    try:
        await client.connect("0123456789abcdef")
    except LinkError:
        return "LinkError"
    finally:
        await client.close()
    return "ok"


async def _main(folder, port, count):
    identity = _Identity(folder, port)
    for number in range(count):
        print(await _attempt(identity))
        if (number + 1) % (count // 4) == 0:
            gc.collect()
            print("heap", gc.mem_alloc())


asyncio.run(_main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
