"""Where letters come in while the server runs: over LMTP, from a mailbox, or not at all."""

from __future__ import annotations

import asyncio
import logging
import os
from typing import TYPE_CHECKING, Final

from cloud_agent.errors import TareError
from cloud_agent.mail import imap, lmtp
from cloud_agent.mail.lmtp import LmtpServer
from cloud_agent.privacy.requests import intake

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cloud_agent.service import Service

_log = logging.getLogger(__name__)

_EVERY_S: Final = 60.0


class Intake:
    """What `TARE_LMTP` and `TARE_IMAP_URL` ask for, between `start` and `stop`.

    Raises `UsageError` for what is no address.
    """

    def __init__(self, service: Service, environment: Mapping[str, str] = os.environ) -> None:
        self._service = service
        self._mailbox = imap.choose(environment)
        self._lmtp: LmtpServer | None = None
        self._fetching: asyncio.Task[None] | None = None
        address = environment.get("TARE_LMTP", "")
        if address:
            self._lmtp = LmtpServer(*lmtp.parse_address(address), self._receive)

    async def start(self) -> None:
        """Begins to listen and to fetch."""
        if self._lmtp is not None:
            await self._lmtp.start()
        if self._mailbox is not None:
            self._fetching = asyncio.create_task(self._fetch(), name="mailbox")

    async def stop(self) -> None:
        """Takes no more; what is being taken is finished."""
        if self._lmtp is not None:
            await self._lmtp.stop()
        if self._fetching is not None:
            self._fetching.cancel()
            await asyncio.gather(self._fetching, return_exceptions=True)

    def _receive(self, raw: bytes) -> None:
        intake.receive(self._service, raw)

    async def _fetch(self) -> None:
        while self._mailbox is not None:
            try:
                await asyncio.to_thread(self._mailbox.fetch, self._receive)
            except TareError as error:
                _log.warning("letters: %s", error)
            await asyncio.sleep(_EVERY_S)
