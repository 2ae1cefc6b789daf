"""What one erasure has to do and to prove, collected before anything is gone.

The plan holds what it will look for, so it is itself personal data: it lies sealed in a file
under a key of this one request, which is destroyed when the proof is done.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from cloud_agent.accounts import accounts
from cloud_agent.devices import claims
from cloud_agent.errors import CiphertextError, NotFoundError
from cloud_agent.files import write_private
from cloud_agent.mail import outgoing
from cloud_agent.privacy import scan
from cloud_agent.privacy.catalogue import Person
from cloud_agent.privacy.scan import MIN_PATTERN_SIZE, Pattern
from cloud_agent.privacy.vault import Purpose
from cloud_agent.storage import schema
from cloud_agent.storage.household_schema import former_handle
from protocol import cbor
from protocol.errors import ProtocolError

if TYPE_CHECKING:
    from cloud_agent.accounts.accounts import Account
    from cloud_agent.service import Service

# Where a pattern must be found before.
HOME_MAIN: Final = "tare.db"
HOME_KEYS: Final = "keys.db"
HOME_EXPORTS: Final = "exports"
HOME_GIVEN: Final = "given files"  # a flash image
NO_HOME: Final = ""

# Samples of each table: enough to notice a page that was passed over, few enough to be quick.
_SAMPLES: Final = 16
_SAMPLE_SIZE: Final = 32
_SIGNATURE_SIZE: Final = 64
_VERSION: Final = 2


@dataclass(frozen=True, slots=True)
class Ending:
    """What happens to one claim epoch: all of it ends, or only some handles go.

    `live`: it is the device's claim of today. Only then is the device told to erase: after a
    sale it holds the next owner's data, and it gave up this epoch's at the release.
    """

    device: str
    epoch: int
    handles: tuple[int, ...] | None  # None: everything of this epoch
    live: bool


@dataclass(frozen=True, slots=True)
class Readings:
    """Only what was measured goes: what this health key sealed, up to this change number."""

    key_id: bytes
    next_change: int


@dataclass(frozen=True, slots=True)
class Plan:
    """One erasure, of everything or (`readings`) of what was measured.

    `files` are to be removed, by their path in the data folder: exports, copies of letters.
    `given` are further files to scan, such as flash images.
    """

    person: Person
    endings: tuple[Ending, ...]
    files: tuple[str, ...]
    patterns: tuple[Pattern, ...]
    given: tuple[Path, ...]
    readings: Readings | None = None
    not_looked_for: tuple[str, ...] = ()  # labels: these words are in our own texts


def collect(
    service: Service, account: Account, given: tuple[Path, ...], *, only_readings: bool = False
) -> Plan:
    """The plan for one account. Changes nothing."""
    if only_readings:
        return _collect_readings(service, account, given)
    with service.database.reading() as connection:
        trays = tuple(
            connection.execute(
                sa.select(schema.claim.c.tray).where(
                    schema.claim.c.account == account.id, schema.claim.c.tray.is_not(None)
                )
            ).scalars()
        )
        person = Person((account.id,), (account.subject, *trays))
        endings = endings_of(connection, account.id, account.subject)
        exports = _exports(connection, account.subject)
        letters = [
            f"mail/{row.hex()}.eml" for row in outgoing.copies_of(connection, account.subject)
        ]
        samples = _samples(connection, service, person)
        ours = _own_texts(service, connection)
    identity = _identity(service, account, exported=bool(exports))
    common = tuple(pattern.label for pattern in identity if pattern.data in ours)
    patterns = (
        *(pattern for pattern in identity if pattern.label not in common),
        *_keys(service, person),
        *samples,
    )
    files = (*exports, *letters)
    return Plan(person, endings, files, patterns, given, not_looked_for=common)


def _own_texts(service: Service, connection: sa.Connection) -> bytes:
    """What is in every installation, or names who runs it: somebody may be called so too."""
    statements = connection.execute(sa.text("SELECT coalesce(sql, '') FROM sqlite_schema"))
    texts = ["\n".join(statements.scalars()).encode()]
    if service.folder.controller.exists():
        texts.append(service.folder.controller.read_bytes())
    return b"\n".join(texts)


def _collect_readings(service: Service, account: Account, given: tuple[Path, ...]) -> Plan:
    person = Person((), (account.subject,))
    owner = schema.owner
    with service.database.reading() as connection:
        # Its claims go on: nothing of others, nothing of the tray, nobody is told to forget all.
        endings = tuple(
            replace(ending, handles=tuple(handle for handle in ending.handles or () if handle))
            for ending in endings_of(connection, b"", account.subject)
        )
        exports = _exports(connection, account.subject)
        samples = _samples(connection, service, person, (schema.reading, schema.frame))
        query = sa.select(owner.c.next_change).where(owner.c.id == account.subject)
        next_change = connection.execute(query).scalar_one()
    keys = [p for p in _keys(service, person) if p.label.startswith(f"wrapped {Purpose.HEALTH}")]
    readings = Readings(service.vault.key_id(account.subject, Purpose.HEALTH), next_change)
    return Plan(person, endings, tuple(exports), (*keys, *samples), given, readings)


def _exports(connection: sa.Connection, subject: bytes) -> list[str]:
    table = schema.export_file
    query = sa.select(table.c.name).where(table.c.subject == subject)
    return [f"exports/{name}" for name in connection.execute(query).scalars()]


def save(service: Service, request: bytes, plan: Plan) -> None:
    """Seals the plan under the key of the request; durable on return."""
    if not service.vault.store.keys_of(request):
        service.vault.create_owner(request, (Purpose.HOLD,))
    sealed = service.vault.encrypt(request, Purpose.HOLD, "erasure", request, _encode(plan))
    write_private(path_of(service, request), sealed, replace=True)


def load(service: Service, request: bytes) -> Plan:
    """The saved plan. Raises `NotFoundError` or `VaultError` when it is gone or damaged."""
    try:
        sealed = path_of(service, request).read_bytes()
    except FileNotFoundError as error:
        raise NotFoundError("the plan of this erasure is not here") from error
    return _decode(service.vault.decrypt(request, Purpose.HOLD, "erasure", request, sealed))


def path_of(service: Service, request: bytes) -> Path:
    """Where the sealed plan lies."""
    return service.folder.erasures / f"{request.hex()}.sealed"


def endings_of(connection: sa.Connection, account: bytes, subject: bytes) -> tuple[Ending, ...]:
    """What the claims of an account, and the person's handles on others' devices, come to."""
    claim, handle = schema.claim, schema.person_handle
    own = _places(connection, claim, claim.c.account == account)
    mine: dict[_Place, list[int]] = {}
    for table in (handle, former_handle):
        for row in connection.execute(sa.select(table).where(table.c.subject == subject)):
            mine.setdefault((row.device, row.epoch), []).append(row.handle)
    involved = sorted(own | mine.keys())
    live = _places(connection, claim, claim.c.until_s.is_(None), among=involved)
    shared = _places(connection, handle, handle.c.subject != subject, among=involved)
    endings = []
    for place in involved:
        handles = None
        if place not in own or place in shared:
            # The claimant's tray (handle 0) goes too; what others of the household have stays.
            handles = tuple([0] if place in own else []) + tuple(sorted(mine.get(place, ())))
        endings.append(Ending(*place, handles, place in live))
    return tuple(endings)


def as_of_now(connection: sa.Connection, endings: tuple[Ending, ...]) -> tuple[Ending, ...]:
    """The endings of a plan, with the claims of now: a device may have been given away since."""
    return tuple(
        replace(each, live=claims.current_epoch(connection, each.device) == each.epoch)
        for each in endings
    )


_Place = tuple[str, int]  # device, claim epoch


def _places(
    connection: sa.Connection,
    table: sa.Table,
    where: sa.ColumnElement[bool],
    *,
    among: Sequence[_Place] | None = None,
) -> set[_Place]:
    query = sa.select(table.c.device, table.c.epoch).where(where)
    if among is not None:
        query = query.where(sa.tuple_(table.c.device, table.c.epoch).in_(among))
    return {(row.device, row.epoch) for row in connection.execute(query)}


def _identity(service: Service, account: Account, *, exported: bool) -> list[Pattern]:
    contact = accounts.contact(service, account)
    patterns = [
        Pattern("subject id", account.subject, HOME_MAIN),
        Pattern("account id", account.id, HOME_MAIN),
        *_contact("e-mail address", contact.email, exported=exported),
        *_contact("name", contact.name, exported=exported),
    ]
    credential = service.vault.store.credential_of(account.subject)
    if credential is not None:
        patterns += [
            Pattern("subject id beside the keys", account.subject, HOME_KEYS),
            Pattern("e-mail lookup value", credential.email_hmac, HOME_KEYS),
            Pattern("password hash", credential.password_hash.encode(), HOME_KEYS),
        ]
    return patterns


def _contact(label: str, text: str, *, exported: bool) -> list[Pattern]:
    """One pattern for each way in which a text may be written. An export has it as JSON."""
    found = scan.spellings(text)
    home = "JSON" if "JSON" in found else ""
    return [
        Pattern(
            f"{label} in {spelling}" if spelling else label,
            data,
            HOME_EXPORTS if exported and spelling == home else NO_HOME,
        )
        for spelling, data in found.items()
    ]


def is_contact(label: str) -> bool:
    """Whether a pattern is what a person is called, in any spelling: others may have typed it."""
    return label.partition(" in ")[0] in {"e-mail address", "name"}


def _keys(service: Service, person: Person) -> list[Pattern]:
    patterns = []
    for number, owner in enumerate(person.owners):
        who = "person" if number == 0 else f"tray {number}"
        if number > 0:
            patterns.append(Pattern(f"id of {who}", owner, HOME_MAIN))
        patterns += [
            Pattern(f"wrapped {key.purpose} key of {who}", key.wrapped, HOME_KEYS)
            for key in service.vault.store.keys_of(owner)
        ]
    return patterns


_SAMPLED: Final = (schema.account, schema.reading, schema.frame)


def _samples(
    connection: sa.Connection,
    service: Service,
    person: Person,
    tables: Sequence[sa.Table] = _SAMPLED,
) -> list[Pattern]:
    """Pieces of ciphertexts and digests, and the plain records that a device may hold."""
    patterns = []
    for table in tables:
        sealed = table.c.contact if table is schema.account else table.c.ciphertext
        by = table.c.subject if table is schema.account else table.c.owner
        query = sa.select(sealed).where(by.in_(person.owners)).limit(_SAMPLES)
        patterns += [
            Pattern(f"{table.name} ciphertext {number}", _middle(data), HOME_MAIN)
            for number, data in enumerate(connection.execute(query).scalars(), start=1)
        ]
    ingest = schema.ingest
    query = sa.select(ingest.c.digest).where(
        ingest.c.owner.in_(person.owners), ingest.c.digest.is_not(None)
    )
    patterns += [
        Pattern(f"content digest {number}", data, HOME_MAIN)
        for number, data in enumerate(connection.execute(query.limit(_SAMPLES)).scalars(), start=1)
    ]
    return patterns + _plain_records(connection, service, person)


def _plain_records(connection: sa.Connection, service: Service, person: Person) -> list[Pattern]:
    table = schema.frame
    query = (
        sa.select(table.c.id, table.c.owner, table.c.ciphertext)
        .where(table.c.owner.in_(person.owners))
        .order_by(table.c.stored_s.desc())
        .limit(_SAMPLES)
    )
    patterns = []
    for number, row in enumerate(connection.execute(query), start=1):
        signed = service.vault.decrypt(row.owner, Purpose.HEALTH, "frame", row.id, row.ciphertext)
        patterns.append(Pattern(f"signature of frame {number}", signed[-_SIGNATURE_SIZE:]))
        patterns += [
            Pattern(f"plain record {number}.{place}", record, HOME_GIVEN)
            for place, record in enumerate(_records(signed), start=1)
        ]
    return patterns


def _records(signed: bytes) -> list[bytes]:
    """The records of a readings frame as they lie in the device's flash (SPEC 12.2)."""
    try:
        envelope = cbor.decode(signed, tags=(18,))
        # Any other form is caught below.
        payload = cbor.decode(envelope.value[2])  # type: ignore[attr-defined]
        # Any other form is caught below.
        records = [cbor.encode(record) for record in payload[6]]  # type: ignore[index]
    except (ProtocolError, AttributeError, IndexError, TypeError):
        return []  # of a version that this code does not know: its signature is in the set
    return [record for record in records if len(record) >= MIN_PATTERN_SIZE]


