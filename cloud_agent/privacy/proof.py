"""The proof of an erasure: what the scans found, where, before and after, and what no scan
can see. The report holds counts, file names and labels, never what was looked for.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa

from cloud_agent.config import DataFolder
from cloud_agent.errors import NotFoundError
from cloud_agent.privacy import catalogue, plan
from cloud_agent.privacy.plan import Plan
from cloud_agent.privacy.scan import Hit, Pattern, files_below, scan
from cloud_agent.storage import Database, mail_schema, schema

NOT_VERIFIED: Final = (
    "freed blocks of the file system and spare areas of flash disks",
    "swap space, file system snapshots and memory of other programs",
    "backups: unreadable without the keys; backups of the keys end with their own short life",
    "copies that you or others made, such as exports that you saved",
)


@dataclass(frozen=True, slots=True)
class Before:
    """The scan before: places by file, and controls that failed."""

    by_file: dict[str, int]
    missing: list[str]
    patterns: int
    in_files_of_others: int
    not_looked_for: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class After:
    """A scan after: places by file and by label, and rows that still lead to the person."""

    by_file: dict[str, int]
    by_label: dict[str, int]
    rows: dict[str, int]
    given: tuple[str, ...] = ()  # the given files that were there to be scanned
    in_files_of_others: int = 0

    @property
    def clean(self) -> bool:
        """Nothing was found anywhere but in what is somebody else's."""
        return not self.by_file and not self.rows


@dataclass(slots=True)
class Report:
    """One erasure, for its receipt. Times are Unix seconds; None: not reached yet."""

    request: str
    state: str
    requested_s: int
    unreadable_s: int | None
    compacted_s: int | None
    closed_s: int | None
    patterns: int = 0
    found_before: dict[str, int] = field(default_factory=dict)  # file -> places
    missing_before: list[str] = field(default_factory=list)  # labels: the control failed
    not_looked_for: list[str] = field(default_factory=list)  # labels: our own words, see `plan`
    in_files_of_others: int = 0  # of the contact data: what another typed is theirs
    found_after: dict[str, int] = field(default_factory=dict)
    labels_after: dict[str, int] = field(default_factory=dict)
    rows_after: dict[str, int] = field(default_factory=dict)
    rows_erased: dict[str, int] = field(default_factory=dict)
    scanned_last: list[str] = field(default_factory=list)  # given files, by number
    devices: dict[str, str] = field(default_factory=dict)  # device -> state of its order
    not_verified: tuple[str, ...] = NOT_VERIFIED

    @property
    def devices_confirmed(self) -> bool:
        """Every device that was told to erase has sent its receipt."""
        return all(state == "done" for state in self.devices.values())

    @property
    def exceptions(self) -> list[str]:
        """What is not proven, in words for a receipt."""
        said = [f"control failed before: {label}" for label in self.missing_before]
        said += [f"not looked for, being words of ours: {label}" for label in self.not_looked_for]
        if self.in_files_of_others:
            said.append(f"in files of other people: {self.in_files_of_others} places")
        said += [
            f"device {device} has not confirmed"
            for device, state in self.devices.items()
            if state != "done"
        ]
        if self.state == "unconfirmed":
            said.append("no last scan was made: the time for it was over")
        return said

    def as_json(self) -> dict[str, Any]:
        """For the control socket."""
        return asdict(self)


def look_before(folder: DataFolder, database: Database, todo: Plan) -> Before:
    """Scans everything before the erasure, and checks that each pattern is where it belongs."""
    own = scan(files_below(folder.root), todo.patterns)
    missing = [p.label for p in todo.patterns if not _is_at_home(folder, p, own)]
    theirs, own = _apart(folder, database, todo, own)
    given = scan(todo.given, todo.patterns)
    by_file = _by_file(folder, todo, (*own, *given))
    patterns = len(todo.patterns)
    return Before(by_file, missing, patterns, _count(theirs), todo.not_looked_for)


