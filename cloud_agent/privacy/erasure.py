"""Erases a person from every store of the cloud and from their devices, and proves it.

Order, each step durable before the next and harmless to repeat after a cut:
1. the plan with the scan set is collected, what it looks for is found where it belongs, and
   the plan is sealed under a key of this request;
2. the ledger: from here on nothing of the person is taken any more, and nothing can stop it;
3. the keys, which makes every copy unreadable, backups included;
4. exports and copies of letters on disk; then, in one transaction, rows, the end of claims,
   orders to the devices;
5. compaction, and the scan of every file: nothing may be found. A large database is compacted
   in the night, because nothing can be stored meanwhile: until then it is only unreadable;
6. when every device has confirmed: the scan of given files (a flash image), and last the key
   of the request.
Everything here blocks: call it from a thread.
"""

from __future__ import annotations

import logging
import secrets
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import sqlalchemy as sa

from cloud_agent.errors import NotFoundError, TareError
from cloud_agent.files import remove_durably
from cloud_agent.privacy import catalogue, notices, person_erasure, plan, proof, readings_erasure
from cloud_agent.privacy.catalogue import Person
from cloud_agent.privacy.ledger import (
    Begun,
    Entry,
    Finished,
    OwnerErased,
    ReadingsErased,
    Tombstone,
    owner_hash,
)
from cloud_agent.privacy.plan import Plan
from cloud_agent.privacy.proof import Report
from cloud_agent.privacy.requests import acts
from cloud_agent.storage import schema

if TYPE_CHECKING:
    from cloud_agent.accounts.accounts import Account
    from cloud_agent.service import Service

_log = logging.getLogger(__name__)

_REQUEST_SIZE: Final = 16
#: Bytes of a database that is rewritten in less time than a device would notice.
COMPACTED_AT_ONCE: Final = 32 * 1024 * 1024
# A device that stays away does not keep the scan set alive for ever.
_DEVICE_PATIENCE_S: Final = 30 * 86_400


def erase(
    service: Service,
    account: Account,
    *,
    given: tuple[Path, ...] = (),
    request: bytes | None = None,
    only_readings: bool = False,
) -> Report:
    """Erases an account and its person, or only what was measured of them; returns what was
    found before and after.

    `given`: further files to scan, read when the devices have confirmed. `request`: the number
    it gets, that of the privacy request which it answers; else a random one. Raises `TareError`
    when it could not be completed; it is then carried on at the next start, or by `status`.
    """
    with service.export_lock:
        request = secrets.token_bytes(_REQUEST_SIZE) if request is None else request
        _begin(service, account, given, request, only_readings=only_readings)
        _carry_out(service, request)
    _announce(service, request)
    return status(service, request)


def status(service: Service, request: bytes, *, given: tuple[Path, ...] = ()) -> Report:
    """How far an erasure is; carries on what can be carried on. `NotFoundError` if unknown."""
    # One at a time: who asks while housekeeping closes it would find the plan gone.
    with service.export_lock:
        if request.hex() in service.ledger.unfinished():
            _carry_out(service, request)
            _announce(service, request)
        report = proof.read(service.database, request)
        if _may_close(report):
            _close(service, request, given)
            report = proof.read(service.database, request)
        return report


def _may_close(report: Report) -> bool:
    ended = report.closed_s is not None or report.state in {"running", "unconfirmed"}
    return not ended and report.devices_confirmed


def resume(service: Service) -> None:
    """At the start: carries on what a cut or a restore left, before anything is served."""
    _drop_abandoned(service)
    for request in service.ledger.unfinished():
        try:
            _carry_out(service, bytes.fromhex(request), may_wait=False)
        except (TareError, OSError) as error:
            # The keys are gone or go below; the rest is tried again.
            _log.warning("erasure %s is not complete: %s", request, error)
    _sweep_restored(service)
    _give_up_waiting(service)


def prove_compacted(service: Service) -> None:
    """In the night, after the compaction: proves what had to wait for it."""
    with service.export_lock:
        for request in map(bytes.fromhex, service.ledger.unfinished()):
            _prove(service, request, plan.load(service, request))
            _announce(service, request)


def carry_on(service: Service) -> None:
    """Now and then: closes erasures that all devices have confirmed, and those that waited too
    long for one.
    """
    erasure = schema.erasure
    # Proven and not closed: a cut came between, and the plan is still there.
    query = sa.select(erasure.c.id).where(
        erasure.c.state.in_(("awaiting-devices", "proven")), erasure.c.closed_s.is_(None)
    )
    with service.database.reading() as connection:
        requests = list(connection.execute(query).scalars())
    for request in requests:
        try:
            status(service, request)
        except (TareError, OSError) as error:
            _log.warning("erasure %s is not complete: %s", request.hex(), error)
    _give_up_waiting(service)