def _middle(data: bytes) -> bytes:
    start = max((len(data) - _SAMPLE_SIZE) // 2, 0)
    return data[start : start + _SAMPLE_SIZE]


def _encode(plan: Plan) -> bytes:
    return cbor.encode(
        [
            _VERSION,
            [list(plan.person.accounts), list(plan.person.owners)],
            [
                [e.device, e.epoch, None if e.handles is None else list(e.handles), e.live]
                for e in plan.endings
            ],
            list(plan.files),
            [[p.label, p.data, p.home] for p in plan.patterns],
            [str(path) for path in plan.given],
            None if plan.readings is None else [plan.readings.key_id, plan.readings.next_change],
        ]
    )


def _decode(plaintext: bytes) -> Plan:
    item: Any = cbor.decode(plaintext)
    if item[0] not in (1, _VERSION):
        raise CiphertextError("the plan of this erasure was made by another version of Tare")
    version, (accounts_, owners), endings, files, patterns, given, *more = item
    if version == 1:  # it knew exports only
        files = [f"exports/{name}" for name in files]
    return Plan(
        person=Person(tuple(accounts_), tuple(owners)),
        endings=tuple(
            Ending(device, epoch, None if handles is None else tuple(handles), live)
            for device, epoch, handles, live in endings
        ),
        files=tuple(files),
        patterns=tuple(Pattern(*pattern) for pattern in patterns),
        given=tuple(map(Path, given)),
        readings=Readings(*more[0]) if more and more[0] is not None else None,
    )
