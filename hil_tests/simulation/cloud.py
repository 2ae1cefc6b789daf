"""The cloud agent in the simulation: the real consumer, handlers, tables, vault and erasures.

Not here: its TLS link, and the system's clock. `MemoryLink` hands batches over and takes answers;
time is virtual. The process "dies" before or after a commit, and opens the folder again later.
"""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event

from cloud_agent.accounts.accounts import Account
from cloud_agent.devices import outbox, people
from cloud_agent.devices.claims import Claimed, Claims
from cloud_agent.devices.pki import Authority
from cloud_agent.devices.signing import CommandSigner
from cloud_agent.ingest import handlers as ingest_handlers
from cloud_agent.ingest import pipeline as ingest_pipeline
from cloud_agent.ingest.link import Delivery, Link
from cloud_agent.privacy import erasure
from cloud_agent.service import Service
from cloud_agent.storage import schema
from hil_tests.simulation.template import START_S
from hil_tests.simulation.timeline import DAY_MS, SECOND_MS, Timeline
from hil_tests.simulation.variant import Variant
from protocol import command, frame, reading

# Of a batch: what may go wrong while it is stored.
COMMIT_FAILS = "commit fails"
DIES_BEFORE = "dies before the commit"
DIES_AFTER = "dies after the commit"
_TROUBLES = (COMMIT_FAILS, DIES_BEFORE, DIES_AFTER)


class MemoryLink(Link):
    """What the pipeline asks of its link, without a broker connection behind it."""

    def __init__(self, send: Callable[[str, bytes], None]) -> None:  # no socket
        self._send = send
        self._batches: asyncio.Queue[list[Delivery]] = asyncio.Queue()
        self._done = asyncio.Event()
        #: How many more answers leave before the process is dead; None: it lives.
        self.last_words: int | None = None

    async def process(self, batch: list[Delivery]) -> None:
        """Returns when the pipeline has done with the batch."""
        self._done.clear()
        self._batches.put_nowait(batch)
        await self._done.wait()

    async def receive(self, most: int, gather_s: float) -> list[Delivery]:  # noqa: ARG002 # as there
        """The next batch."""
        return await self._batches.get()

    async def drained(self) -> None:
        """Nothing waits here."""

    def acknowledge(self, deliveries: object) -> None:  # noqa: ARG002 # the broker keeps nothing
        """The batch is done."""
        self._done.set()

    def publish(self, topic: str, payload: bytes) -> bool:
        """An answer leaves, unless the process is dead by now."""
        if self.last_words is not None:
            if self.last_words <= 0:
                return False
            self.last_words -= 1
        self._send(topic, payload)
        return True


