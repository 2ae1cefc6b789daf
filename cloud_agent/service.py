"""One open installation: its databases, vault, ledger and clock, behind the folder's lock.

The server holds one for as long as it runs; a command that finds no server opens one for
itself. Whoever has a `Service` has everything; nothing else opens the files.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from datetime import date
from pathlib import Path
from typing import Final, Self

import sqlalchemy as sa

from cloud_agent.accounts import accounts
from cloud_agent.accounts.attempts import Attempts
from cloud_agent.backup.restore import finish as finish_restore
from cloud_agent.broker.settings import Endpoint, kept_endpoint
from cloud_agent.config import DataFolder, FolderLock
from cloud_agent.errors import LedgerError
from cloud_agent.mail import outgoing, transport
from cloud_agent.privacy import erasure, replay, rotation
from cloud_agent.privacy.ledger import Head, Ledger
from cloud_agent.privacy.receipts import ReceiptLog, open_key
from cloud_agent.privacy.requests import work
from cloud_agent.privacy.vault import Vault
from cloud_agent.storage import Database, Writer, schema
from cloud_agent.storage.engine import Synchronous

_log = logging.getLogger(__name__)

Clock = Callable[[], int]


def unix_time_s() -> int:
    """The system's clock in whole Unix seconds."""
    return int(time.time())


class Service:
    """What the operations work on. `now()` is whole Unix seconds; tests give their own."""

    def __init__(
        self,
        *,
        folder: DataFolder,
        database: Database,
        vault: Vault,
        ledger: Ledger,
        receipts: ReceiptLog,
        now: Clock,
        resources: ExitStack,
    ) -> None:
        self.folder: Final = folder
        self.database: Final = database
        self.vault: Final = vault
        self.ledger: Final = ledger
        self.receipts: Final = receipts
        self.now: Final = now
        self.attempts: Final = Attempts()
        self.recoveries: Final = Attempts()
        self.letters_in: Final = Attempts()
        self.letters_out: Final = Attempts()
        self.joins: Final = Attempts()
        # Held while an export is written and while a person is erased: no file may appear
        # after the erasure has looked for them.
        self.export_lock: Final = threading.Lock()
        # Held while letters are handed over, and while an erasure removes their copies.
        self.mail_lock: Final = threading.Lock()
        self.backup_lock: Final = threading.Lock()
        # Held while work on a request goes on: its steps and its closing happen once. Before
        # the lock of exports.
        self.request_lock: Final = threading.RLock()
        self.transport: Final = transport.choose(folder.mail)
        self.closing = False
        self.compacted_on: date | None = None
        # Where the server had them the last time, for a command that runs without it.
        self._pages = "http://localhost"
        last = kept_endpoint(folder.web)
        if last is not None:
            self.pages_at(last)
        # Called with a device id, in the event loop, after an order for it became durable.
        self.outbox_listeners: Final[list[Callable[[str], None]]] = []
        self._resources = resources
        self._loop: asyncio.AbstractEventLoop | None = None
        self._sending: set[asyncio.Future[int]] = set()

    @classmethod
    def open(
        cls,
        root: Path | None = None,
        *,
        now: Clock = unix_time_s,
        synchronous: Synchronous = "FULL",
    ) -> Self:
        """Makes what is missing and opens everything.

        Raises `BusyError` when another process has the folder, `LedgerError`,
        `KeyEncryptionKeyError` or `StorageError` when a part is damaged or does not fit.
        """
        folder = DataFolder.choose(root)
        with ExitStack() as opening:
            folder.create()
            opening.callback(FolderLock(folder).release)
            finish_restore(folder)
            rotation.finish(folder)
            ledger = Ledger(folder.ledger)
            opening.callback(ledger.close)
            receipts = ReceiptLog(folder.receipts, open_key(folder.receipt_key))
            opening.callback(receipts.close)
            vault = Vault.open(folder)
            opening.callback(vault.close)
            database = Database(folder.database, synchronous=synchronous)
            opening.callback(database.close)
            _check_ledger(database, ledger)
            accounts.finish_openings(database, vault)
            service = cls(
                folder=folder,
                database=database,
                vault=vault,
                ledger=ledger,
                receipts=receipts,
                now=now,
                resources=opening.pop_all(),
            )
        try:
            # Before anyone is served: neither a cut nor a restore may bring anyone back.
            erasure.resume(service)
            replay.replay(service)
            work.carry_on(service)
        except BaseException:
            service.close()
            raise
        return service

    @property
    def writer(self) -> Writer:
        """The one writer of the main database."""
        return self.database.writer

    def bind_loop(self) -> None:
        """Says that the running event loop is where `outbox_listeners` are called."""
        self._loop = asyncio.get_running_loop()

    def announce_orders(self, device: str) -> None:
        """Tells the listeners of a durable new order; from any thread."""
        if self._loop is not None and not self._loop.is_closed():
            for listener in tuple(self.outbox_listeners):
                self._loop.call_soon_threadsafe(listener, device)

    def link(self, what: str, token: str) -> str:
        """The address that a letter gives for a token. `TARE_PUBLIC_URL` is where people reach
        the web pages of this installation.
        """
        return f"{self.pages}/{what}/{token}"

    @property
    def pages(self) -> str:
        """Where the pages are."""
        return os.environ.get("TARE_PUBLIC_URL", self._pages).rstrip("/")

    def pages_at(self, endpoint: Endpoint) -> None:
        """Says where the server that is starting has its pages."""
        self._pages = f"http://{endpoint.host}:{endpoint.port}"

    def mail_is_waiting(self) -> None:
        """Sends what waits, soon and elsewhere where a server runs, else at once."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._send_mail)
        else:
            outgoing.send_due(self)

    def _send_mail(self) -> None:
        task = asyncio.ensure_future(asyncio.to_thread(outgoing.send_due, self))
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)

    def close(self) -> None:
        """Finishes what is queued and closes everything, the lock last."""
        self.closing = True
        with self.mail_lock:  # a letter that is being handed over
            self._resources.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _check_ledger(database: Database, ledger: Ledger) -> None:
    """Refuses a ledger that is older than the database: erased people would come back."""
    query = sa.select(schema.ledger_head.c.lines, schema.ledger_head.c.last_hash)
    with database.reading() as connection:
        row = connection.execute(query).one_or_none()
    if row is not None and not ledger.continues(Head(row.lines, row.last_hash)):
        raise LedgerError(
            "the ledger is older than the database, or another one: put the newest one back"
        )