def look_after(folder: DataFolder, database: Database, todo: Plan) -> After:
    """Scans the data folder and asks every table after the erasure."""
    return _look(folder, database, todo, ())


def look_last(folder: DataFolder, database: Database, todo: Plan) -> After:
    """The same, and the given files."""
    return _look(folder, database, todo, todo.given)


def _look(folder: DataFolder, database: Database, todo: Plan, given: Sequence[Path]) -> After:
    present = [path for path in given if path.is_file()]
    found = scan((*files_below(folder.root), *present), todo.patterns)
    theirs, hits = _apart(folder, database, todo, found)
    by_label: dict[str, int] = {}
    for hit in hits:
        by_label[hit.label] = by_label.get(hit.label, 0) + hit.count
    with database.reading() as connection:
        rows = _rows_left(connection, todo)
    names = tuple(_given_name(todo, path) for path in present)
    return After(_by_file(folder, todo, hits), by_label, rows, names, _count(theirs))


def _apart(
    folder: DataFolder, database: Database, todo: Plan, hits: Sequence[Hit]
) -> tuple[list[Hit], list[Hit]]:
    """Contact data in exports and letters of other people, and all the rest. Who types another's
    address as a name has it in their own export: that is theirs, and nobody could stop it.
    """
    with database.reading() as connection:
        export, letter = schema.export_file, mail_schema.letter
        mine = todo.person.owners
        names = connection.execute(sa.select(export.c.name).where(export.c.subject.not_in(mine)))
        others = {folder.exports / name for name in names.scalars()}
        rows = connection.execute(sa.select(letter.c.id).where(letter.c.subject.not_in(mine)))
        others |= {folder.mail / f"{row.hex()}.eml" for row in rows.scalars()}
    theirs = [hit for hit in hits if hit.file in others and plan.is_contact(hit.label)]
    return theirs, [hit for hit in hits if hit not in theirs]


def _count(hits: Iterable[Hit]) -> int:
    return sum(hit.count for hit in hits)


def _rows_left(connection: sa.Connection, todo: Plan) -> dict[str, int]:
    if todo.readings is None:
        return catalogue.remaining_rows(connection, schema.metadata, todo.person)
    # Readings of afterwards are none of its business.
    table = schema.reading
    old = (table.c.owner.in_(todo.person.owners), table.c.change < todo.readings.next_change)
    query = sa.select(sa.func.count()).select_from(table).where(*old)
    count = connection.execute(query).scalar_one()
    return {table.name: count} if count else {}


def note_before(connection: sa.Connection, request: bytes, before: Before) -> None:
    """Keeps the counts of the scan before."""
    _note(
        connection,
        request,
        {},
        patterns=before.patterns,
        found_before=before.by_file,
        missing_before=before.missing,
        not_looked_for=list(before.not_looked_for),
        in_files_of_others=before.in_files_of_others,
    )


def note_rows(connection: sa.Connection, request: bytes, rows: dict[str, int]) -> None:
    """Keeps how many rows of each table were erased, in the transaction that did it."""
    query = sa.select(sa.exists().where(schema.erasure.c.id == request))
    if connection.execute(query).scalar_one():  # not after a restore of before it began
        _note(connection, request, {}, rows_erased={k: v for k, v in rows.items() if v})


def note_after(connection: sa.Connection, request: bytes, after: After, now_s: int) -> None:
    """Keeps the counts of the scan after, and says how the erasure goes on."""
    outbox = schema.command_outbox
    waiting = connection.execute(
        sa.select(sa.exists().where(outbox.c.erasure == request))
    ).scalar_one()
    state = "failed"
    if after.clean:
        state = "awaiting-devices" if waiting else "proven"
    columns = {"state": state, "compacted_s": now_s if after.clean else None}
    _note(connection, request, columns, **_counts(after))


