"""Makes named operations of functions: in a thread where they block, and for whom they are."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from cloud_agent.accounts.operators import Role, operator_of
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


def of_technician(operation: Operation) -> Operation:
    """The same, for whoever looks after devices, the broker and backups. While there is no
    operator, that is who may use the control socket.
    """

    async def run(service: Service, arguments: Arguments) -> Arguments:
        await asyncio.to_thread(operator_of, service, arguments, Role.TECHNICIAN)
        return await operation(service, arguments)

    run.__doc__ = operation.__doc__
    return run
