"""A connected stream in memory, whose other end is a script."""

import asyncio


class MemoryStream:
    """What `give` adds is read; what is written lands in `written`."""

    def __init__(self):
        self.written = b""
        self.closed = False
        self.broken = False
        self._data = b""
        self._ended = False
        self._changed = asyncio.Event()

    def give(self, data):
        self._data += data
        self._changed.set()

    def end(self):
        self._ended = True
        self._changed.set()

    def take(self):
        taken, self.written = self.written, b""
        return taken

    async def readexactly(self, size):
        while len(self._data) < size:
            if self._ended or self.closed:
                raise EOFError
            self._changed.clear()
            await self._changed.wait()
        taken, self._data = self._data[:size], self._data[size:]
        return taken

    def write(self, data):
        if self.broken:
            raise OSError(32)
        self.written += data

    async def drain(self):
        await asyncio.sleep_ms(0)

    def close(self):
        self.closed = True
        self._changed.set()

    async def wait_closed(self):
        self.closed = True