def _begin(
    service: Service,
    account: Account,
    given: tuple[Path, ...],
    request: bytes,
    *,
    only_readings: bool,
) -> None:
    account_table, erasure = schema.account, schema.erasure
    now_s = service.now()

    def mark(connection: sa.Connection) -> None:
        # No claim and no login from here on: the plan stays complete.
        where = account_table.c.id == account.id
        if not only_readings:
            connection.execute(account_table.update().where(where).values(state="erasing"))
        connection.execute(erasure.insert().values(id=request, state="running", requested_s=now_s))
        # They outlive what is erased: recipients are told of it (GDPR 19).
        kind = notices.Kind.ERASURE_READINGS if only_readings else notices.Kind.ERASURE
        notices.place(connection, account.subject, request, kind, now_s)

    service.writer.call(mark)
    try:
        collected = plan.collect(service, account, given, only_readings=only_readings)
        before = proof.look_before(service.folder, service.database, collected)
        service.writer.call(lambda c: proof.note_before(c, request, before))
        plan.save(service, request, collected)
        service.ledger.append(_ledger_entries(request, collected, now_s))
    except BaseException:
        _drop_abandoned(service)  # nothing has happened: the account is as before
        raise


def _ledger_entries(request: bytes, collected: Plan, now_s: int) -> list[Entry]:
    hashes = [owner_hash(owner) for owner in collected.person.owners]
    entries: list[Entry] = [Begun(request.hex(), now_s)]
    if collected.readings is None:
        entries += [OwnerErased(request.hex(), name, now_s) for name in hashes]
    else:
        key = owner_hash(collected.readings.key_id)
        entries.append(ReadingsErased(request.hex(), hashes[0], key, now_s))
    for ending in collected.endings:
        handles = (None,) if ending.handles is None else ending.handles
        entries += [
            Tombstone(ending.device, ending.epoch, handle, hashes[0], now_s) for handle in handles
        ]
    return entries


def _carry_out(service: Service, request: bytes, *, may_wait: bool = True) -> None:
    """Steps 3 to 5; with `may_wait` a large database is left to the night. Raises `TareError`;
    all of it may be repeated.
    """
    todo = plan.load(service, request)
    if todo.readings is None:
        service.vault.destroy(todo.person.owners)
    with service.mail_lock:  # a letter that is being written would come back
        for name in todo.files:
            remove_durably(service.folder.root / name)
    closed = service.writer.call(lambda c: _erase_rows(service, c, request, todo))
    acts.drop_notes(service, closed)
    if may_wait and service.database.size > COMPACTED_AT_ONCE:
        return
    service.database.compact()
    _prove(service, request, todo)


def _prove(service: Service, request: bytes, todo: Plan) -> None:
    after = proof.look_after(service.folder, service.database, todo)
    service.writer.call(lambda c: proof.note_after(c, request, after, service.now()))
    if after.clean:
        service.ledger.append([Finished(request.hex(), service.now())])


def _erase_rows(
    service: Service, connection: sa.Connection, request: bytes, todo: Plan
) -> list[bytes]:
    """Rows, claims and orders in one transaction, once: what it says then is in the same one.
    Returns the requests that are closed with it.
    """
    erasure = schema.erasure
    query = sa.select(erasure.c.unreadable_s).where(erasure.c.id == request)
    if connection.execute(query).scalar_one_or_none() is not None:
        return []
    closed: list[bytes] = []
    if todo.readings is not None:
        rows = readings_erasure.erase_rows(service, connection, request, todo)
    else:
        subject, now_s = todo.person.owners[0], service.now()
        closed = acts.close_for_erasure(connection, subject, request, now_s)
        rows = person_erasure.erase_rows(service, connection, request, todo)
    _note_unreadable(service, connection, request)
    proof.note_rows(connection, request, rows)
    return closed


def _note_unreadable(service: Service, connection: sa.Connection, request: bytes) -> None:
    head = service.ledger.head()
    connection.execute(schema.ledger_head.delete())
    connection.execute(
        schema.ledger_head.insert().values(lines=head.lines, last_hash=head.last_hash)
    )
    erasure = schema.erasure
    connection.execute(
        erasure.update()
        .where(erasure.c.id == request, erasure.c.unreadable_s.is_(None))
        .values(unreadable_s=service.now())
    )


