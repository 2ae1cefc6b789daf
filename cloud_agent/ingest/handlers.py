"""What a verified message does, inside one transaction: rows in, answers out. Commits nothing.

An answer may leave only after the commit: `handle` returns it, the pipeline sends it.
"""

from __future__ import annotations

import hmac
import logging
from dataclasses import dataclass

import sqlalchemy as sa

from cloud_agent.devices import claims, enrolment, outbox, trust
from cloud_agent.devices.signing import CommandSigner
from cloud_agent.ingest import records
from cloud_agent.ingest.judge import (
    Judgement,
    Verdict,
    judge_readings,
    judge_receipts,
    judge_voids,
)
from cloud_agent.ingest.verify import DROPS, Refused, Verified
from cloud_agent.readings import references
from cloud_agent.service import Service
from cloud_agent.storage import schema
from protocol import answer, command, envelope, fields, frame, topics

log = logging.getLogger("tare.ingest")


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A sealed message for a device, to be sent after the commit."""

    topic: str
    payload: bytes


@dataclass(frozen=True, slots=True)
class Handled:
    """What a message leads to. `greeted`: the nonce of a hello. `dropped`: records were refused
    for good, and why.
    """

    device: str
    outgoing: list[Outgoing]
    greeted: bytes | None = None
    dropped: Refused | None = None


class Handlers:
    """Handles the messages of devices into the databases of one installation."""

    def __init__(self, service: Service, signer: CommandSigner) -> None:
        self._service = service
        self._signer = signer

    def handle(self, connection: sa.Connection, verified: Verified, nonce: bytes | None) -> Handled:
        """Does what the message asks. `nonce`: of the device's last hello, where it is known."""
        message = verified.message
        if isinstance(message, frame.Hello):
            return self._hello(connection, verified.device, message)
        if isinstance(message, frame.ClaimWindow):
            return self._claim_window(connection, verified.device, message, nonce)
        if isinstance(message, frame.Readings):
            return self._readings(connection, verified, message)
        if isinstance(message, frame.Receipts):
            return self._receipts(connection, verified, message)
        return self._voids(connection, verified, message)

    def orders(self, connection: sa.Connection, device: str, obeyed: int = 0) -> list[Outgoing]:
        """The device's waiting orders, signed anew."""
        now_s = self._service.now()
        messages = outbox.render(
            connection,
            device,
            self._signer,
            now_s,
            obeyed=obeyed,
            references=lambda: references.of_device(connection, self._service.vault, device),
        )
        return [Outgoing(topics.down(device), message) for message in messages]

    def _hello(self, connection: sa.Connection, device: str, hello: frame.Hello) -> Handled:
        now_s = self._service.now()
        # The device has its certificate and keys, or it could not be here (SPEC 10.3).
        enrolment.confirm(connection, device, now_s)
        table = schema.device
        connection.execute(table.update().where(table.c.id == device).values(**_told(hello, now_s)))
        welcome = answer.Welcome(
            nonce=hello.nonce,
            time_s=now_s,
            settled=records.cursor(connection, device),
            claim_epoch=claims.current_epoch(connection, device),
        )
        outgoing = [self._seal(connection, device, welcome)]
        outgoing += self.orders(connection, device, hello.command_counter)
        return Handled(device, outgoing, greeted=hello.nonce)

    def _claim_window(
        self,
        connection: sa.Connection,
        device: str,
        window: frame.ClaimWindow,
        nonce: bytes | None,
    ) -> Handled:
        # A window of an earlier connection was delayed or repeated by someone. After a restart
        # we know no nonce: then it is taken, because the person at the device should not wait.
        if nonce is None or hmac.compare_digest(window.nonce, nonce):
            claims.open_window(connection, device, window, self._service.now())
        else:
            log.warning("device %s: claim window of another connection ignored", device)
        return Handled(device, [])

    def _readings(
        self, connection: sa.Connection, verified: Verified, message: frame.Readings
    ) -> Handled:
        device, service = verified.device, self._service
        place = records.place_of(connection, service, device, message)
        seen = records.seen(connection, service.vault, device, message.first, message.last)
        cursor = records.cursor(connection, device)
        judgement = judge_readings(message, cursor, place.origin, seen)
        records.store_readings(connection, service, verified, message, place.owner, judgement)
        return self._settle(connection, device, judgement)

    def _receipts(
        self, connection: sa.Connection, verified: Verified, message: frame.Receipts
    ) -> Handled:
        device, now_s = verified.device, self._service.now()
        seen = records.seen(connection, self._service.vault, device, message.first, message.last)
        judgement = judge_receipts(message, records.cursor(connection, device), seen)
        new = records.store_receipts(connection, device, message, judgement)
        for order in outbox.settle(connection, device, new, verified.signed, now_s):
            if order.verb == command.VERB_CLAIM and not order.done:
                claims.end_refused(connection, device, order.number, now_s)
            elif order.verb == command.VERB_TRUST:
                trust.settle(connection, self._service.vault, device, order)
        return self._settle(connection, device, judgement)

    def _voids(
        self, connection: sa.Connection, verified: Verified, message: frame.Voids
    ) -> Handled:
        device = verified.device
        seen = records.seen(connection, self._service.vault, device, message.first, message.last)
        judgement = judge_voids(message, records.cursor(connection, device), seen)
        records.store_voids(connection, device, judgement)
        return self._settle(connection, device, judgement)

    def _settle(
        self,
        connection: sa.Connection,
        device: str,
        judgement: Judgement,
    ) -> Handled:
        """Moves the cursor and notes the gap in the same transaction as the rows (SPEC 8.2)."""
        records.move_cursor(connection, device, judgement, self._service.now())
        for sequence in judgement.alarms:
            log.error("ALARM device %s: record %d came with other content", device, sequence)
        ack = self._seal(connection, device, judgement.ack)
        return Handled(device, [ack], dropped=_dropped(device, judgement))

    def _seal(self, connection: sa.Connection, device: str, message: fields.Payload) -> Outgoing:
        table = schema.device
        query = sa.select(table.c.mac_key, table.c.mac_generation).where(table.c.id == device)
        row = connection.execute(query).one()
        key = self._service.vault.unwrap(enrolment.MAC_KEY_LABEL, device, row.mac_key)
        kid = topics.kid_of(device)
        sealed = envelope.seal_mac0(message.TYPE, kid, message.encode(), row.mac_generation, key)
        return Outgoing(topics.down(device), sealed)


def _dropped(device: str, judgement: Judgement) -> Refused | None:
    """The reason that the first refused record of a frame gets a row with."""
    reasons = [r.reason for r in judgement.records if r.verdict is Verdict.DROP]
    return Refused(DROPS[reasons[0]], topics.kid_of(device)) if reasons else None


def _told(hello: frame.Hello, now_s: int) -> dict[str, object]:
    """What the device says of itself, as columns."""
    return {
        "hello_s": now_s,
        "model": hello.model,
        "firmware": hello.firmware,
        "boot_counter": hello.boot_counter,
        "boot_reason": hello.boot_reason,
        "clock_epoch": hello.clock_epoch,
        "clock_seconds": hello.clock_s,
        "clock_wall_s": hello.wall_s,
        "journal_oldest": hello.oldest,
        "journal_next": hello.next_sequence,
        "hello_claim_epoch": hello.claim_epoch,
        "obeyed_counter": hello.command_counter,
    }
