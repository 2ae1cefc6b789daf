"""Rows of records: what is known of a sequence, an owner, a cursor, and how it is written.
Works inside the caller's transaction and commits nothing.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert

from cloud_agent.accounts.accounts import has_health_consent
from cloud_agent.errors import KeyGoneError
from cloud_agent.ingest.judge import (
    SETTLED_AS_STORED,
    ClaimState,
    Judged,
    Judgement,
    Origin,
    Seen,
    Verdict,
)
from cloud_agent.ingest.verify import Verified
from cloud_agent.privacy.vault import Vault
from cloud_agent.readings import store
from cloud_agent.service import Service
from cloud_agent.storage import schema
from cloud_agent.storage.household_schema import former_handle
from protocol import answer, frame

_ingest = schema.ingest


@dataclass(frozen=True, slots=True)
class Place:
    """Where readings of this claim epoch and handle belong: a person, or the claim's tray."""

    origin: Origin
    owner: bytes | None


def cursor(connection: sa.Connection, device: str) -> int:
    """Every sequence up to it is settled (SPEC 8.2)."""
    query = sa.select(schema.device.c.cursor).where(schema.device.c.id == device)
    return int(connection.execute(query).scalar_one())


def move_cursor(connection: sa.Connection, device: str, judgement: Judgement, now_s: int) -> None:
    """Writes the new cursor and the gap, if one was noted."""
    table = schema.device
    connection.execute(table.update().where(table.c.id == device).values(cursor=judgement.cursor))
    if judgement.gap is not None:
        first, last = judgement.gap
        values = {"device": device, "first": first, "last": last, "noted_s": now_s}
        connection.execute(schema.gap.insert().values(**values))


def place_of(
    connection: sa.Connection, service: Service, device: str, message: frame.Readings
) -> Place:
    """Finds claim, person, tombstone and consent for a frame (SPEC 8.4, 16.3)."""
    epoch, handle = message.claim_epoch, message.handle
    claim = _claim(connection, device, epoch)
    owner = subject = None
    if claim is not None and claim.account is not None:
        subject = _subject_of_account(connection, claim.account)
        owner = (
            _subject_of_handle(connection, device, epoch, handle)
            or _former_subject(connection, device, message)
            or claim.tray
        )
    erased = service.ledger.is_erased(device, epoch, handle, owner=owner)
    # A tray is the account's: what its person has withdrawn counts for it too.
    person = owner if claim is not None and owner != claim.tray else subject
    consent = person is not None and has_health_consent(connection, person)
    state = _claim_state(connection, device, epoch, claim)
    return Place(Origin(claim=state, erased=erased, consent=consent), owner)


def seen(
    connection: sa.Connection, vault: Vault, device: str, first: int, last: int
) -> dict[int, Seen]:
    """What is known of the sequences first .. last."""
    query = sa.select(
        _ingest.c.sequence, _ingest.c.outcome, _ingest.c.owner, _ingest.c.digest
    ).where(_ingest.c.device == device, _ingest.c.sequence.between(first, last))
    return {
        row.sequence: Seen(row.outcome, _comparison(vault, row.owner, row.digest))
        for row in connection.execute(query)
    }


def store_readings(  # noqa: PLR0917 - what is stored, for whom, and how it was judged
    connection: sa.Connection,
    service: Service,
    verified: Verified,
    message: frame.Readings,
    owner: bytes | None,
    judgement: Judgement,
) -> None:
    """Stores the accepted records with their signed frame, and the outcome of every one."""
    accepted = [record for record in judgement.records if record.verdict is Verdict.STORE]
    rows = _dropped_rows(verified.device, message.claim_epoch, judgement.records)
    if accepted and owner is not None:
        now_s = service.now()
        new = store.NewFrame(
            owner=owner, device=verified.device, signed=verified.signed, stored_s=now_s
        )
        frame_id = store.store_frame(connection, service.vault, new)
        readings = [
            _new_reading(verified.device, message, record, owner, frame_id) for record in accepted
        ]
        store.store_readings(connection, service.vault, readings, stored_s=now_s)
        rows += [
            _row(verified.device, message.claim_epoch, record.sequence)
            | {
                "owner": owner,
                "digest": service.vault.digest(owner, message.content(record.index)),
            }
            for record in accepted
        ]
    _insert(connection, rows)


def store_receipts(
    connection: sa.Connection, device: str, message: frame.Receipts, judgement: Judgement
) -> list[frame.Receipt]:
    """Notes receipts that were not there yet, and returns them."""
    new = [record for record in judgement.records if record.verdict is Verdict.STORE]
    _insert(
        connection,
        [
            _row(device, 0, record.sequence)
            | {"digest": _plain_digest(message.content(record.index))}
            for record in new
        ],
    )
    return [message.receipts[record.index] for record in new]


