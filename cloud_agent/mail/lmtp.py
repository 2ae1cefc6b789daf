"""Takes letters from this machine's own mail server over LMTP (RFC 2033), one at a time.

`TARE_LMTP=127.0.0.1:2424` makes `tare serve` listen there. A letter is answered with 250 only
after `receive` has made it durable; until then the mail server keeps it.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
from collections.abc import Callable
from typing import Final, cast

from aiosmtpd.lmtp import LMTP
from aiosmtpd.smtp import SMTP, Envelope, Session

from cloud_agent.errors import UsageError
from cloud_agent.mail.parsing import MAX_SIZE

_log = logging.getLogger(__name__)

Receive = Callable[[bytes], object]

_COMMAND_S: Final = 60.0


class LmtpServer:
    """Listens between `start` and `stop`; `receive` is called in a thread."""

    def __init__(self, host: str, port: int, receive: Receive) -> None:
        self._host, self._port = host, port
        self._handler = _Handler(receive)
        self._server: asyncio.Server | None = None

    async def start(self) -> int:
        """Listens; returns the port. Raises OSError where it cannot."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._protocol, self._host, self._port)
        return int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Takes no more."""
        if self._server is not None:
            self._server.close()
            await self._handler.idle()

    def _protocol(self) -> LMTP:
        return _LongLines(
            self._handler,
            data_size_limit=MAX_SIZE,
            ident="Tare",
            hostname="localhost",
            timeout=_COMMAND_S,
            loop=asyncio.get_running_loop(),
        )


class _LongLines(LMTP):
    """Takes lines that are longer than a mail server should hand on: people write paragraphs."""

    line_length_limit = 64 * 1024


class _Handler:
    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._lock = asyncio.Lock()

    async def idle(self) -> None:
        """Returns when no letter is being taken."""
        async with self._lock:
            return

    async def handle_RCPT(  # noqa: N802 # as the library calls it
        self,
        _server: SMTP,
        _session: Session,
        envelope: Envelope,
        address: str,
        _options: list[str],
    ) -> str:
        """One recipient a letter: LMTP wants an answer for each, and there is one reader here."""
        if envelope.rcpt_tos:
            return "452 4.5.3 one recipient at a time"
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 OK"

    async def handle_DATA(  # noqa: N802 # as the library calls it
        self, _server: SMTP, _session: Session, envelope: Envelope
    ) -> str:
        """250 when it is durable; 451 when the mail server has to try again."""
        async with self._lock:
            try:
                await asyncio.to_thread(self._receive, cast("bytes", envelope.content))
            except Exception as error:  # noqa: BLE001 - its words could be a person's: none goes out
                _log.warning("a letter could not be taken: %s", type(error).__name__)
                return "451 4.3.0 try again later"
        return "250 2.0.0 taken"


def parse_address(text: str) -> tuple[str, int]:
    """Host and port of `TARE_LMTP`. Raises `UsageError` for anything that is not this machine."""
    host, _, port = text.rpartition(":")
    try:
        is_here = ipaddress.ip_address(host.strip("[]")).is_loopback
        number = int(port)
    except ValueError as error:
        raise UsageError("TARE_LMTP is ADDRESS:PORT, such as 127.0.0.1:2424") from error
    if not is_here:
        raise UsageError(
            "letters are taken from this machine only: TARE_LMTP is a loopback address"
        )
    return host.strip("[]"), number