def _announce(service: Service, request: bytes) -> None:
    outbox = schema.command_outbox
    where = (outbox.c.erasure == request, outbox.c.state == "waiting")
    query = sa.select(outbox.c.device).where(*where).distinct()
    with service.database.reading() as connection:
        devices = list(connection.execute(query).scalars())
    for device in devices:
        service.announce_orders(device)


def _close(service: Service, request: bytes, given: tuple[Path, ...]) -> None:
    """Step 6: the last scan, then the end of the plan and its key."""
    todo = plan.load(service, request)
    if not set(given) <= set(todo.given):
        # Kept: what was dirty once must be looked at again before the erasure counts as proven.
        todo = replace(todo, given=tuple(dict.fromkeys((*todo.given, *given))))
        plan.save(service, request, todo)
    last = proof.look_last(service.folder, service.database, todo)
    service.writer.call(lambda c: proof.note_last(c, request, last, service.now()))
    if last.clean:
        _forget_plan(service, request)


def _forget_plan(service: Service, request: bytes) -> None:
    service.vault.destroy((request,))
    remove_durably(plan.path_of(service, request))


def _drop_abandoned(service: Service) -> None:
    """Undoes what was prepared for an erasure whose ledger entry was never written."""
    begun = {entry.request for entry in service.ledger.entries() if isinstance(entry, Begun)}
    erasure, account = schema.erasure, schema.account
    with service.database.reading() as connection:
        running = connection.execute(
            sa.select(erasure.c.id).where(erasure.c.state == "running")
        ).scalars()
        abandoned = [request for request in running if request.hex() not in begun]
        erasing = connection.execute(
            sa.select(account.c.id, account.c.subject).where(account.c.state == "erasing")
        ).all()
    kept = [row.id for row in erasing if not service.ledger.is_owner_erased(row.subject)]
    if not abandoned and not kept:
        return

    def undo(connection: sa.Connection) -> None:
        connection.execute(erasure.delete().where(erasure.c.id.in_(abandoned)))
        notices.cancel(connection, abandoned)
        connection.execute(account.update().where(account.c.id.in_(kept)).values(state="active"))

    service.writer.call(undo)
    for request in abandoned:
        _forget_plan(service, request)


def _sweep_restored(service: Service) -> None:
    """Erases again whom a restored file brought back. No plan is needed: the ledger knows."""
    owner, account = schema.owner, schema.account
    with service.database.reading() as connection:
        stored = set(connection.execute(sa.select(owner.c.id)).scalars())
    known = stored | service.vault.store.owners()
    back = [one for one in known if service.ledger.is_owner_erased(one)]
    readings = readings_erasure.sweep_restored(service, known.difference(back))
    if not back:
        if readings:
            service.database.compact()
        return
    service.vault.destroy(back)

    def erase_again(connection: sa.Connection) -> None:
        query = sa.select(account.c.id, account.c.subject).where(account.c.subject.in_(back))
        rows = connection.execute(query).all()
        person = Person(tuple(row.id for row in rows), tuple(back))
        shared: list[person_erasure.Shared] = []
        for row in rows:
            # The restored claim may be the only one who still knows of the device.
            endings = plan.endings_of(connection, row.id, row.subject)
            shared += person_erasure.end_claims(service, connection, None, endings, person)
        for subject in back:
            # Whom the backup still knew as a recipient: told twice is better than never.
            request, now_s = secrets.token_bytes(_REQUEST_SIZE), service.now()
            notices.place(connection, subject, request, notices.Kind.ERASURE, now_s)
        catalogue.erase_rows(connection, schema.metadata, person)
        person_erasure.go_on(service, connection, shared)

    service.writer.call(erase_again)
    service.database.compact()
    _log.warning("erased %d owners again whom a restore had brought back", len(back))


def _give_up_waiting(service: Service) -> None:
    """Ends the plan of erasures whose devices have stayed away too long."""
    erasure = schema.erasure
    before_s = service.now() - _DEVICE_PATIENCE_S
    late = (erasure.c.state == "awaiting-devices", erasure.c.requested_s < before_s)
    with service.database.reading() as connection:
        requests = list(connection.execute(sa.select(erasure.c.id).where(*late)).scalars())
    if not requests:
        return
    service.writer.call(
        lambda c: c.execute(
            erasure.update()
            .where(erasure.c.id.in_(requests))
            .values(state="unconfirmed", closed_s=service.now())
        )
    )
    for request in requests:
        _forget_plan(service, request)


def parse_request(text: str) -> bytes:
    """The request id from its hex. Raises `NotFoundError` for what cannot be one."""
    try:
        request = bytes.fromhex(text)
    except ValueError:
        request = b""
    if len(request) != _REQUEST_SIZE:
        raise NotFoundError("there is no erasure with this number")
    return request
