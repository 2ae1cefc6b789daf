"""The supervisor under orders that come at once."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import pytest

from cloud_agent.broker.settings import Endpoint, settle_endpoint
from cloud_agent.broker.supervisor import BrokerProcess, Launch

# Listens where it is told, and says who it is and what it was told.
_PROGRAM = """
import os, socket, sys
server = socket.create_server(("127.0.0.1", int(sys.argv[1])))
with open(sys.argv[2], "a") as log:
    print(os.getpid(), os.environ.get("TARE_PASSWORD"), file=log, flush=True)
while True:
    server.accept()[0].close()
"""


def _process(folder: Path) -> tuple[BrokerProcess, Path]:
    endpoint: Endpoint = settle_endpoint(folder)
    log = folder / "started"
    command = (sys.executable, "-c", _PROGRAM, str(endpoint.port), str(log))
    return BrokerProcess(Launch("test", command), endpoint), log


def test_two_orders_to_start_start_one_broker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TARE_PASSWORD", "seven grey herons wade")

    async def scenario() -> None:
        process, log = _process(tmp_path)
        await asyncio.gather(process.start(), process.start())
        started = log.read_text().split()
        assert started == [str(process.pid), "None"]  # and it was told no password
        await asyncio.gather(process.stop(), process.stop())
        assert process.pid is None
        with pytest.raises(ProcessLookupError):
            os.kill(int(started[0]), 0)

    asyncio.run(scenario())
