"""Everything that is kept of a person as one zip file: for them to read, check and take away.

Members are stored, not deflated: the scan for erased bytes reads raw files, and must be able
to find an export that was forgotten. Exports go after a day, or with the person.
"""

from __future__ import annotations

import hashlib
import io
import json
import secrets
import zipfile
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from cloud_agent.accounts import accounts, agreements
from cloud_agent.errors import KeyGoneError, NotFoundError
from cloud_agent.files import remove_durably, write_private
from cloud_agent.privacy import catalogue, disclosures
from cloud_agent.privacy.catalogue import Person
from cloud_agent.privacy.vault import Purpose
from cloud_agent.readings import changes, fhir, listing, zones
from cloud_agent.readings import operations as readings_operations
from cloud_agent.storage import schema
from cloud_agent.storage.annotations import Link
from cloud_agent.storage.household_schema import former_handle

if TYPE_CHECKING:
    from cloud_agent.accounts.accounts import Account
    from cloud_agent.service import Service

KEPT_S: Final = 86_400
_FIRST_ZIP_DATE_S: Final = 315_532_800  # 1980-01-01

_README: Final = """\
This is everything that Tare keeps about you.

readings.csv, readings.json   your readings, with units and the time in your zone and in UTC
readings.fhir.json            the same as a FHIR R4 bundle, which other services read
account.json                  your account, what you agreed to and when
frames/                       the messages as your device signed them
partners.json                 who was given what of you, when, and by which consent of yours
records.json                  every other column that leads to you, table by table: who read what of
                              you, your requests, letters to you, devices that know you
devices.json                  the public key of each of these devices
manifest.json                 the SHA-256 of every file here

A frame is a COSE_Sign1 message (RFC 9052), algorithm ESP256 (ECDSA, P-256, SHA-256). The
signature covers the CBOR encoding of ["Signature1", protected, aad, payload], where aad is the
CBOR encoding of ["tare/1/readings", key id (8 bytes)]. A valid signature under the public key
in devices.json shows that the reading comes from that device and was not changed since.
"""


#: Tables and columns that records.json does not have, and why.
LEFT_OUT: Final = {
    "account.contact": "sealed; account.json has it in the clear",
    "reading.ciphertext": "sealed; readings.json has it in the clear",
    "reading_revision.ciphertext": "sealed; readings.json has it in the clear",
    "frame.ciphertext": "sealed; frames/ has it as it was signed",
    "letter.ciphertext": "sealed; the letter goes to the person, and a link in it is a secret",
    "ingest.digest": "keyed, of values that readings.json has: only a repetition is known by it",
    "invitation.code_hash": "hash of a secret that the person gave away themselves",
    "export_file": "this file and others of today",
    "credential": "secrets by which the person signs in, and the address in another form",
    "owner_key": "the keys: what they open is here in the clear",
    "token": "hashes of secrets; `tare account sessions` lists what is open",
}


def make_export(service: Service, account: Account) -> Path:
    """Writes the export into the folder `exports`; returns its path.

    It is registered first, so that an erasure finds it whatever happens in between. Raises
    `NotFoundError` when the account is being erased.
    """
    name = f"{secrets.token_hex(16)}.zip"
    row = {"name": name, "subject": account.subject, "created_s": service.now()}
    path = service.folder.exports / name
    with service.export_lock:
        _remove_old(service)
        try:
            service.writer.call(lambda c: c.execute(schema.export_file.insert().values(row)))
            members = _members(service, account)
        except (sa.exc.IntegrityError, KeyGoneError) as error:
            raise NotFoundError("this account was erased") from error
        write_private(path, _zip(members, service.now()), replace=False)
    return path


def remove_old(service: Service) -> None:
    """Removes exports that are older than a day, and files that nobody registered."""
    with service.export_lock:
        _remove_old(service)


def _remove_old(service: Service) -> None:
    table = schema.export_file
    now_s = service.now()
    service.writer.call(
        lambda c: c.execute(table.delete().where(table.c.created_s <= now_s - KEPT_S))
    )
    with service.database.reading() as connection:
        known = set(connection.execute(sa.select(table.c.name)).scalars())
    for path in service.folder.exports.iterdir():
        if path.name not in known:
            remove_durably(path)


def _members(service: Service, account: Account) -> dict[str, bytes]:
    readings = listing.list_readings(service.database, service.vault, account.subject)
    frames = _frames(service, account)
    names = {row: f"frames/{number:06d}.cose" for number, row in enumerate(frames, start=1)}
    revisions = changes.all_revisions(service, account)
    described = [
        listing.as_json(reading)
        | {
            "frame": names.get(reading.frame or b""),
            "before": [readings_operations.as_json(each) for each in revisions.get(reading.id, ())],
        }
        for reading in readings
    ]
    return {
        "README.txt": _README.encode(),
        "readings.json": _json(described),
        "readings.csv": listing.as_csv(readings).encode(),
        "readings.fhir.json": _json(fhir.bundle(readings)),
        "account.json": _json(describe_account(service, account)),
        "devices.json": _json(describe_devices(service, account)),
        "partners.json": _json(disclosures.describe(service, account.subject)),
        "records.json": _records(service, account),
        **{names[row]: signed for row, signed in frames.items()},
    }


