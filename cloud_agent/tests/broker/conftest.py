"""A data folder with an authority, two devices of it, and each broker in turn."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from cloud_agent.broker import mosquitto
from cloud_agent.broker.settings import Endpoint, settle_endpoint
from cloud_agent.broker.supervisor import BrokerProcess, launch_for
from cloud_agent.devices.pki import Authority, TlsFiles

DEVICE_A = "a" * 16
DEVICE_B = "b" * 16


class LoopThread:
    """An event loop for the supervisor, beside the blocking test."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever)
        self._thread.start()

    def run(self, work: Any) -> Any:
        done: Future[Any] = asyncio.run_coroutine_threadsafe(work, self.loop)
        return done.result(60)

    def close(self) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()


class RunningBroker:
    """A started broker, the authority behind it, and certificates for peers."""

    def __init__(self, folder: Path, authority: Authority, endpoint: Endpoint) -> None:
        self.folder = folder
        self.authority = authority
        self.port = endpoint.port
        self.process: BrokerProcess

    def device(self, device_id: str, authority: Authority | None = None) -> TlsFiles:
        return device_files(authority or self.authority, self.folder, device_id, self.authority)


def device_files(
    authority: Authority, folder: Path, device_id: str, trusted: Authority
) -> TlsFiles:
    """Makes a TLS key and its certificate by `authority`; the client trusts `trusted`."""
    key = ec.generate_private_key(ec.SECP256R1())
    point = key.public_key().public_bytes(
        serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
    )
    der = authority.issue_device(device_id, point[1:])
    stem = folder / f"{device_id}-{id(authority)}"
    certificate, key_path = stem.with_suffix(".crt"), stem.with_suffix(".key")
    certificate.write_bytes(
        x509.load_der_x509_certificate(der).public_bytes(serialization.Encoding.PEM)
    )
    key_path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return TlsFiles(trusted.server_files.ca, certificate, key_path)


@pytest.fixture(scope="module")
def loop_thread() -> Iterator[LoopThread]:
    thread = LoopThread()
    yield thread
    thread.close()


def _kinds() -> list[Any]:
    absent = mosquitto.find() is None
    reason = "Mosquitto is not installed (tools/dev.py test installs it as root)"
    return ["embedded", pytest.param("mosquitto", marks=pytest.mark.skipif(absent, reason=reason))]


@pytest.fixture(scope="module", params=_kinds())
def broker(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    loop_thread: LoopThread,
) -> Iterator[RunningBroker]:
    folder = tmp_path_factory.mktemp("broker")
    start: Callable[[str, Path, LoopThread], RunningBroker] = start_broker
    running = start(request.param, folder, loop_thread)
    yield running
    loop_thread.run(running.process.stop())


def start_broker(kind: str, folder: Path, loop_thread: LoopThread, **changed: Any) -> RunningBroker:
    """`changed`: settings of the embedded broker that the test wants otherwise."""
    authority = Authority.open(folder / "ca")
    endpoint = settle_endpoint(folder / "broker")
    running = RunningBroker(folder, authority, endpoint)
    launch = launch_for(kind, folder / "broker", endpoint, authority.server_files)
    if changed:
        settings = json.loads(launch.first_line) | changed
        launch = replace(launch, first_line=json.dumps(settings).encode() + b"\n")
    running.process = BrokerProcess(launch, endpoint)
    loop_thread.run(running.process.start())
    return running