def store_voids(connection: sa.Connection, device: str, judgement: Judgement) -> None:
    """Notes sequences that will never come: what still comes under them was erased."""
    new = [record for record in judgement.records if record.verdict is Verdict.STORE]
    _insert(
        connection,
        [_row(device, 0, record.sequence, answer.DROP_ERASED) for record in new],
    )


@dataclass(frozen=True, slots=True)
class _Claim:
    account: bytes | None
    tray: bytes | None
    until_s: int | None


def _claim(connection: sa.Connection, device: str, epoch: int) -> _Claim | None:
    table = schema.claim
    query = sa.select(table.c.account, table.c.tray, table.c.until_s).where(
        table.c.device == device, table.c.epoch == epoch
    )
    row = connection.execute(query).one_or_none()
    return None if row is None else _Claim(row.account, row.tray, row.until_s)


def _claim_state(
    connection: sa.Connection, device: str, epoch: int, claim: _Claim | None
) -> ClaimState:
    if claim is None:
        query = sa.select(schema.device.c.last_claim_epoch).where(schema.device.c.id == device)
        last = int(connection.execute(query).scalar_one())
        return ClaimState.UNKNOWN if epoch > last else ClaimState.ENDED
    ended = claim.until_s is not None or claim.account is None
    return ClaimState.ENDED if ended else ClaimState.OPEN


def _subject_of_account(connection: sa.Connection, account: bytes) -> bytes | None:
    table = schema.account
    query = sa.select(table.c.subject).where(table.c.id == account)
    found: bytes | None = connection.execute(query).scalar_one_or_none()
    return found


def _subject_of_handle(
    connection: sa.Connection, device: str, epoch: int, handle: int
) -> bytes | None:
    table = schema.person_handle
    query = sa.select(table.c.subject).where(
        table.c.device == device, table.c.epoch == epoch, table.c.handle == handle
    )
    found: bytes | None = connection.execute(query).scalar_one_or_none()
    return found


def _former_subject(
    connection: sa.Connection, device: str, message: frame.Readings
) -> bytes | None:
    """Who had the handle, for a frame that was all measured while they had it. What came later
    under it may be somebody else's: the device had not heard yet.
    """
    query = sa.select(former_handle.c.subject, former_handle.c.ended_s).where(
        former_handle.c.device == device,
        former_handle.c.epoch == message.claim_epoch,
        former_handle.c.handle == message.handle,
    )
    row = connection.execute(query).one_or_none()
    if row is None:
        return None
    latest_s = max(message.clock.taken(each.seconds)[1] for each in message.records)
    return bytes(row.subject) if latest_s <= row.ended_s else None


def _comparison(
    vault: Vault, owner: bytes | None, digest: bytes | None
) -> Callable[[bytes], bool] | None:
    """A way to compare content with what was stored; None where nothing is left of it."""
    if digest is None:
        return None

    def same(content: bytes) -> bool:
        try:
            found = vault.digest(owner, content) if owner is not None else _plain_digest(content)
        except KeyGoneError:
            return True  # erased in the meantime: nothing can be said, and nothing is stored
        return hmac.compare_digest(found, digest)

    return same


def _plain_digest(content: bytes) -> bytes:
    """Of a receipt: it says nothing of a person that could be guessed."""
    return hashlib.sha256(content).digest()


def _new_reading(
    device: str, message: frame.Readings, record: Judged, owner: bytes, frame_id: bytes
) -> store.NewReading:
    reading = message.records[record.index]
    return store.NewReading(
        owner=owner,
        device=device,
        claim_epoch=message.claim_epoch,
        frame=frame_id,
        taken=_taken(message.clock, reading.seconds),
        attribution=store.ATTRIBUTIONS[reading.attribution],
        packed=reading.packed,
        values=tuple(reading.values),
    )


def _taken(clock: frame.Clock, seconds: int) -> store.Taken:
    earliest_s, latest_s = clock.taken(seconds)
    if not clock.since_epoch:
        return store.Taken(earliest_s, "wall")
    if earliest_s == latest_s:
        return store.Taken(earliest_s, "dated")
    middle_s = (earliest_s + latest_s) // 2
    return store.Taken(middle_s, "interval", latest_s - middle_s)


def _dropped_rows(device: str, epoch: int, judged: Iterable[Judged]) -> list[dict[str, object]]:
    return [
        _row(device, epoch, record.sequence, record.reason)
        for record in judged
        if record.verdict is Verdict.DROP
    ]


def _row(
    device: str, epoch: int, sequence: int, outcome: int = SETTLED_AS_STORED
) -> dict[str, object]:
    return {
        "device": device,
        "sequence": sequence,
        "claim_epoch": epoch,
        "outcome": outcome,
        "owner": None,
        "digest": None,
    }


def _insert(connection: sa.Connection, rows: list[dict[str, object]]) -> None:
    """A sequence that is there already stays as it is: a drop may be repeated."""
    if rows:
        connection.execute(insert(_ingest).on_conflict_do_nothing(), rows)
