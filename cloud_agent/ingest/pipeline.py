"""The consumer: takes messages from the link in batches, verifies, stores them in one transaction,
and only after the durable commit sends answers and acknowledges to the broker.

Whatever is wrong with one message, or with one batch, never stops it: a bad message leaves a row
in `refused_frame` and is acknowledged to the broker like any other; the device keeps what it has
got no ack for. Use: `pipeline.start()`, `await pipeline.stop()`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import sqlalchemy as sa

from cloud_agent.devices.directory import Directory
from cloud_agent.devices.signing import CommandSigner
from cloud_agent.errors import TareError
from cloud_agent.ingest.handlers import Handled, Handlers, Outgoing
from cloud_agent.ingest.link import Delivery, Link
from cloud_agent.ingest.refusals import Refusals
from cloud_agent.ingest.verify import Reason, Refused, Verified, verify
from cloud_agent.service import Service
from protocol import topics

log = logging.getLogger("tare.ingest")

# One transaction takes what comes within 20 ms, 200 messages at most: a sync for many.
_BATCH = 200
_GATHER_S = 0.02
_PAUSE_AFTER_FAILURE_S = 1.0
_STOP_S = 10.0


@dataclass(slots=True)
class Counts:
    """Since the start: for `status` and for tests."""

    accepted: int = 0
    refused: int = 0
    batches: int = 0
    failures: int = 0


class Pipeline:
    """Runs on the event loop that it is started on."""

    def __init__(self, service: Service, link: Link, signer: CommandSigner) -> None:
        self._service = service
        self._link = link
        self._handlers = Handlers(service, signer)
        self._directory = Directory(service.database)
        self._refusals = Refusals()
        # Nonce of each device's last hello. Lost with the process, which is harmless.
        self._greeted: dict[str, bytes] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._consumer: asyncio.Task[None] | None = None
        # A thread of its own: those that all operations share may all wait for an erasure.
        self._verifier = ThreadPoolExecutor(1, thread_name_prefix="verify")
        self.counts = Counts()

    def start(self) -> None:
        """Begins to consume, and to send orders as soon as they are placed."""
        self._consumer = asyncio.create_task(self._consume(), name="ingest")
        self._service.outbox_listeners.append(self._order_placed)

    async def stop(self) -> None:
        """Stores and answers what was received already; then ends. The link is quiet by now."""
        if self._order_placed in self._service.outbox_listeners:
            self._service.outbox_listeners.remove(self._order_placed)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._link.drained(), _STOP_S)
        ending = [*self._tasks, *([self._consumer] if self._consumer else [])]
        for task in ending:
            task.cancel()
        await asyncio.gather(*ending, return_exceptions=True)
        self._consumer = None
        self._verifier.shutdown()

    async def _consume(self) -> None:
        while True:
            batch = await self._link.receive(_BATCH, _GATHER_S)
            try:
                await self._store(batch)
            except Exception as error:  # noqa: BLE001 - nothing may stop the consumer
                # The devices get no ack and send it all again.
                self.counts.failures += 1
                _complain(f"a batch of {len(batch)} messages was not stored", error)
                await asyncio.sleep(_PAUSE_AFTER_FAILURE_S)
            finally:
                self._link.acknowledge(batch)

    async def _store(self, batch: Sequence[Delivery]) -> None:
        # In a thread: it computes, and waits for the database while that is being compacted.
        loop = asyncio.get_running_loop()
        outcomes = await loop.run_in_executor(self._verifier, self._verify, batch)
        handled = await self._service.writer.run(
            lambda connection: self._apply(connection, batch, outcomes)
        )
        # From here on everything in the batch is durable.
        self.counts.batches += 1
        for done in handled:
            self._after_commit(done)

    def _verify(self, batch: Sequence[Delivery]) -> list[Verified | Refused]:
        return [verify(item.topic, item.payload, self._directory.find) for item in batch]

    def _apply(
        self,
        connection: sa.Connection,
        batch: Sequence[Delivery],
        outcomes: Sequence[Verified | Refused],
    ) -> list[Handled]:
        """In the writer's thread: each message in a savepoint of its own."""
        handled = []
        nonces = dict(self._greeted)
        for delivery, outcome in zip(batch, outcomes, strict=True):
            if isinstance(outcome, Verified):
                done = self._handle(connection, outcome, nonces.get(outcome.device))
                if done is not None:
                    if done.dropped is not None:
                        self._note_refused(connection, delivery, done.dropped)
                    handled.append(done)
                    if done.greeted is not None:
                        nonces[done.device] = done.greeted
                    continue
                # Told in place of what failed.
                outcome = Refused(Reason.INTERNAL, topics.kid_of(outcome.device))  # noqa: PLW2901
            self._note_refused(connection, delivery, outcome)
        return handled

    def _handle(
        self, connection: sa.Connection, verified: Verified, nonce: bytes | None
    ) -> Handled | None:
        try:
            with connection.begin_nested():
                return self._handlers.handle(connection, verified, nonce)
        except Exception as error:  # noqa: BLE001 - one message must not take the others along
            _complain(f"device {verified.device}: message could not be handled", error)
            return None

    def _note_refused(
        self, connection: sa.Connection, delivery: Delivery, refused: Refused
    ) -> None:
        self._refusals.note(connection, delivery, refused, self._service.now())
        self.counts.refused += 1

    def _after_commit(self, handled: Handled) -> None:
        self.counts.accepted += 1
        if handled.greeted is not None:
            self._greeted[handled.device] = handled.greeted
        self._send(handled.outgoing)

    def _send(self, outgoing: Sequence[Outgoing]) -> None:
        for message in outgoing:
            self._link.publish(message.topic, message.payload)

    def _order_placed(self, device: str) -> None:
        """Sends it now if the device has spoken to us; else it waits for the next hello."""
        if device in self._greeted:
            task = asyncio.create_task(self._send_orders(device))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _send_orders(self, device: str) -> None:
        try:
            outgoing = await self._service.writer.run(
                lambda connection: self._handlers.orders(connection, device)
            )
        except Exception as error:  # noqa: BLE001 - the next hello asks for them again
            _complain(f"device {device}: orders were not sent", error)
            return
        self._send(outgoing)


def _complain(what: str, error: Exception) -> None:
    """No traceback: the values in it could be a person's."""
    log.error("%s: %s", what, error if isinstance(error, TareError) else type(error).__name__)