def note_last(connection: sa.Connection, request: bytes, last: After, now_s: int) -> None:
    """Keeps the counts of the last scan; only a clean one closes the erasure."""
    columns = {"state": "proven", "closed_s": now_s} if last.clean else {"state": "failed"}
    _note(connection, request, columns, **_counts(last), scanned_last=list(last.given))


def read(database: Database, request: bytes) -> Report:
    """The report as far as it goes. Raises `NotFoundError`."""
    erasure, outbox = schema.erasure, schema.command_outbox
    with database.reading() as connection:
        row = connection.execute(sa.select(erasure).where(erasure.c.id == request)).one_or_none()
        orders = connection.execute(
            sa.select(outbox.c.device, outbox.c.state).where(outbox.c.erasure == request)
        ).all()
    if row is None:
        raise NotFoundError("there is no erasure with this number")
    devices: dict[str, str] = {}
    for order in orders:
        # Several orders may go to one device: it has confirmed when all are done.
        if devices.get(order.device, "done") == "done":
            devices[order.device] = order.state
    return Report(
        request=request.hex(),
        state=row.state,
        requested_s=row.requested_s,
        unreadable_s=row.unreadable_s,
        compacted_s=row.compacted_s,
        closed_s=row.closed_s,
        devices=devices,
        **json.loads(row.result or "{}"),
    )


def _counts(after: After) -> dict[str, Any]:
    return {
        "found_after": after.by_file,
        "labels_after": after.by_label,
        "rows_after": after.rows,
        "in_files_of_others": after.in_files_of_others,
    }


def _note(connection: sa.Connection, request: bytes, columns: dict[str, Any], **facts: Any) -> None:
    table = schema.erasure
    query = sa.select(table.c.result).where(table.c.id == request)
    result = json.loads(connection.execute(query).scalar_one() or "{}") | facts
    values = columns | {"result": json.dumps(result)}
    connection.execute(table.update().where(table.c.id == request).values(values))


def _is_at_home(folder: DataFolder, pattern: Pattern, hits: Sequence[Hit]) -> bool:
    """Whether a pattern was found in its store; true for one that has none in the folder."""
    homes = {
        plan.HOME_MAIN: folder.database,
        plan.HOME_KEYS: folder.keys,
        plan.HOME_EXPORTS: folder.exports,
    }
    home = homes.get(pattern.home)
    if home is None:
        return True
    return any(
        hit.label == pattern.label
        # The write-ahead log and the journal belong to their database.
        and (hit.file.name.startswith(home.name) or home in hit.file.parents)
        for hit in hits
    )


def by_store(counts: dict[str, int]) -> dict[str, int]:
    """The same by store, for a receipt: the name of a file could tell of a person."""
    stores: dict[str, int] = {}
    for name, count in counts.items():
        first = name.partition("/")[0]
        store = first if first in _STORES or _GIVEN.fullmatch(first) else _ANOTHER
        stores[store] = stores.get(store, 0) + count
    return stores


_STORES: Final = frozenset({"exports", "mail", "erasures", "staging", "broker", "web"}) | {
    f"{name}{suffix}"
    for name in ("tare.db", "keys.db")
    for suffix in ("", "-wal", "-shm", "-journal")
}
_ANOTHER: Final = "another file"
_GIVEN: Final = re.compile(r"given file \d+")


def _by_file(folder: DataFolder, todo: Plan, hits: Iterable[Hit]) -> dict[str, int]:
    """Places by file; files outside the folder by their number only."""
    counts: dict[str, int] = {}
    for hit in hits:
        if hit.file in todo.given:
            name = _given_name(todo, hit.file)
        else:
            name = str(hit.file.relative_to(folder.root))
            # It would be kept with the report, and be what is looked for.
            if not name.isascii() or any(p.data in name.encode() for p in todo.patterns):
                name = _ANOTHER
        counts[name] = counts.get(name, 0) + hit.count
    return counts


def _given_name(todo: Plan, path: Path) -> str:
    return f"given file {todo.given.index(path) + 1}"