def _records(service: Service, account: Account) -> bytes:
    """What the tables hold of the person, from the catalogue: no table can be forgotten."""
    # Trays are not theirs to see: whose readings lie there nobody knows.
    person = Person((account.id,), (account.subject,))
    tables = []
    with service.database.reading() as connection:
        for table, rows in catalogue.rows_of(connection, schema.metadata, person):
            columns = [each.name for each in table.columns if not is_left_out(each)]
            if columns:
                values = [[_plain(getattr(row, name)) for name in columns] for row in rows]
                record = {"table": table.name, "columns": columns, "rows": values}
                tables.append(json.dumps(record, ensure_ascii=False))
    return ("[\n" + ",\n".join(tables) + "\n]\n").encode()


def is_left_out(column: sa.Column[Any]) -> bool:
    """Whether a column is not in records.json: a number of ours for the person, or `LEFT_OUT`."""
    names = (column.table.name, f"{column.table.name}.{column.name}")
    return column.info["about"].link is Link.IS_PERSON or any(name in LEFT_OUT for name in names)


def _plain(value: Any) -> Any:
    return value.hex() if isinstance(value, bytes) else value


def _frames(service: Service, account: Account) -> dict[bytes, bytes]:
    """Row id -> signed message, in the order that they were stored."""
    table = schema.frame
    query = (
        sa.select(table.c.id, table.c.ciphertext)
        .where(table.c.owner == account.subject)
        .order_by(table.c.stored_s, sa.literal_column("rowid"))
    )
    with service.database.reading() as connection:
        rows = connection.execute(query).all()
    return {
        row.id: service.vault.decrypt(
            account.subject, Purpose.HEALTH, "frame", row.id, row.ciphertext
        )
        for row in rows
    }


def describe_account(service: Service, account: Account) -> dict[str, Any]:
    """Contact data, zone, and what was agreed to and when, as JSON. In the clear."""
    contact = accounts.contact(service, account)
    consent, terms = schema.consent, schema.terms_acceptance
    with service.database.reading() as connection:
        consents = connection.execute(
            sa.select(consent).where(consent.c.subject == account.subject)
        ).all()
        accepted = connection.execute(sa.select(terms).where(terms.c.account == account.id)).all()
    return {
        "email": contact.email,
        "name": contact.name,
        "time_zone": account.zone,
        "created_utc": _utc(account.created_s),
        "terms": [
            {
                "version": row.version,
                "sha256": row.text_hash.hex(),
                "accepted_utc": _utc(row.accepted_s),
            }
            for row in accepted
        ],
        "consents": [
            {
                "purpose": row.purpose,
                "version": row.version,
                "sha256": row.text_hash.hex(),
                "given_utc": _utc(row.given_s),
                "withdrawn_utc": _utc(row.withdrawn_s),
            }
            for row in consents
        ],
        "texts": {
            f"{text.document} {text.version}": text.text
            for text in map(agreements.current, (agreements.TERMS, agreements.HEALTH))
        },
    }


def describe_devices(service: Service, account: Account) -> list[dict[str, Any]]:
    """Devices that the person claimed, is known on, or has frames of."""
    device, claim, handle = schema.device, schema.claim, schema.person_handle
    involved = sa.union(
        sa.select(claim.c.device).where(claim.c.account == account.id),
        sa.select(handle.c.device).where(handle.c.subject == account.subject),
        sa.select(former_handle.c.device).where(former_handle.c.subject == account.subject),
        sa.select(schema.frame.c.device).where(schema.frame.c.owner == account.subject),
    )
    with service.database.reading() as connection:
        rows = connection.execute(sa.select(device).where(device.c.id.in_(involved))).all()
        claims = connection.execute(sa.select(claim).where(claim.c.account == account.id)).all()
    return [
        {
            "id": row.id,
            "model": row.model,
            "firmware": row.firmware,
            "public_key": {
                "curve": "P-256",
                "x": row.public_key[:32].hex(),
                "y": row.public_key[32:].hex(),
            },
            "claimed": [
                {"epoch": one.epoch, "from_utc": _utc(one.from_s), "until_utc": _utc(one.until_s)}
                for one in claims
                if one.device == row.id
            ],
        }
        for row in rows
    ]


def _zip(members: dict[str, bytes], now_s: int) -> bytes:
    manifest = {
        "made_utc": _utc(now_s),
        "sha256": {name: hashlib.sha256(data).hexdigest() for name, data in members.items()},
    }
    # A zip file knows no earlier date, but a small computer without a clock may think that it is.
    date = datetime.fromtimestamp(max(now_s, _FIRST_ZIP_DATE_S), UTC)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for name, data in (members | {"manifest.json": _json(manifest)}).items():
            entry = zipfile.ZipInfo(name, date.timetuple()[:6])
            entry.external_attr = 0o600 << 16
            archive.writestr(entry, data)
    return out.getvalue()


def _json(value: Any) -> bytes:
    return (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode()


def _utc(at_s: int | None) -> str | None:
    return None if at_s is None else zones.iso_text(at_s, 0)