class Faults:
    """Lets one commit of a database file fail: the `fail_at`-th from now; 0: none."""

    def __init__(self, database: Path) -> None:
        self._database = str(database)
        self.fail_at = 0

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Between SQLAlchemy and the file, for every engine of this process."""
        event.listen(sa.Engine, "commit", self._committing)
        try:
            yield
        finally:
            event.remove(sa.Engine, "commit", self._committing)

    def _committing(self, connection: sa.Connection) -> None:
        writing = threading.current_thread().name.startswith("writer-")
        if not self.fail_at or not writing or connection.engine.url.database != self._database:
            return
        self.fail_at -= 1
        if not self.fail_at:
            raise OSError("simulated: the disk gave up")


class Cloud:
    """`running` or dead; `jump_s`: how wrong its clock is; `old`: a version without flag 8."""

    def __init__(
        self, root: Path, timeline: Timeline, rng: random.Random, variant: Variant
    ) -> None:
        self.root = root
        self.jump_s = 0
        self.jumped_ms = -DAY_MS
        self.old = False
        self.trouble = 0.0
        self.running = False
        self.died = 0
        self.answer: Callable[[str, bytes], None] = lambda _topic, _payload: None
        self.faults = Faults(root / "tare.db")
        self._timeline = timeline
        self._rng = rng
        self._variant = variant
        self._loop = asyncio.new_event_loop()
        self._signer = CommandSigner(Authority.open(root / "ca").command_key)
        self._inbox: list[tuple[str, bytes]] = []
        self._due = False

    def now(self) -> int:
        """What the cloud takes for the time."""
        return START_S + self._timeline.now_ms // SECOND_MS + self.jump_s

    def set_clock(self, jump_s: int) -> None:
        """Someone, or a broken NTP server, sets its clock."""
        self.jump_s = jump_s
        self.jumped_ms = self._timeline.now_ms

    @contextmanager
    def patched(self) -> Iterator[None]:
        """What the simulation changes in the agent's modules, and puts back."""
        readings: Any = frame.Readings
        handlers: Any = ingest_handlers
        pipeline: Any = ingest_pipeline
        # Put back, or replaced, around a run.
        kept = readings.judge, handlers.judge_readings, pipeline._PAUSE_AFTER_FAILURE_S  # noqa: SLF001
        real_judge = frame.Readings.judge

        def judge(message: frame.Readings, index: int) -> str:
            held = self.old and message.records[index].flags & reading.FLAG_ZERO_CORRECTED
            return reading.UNKNOWN_KIND if held else real_judge(message, index)

        readings.judge, handlers.judge_readings = judge, self._variant.judge_readings
        # A pause would be real time.
        pipeline._PAUSE_AFTER_FAILURE_S = 0.0  # noqa: SLF001
        try:
            with self.faults.installed():
                yield
        finally:
            # Put back, or replaced, around a run.
            readings.judge, handlers.judge_readings, pipeline._PAUSE_AFTER_FAILURE_S = kept  # noqa: SLF001

    # Its life

    def start(self) -> None:
        """Opens the folder and begins to consume."""
        if self.running:
            return
        self.service = Service.open(self.root, now=self.now)
        self.link = MemoryLink(self.answer)
        self.claims = Claims(self.service)
        self._pipeline = self._variant.pipeline(self.service, self.link, self._signer)
        self._loop.run_until_complete(self._begin())
        self.running = True

    async def _begin(self) -> None:
        self.service.bind_loop()
        self._pipeline.start()

    def die(self) -> None:
        """The process is gone, with everything in its memory."""
        if not self.running:
            return
        self.running = False
        self.died += 1
        self.link.last_words = 0
        self._inbox.clear()
        self._loop.run_until_complete(self._pipeline.stop())
        self.service.close()

    def close(self) -> None:
        """The end of the simulation."""
        self.die()
        self._loop.close()

    # What devices send

    def arrived(self, topic: str, payload: bytes) -> None:
        """A message from the broker; a dead agent gets none."""
        if not self.running:
            return
        self._inbox.append((topic, payload))
        if not self._due:
            self._due = True
            self._timeline.after(self._rng.randrange(1, 30), self._consume)

    def _consume(self) -> None:
        self._due = False
        batch, self._inbox = self._inbox, []
        if not batch or not self.running:
            return
        trouble = self._rng.choice(_TROUBLES) if self._rng.random() < self.trouble else ""
        self.faults.fail_at = int(trouble in {COMMIT_FAILS, DIES_BEFORE})
        if trouble == DIES_AFTER:
            self.link.last_words = self._rng.randrange(len(batch) + 1)
        self._process(batch)
        self.faults.fail_at = 0
        if trouble in {DIES_BEFORE, DIES_AFTER}:
            self.die()
            self.later()

    def later(self) -> None:
        """Somebody, or systemd, starts it again."""
        self._timeline.after(self._rng.randrange(2, 1_200) * SECOND_MS, self.start)

    def _process(self, batch: Sequence[tuple[str, bytes]]) -> None:
        # Nothing is acknowledged here.
        deliveries = [Delivery(topic, payload, 0, None) for topic, payload in batch]  # type: ignore[arg-type]
        self._loop.run_until_complete(self.link.process(deliveries))

    def _send_announced(self) -> None:
        """Orders were announced: an empty batch behind them, and they have been sent."""
        self._process([])

    # What people do; raises what the agent raises

    def claim(self, account: Account, code: str) -> Claimed:
        """An account gives the code off a display."""
        claimed = self._loop.run_until_complete(self.claims.claim(account, code))
        self._send_announced()
        return claimed

    def place(self, device: str, order: outbox.Order) -> None:
        """An order, as the portal will place it."""
        self.service.writer.call(lambda c: outbox.place(c, device, order, self.now()))
        self.service.announce_orders(device)
        self._send_announced()

    def handle_of(self, claimed: Claimed, subject: bytes) -> int:
        """The handle that the claim gave to its account."""
        table = schema.person_handle
        where = (table.c.device == claimed.device, table.c.epoch == claimed.epoch)
        query = sa.select(table.c.handle).where(*where, table.c.subject == subject)
        with self.service.database.reading() as connection:
            return int(connection.execute(query).scalar_one())

    def add_person(self, device: str, epoch: int, subject: bytes) -> int:
        """A new person of another account; the device is told. Their handle."""

        def add(connection: sa.Connection) -> int:
            handle = people.next_handle(connection, self.service.ledger, device)
            slot = people.free_slot(connection, device, epoch)
            values = {"device": device, "epoch": epoch, "handle": handle, "slot": slot}
            connection.execute(schema.person_handle.insert().values(**values, subject=subject))
            people.order_people(connection, device, epoch, self.now())
            return handle

        handle = self.service.writer.call(add)
        self.service.announce_orders(device)
        self._send_announced()
        return handle

    def release(self, device: str, epoch: int) -> None:
        """The claim ends, and the device is told to forget it, in one transaction."""
        table = schema.claim

        def end(connection: sa.Connection) -> None:
            where = (table.c.device == device, table.c.epoch == epoch)
            connection.execute(table.update().where(*where).values(until_s=self.now()))
            outbox.place(connection, device, command.Release(), self.now())

        self.service.writer.call(end)
        self.service.announce_orders(device)
        self._send_announced()

    def erase(self, account: Account, *, fails_at: int = 0) -> bytes:
        """An account and its person; `fails_at`: the commit that fails on the way."""
        self.faults.fail_at = fails_at
        try:
            report = erasure.erase(self.service, account)
        finally:
            self.faults.fail_at = 0
        self._send_announced()
        return bytes.fromhex(report.request)

    def carry_on(self) -> None:
        """What the server does now and then."""
        erasure.carry_on(self.service)
