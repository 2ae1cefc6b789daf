"""Makes a named operation of a function that blocks: it runs in a thread, beside the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from cloud_agent.arguments import Arguments

if TYPE_CHECKING:
    from cloud_agent.control import Operation
    from cloud_agent.service import Service

Work = Callable[["Service", Arguments], Arguments]


def in_thread(work: Work) -> Operation:
    """The operation that does `work`; JSON in, JSON out."""

    async def run(service: Service, arguments: Arguments) -> Arguments:
        return await asyncio.to_thread(work, service, arguments)

    run.__doc__ = work.__doc__
    return run
