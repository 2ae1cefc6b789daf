"""Erasing one account of many among many readings: how long until nobody can read them, how long
an arriving frame has to wait meanwhile, and how long the proof takes in the night.

Bounds as ratios in one run would say nothing here: the bounds are those of the product, in
milliseconds, and the run says whether this machine keeps them.
"""

from __future__ import annotations

import os
import secrets
import tempfile
import threading
import time
from pathlib import Path

from cloud_agent.accounts import accounts
from cloud_agent.accounts.accounts import Account, NewAccount
from cloud_agent.privacy import erasure
from cloud_agent.privacy.vault import Purpose
from cloud_agent.readings import listing, values
from cloud_agent.service import Service
from cloud_agent.storage import schema

# How many; TARE_BENCH_SMALL makes it a hundredth, to see that it runs.
ACCOUNTS = 1_000
READINGS = 1_000_000
KEY_MS, STALL_MS, PROOF_S = 100, 200, 60

_PASSWORD = "seven grey herons wade"  # noqa: S105 - of nobody
_NOW_S = 1_795_000_000
_BATCH = 5_000


def main() -> int:
    """Prints the figures; 1 when a bound was not kept."""
    part = 100 if os.environ.get("TARE_BENCH_SMALL") else 1
    with tempfile.TemporaryDirectory() as folder:
        service = Service.open(Path(folder) / "data", now=lambda: _NOW_S)
        try:
            return _run(service, ACCOUNTS // part, READINGS // part)
        finally:
            service.close()


def _run(service: Service, count: int, readings: int) -> int:
    people = _fill(service, count, readings // count)
    one, other = people[count // 2], people[0]
    size = service.database.size
    waits: list[float] = []
    reads: list[float] = []
    stop = threading.Event()
    threads = [
        threading.Thread(target=_ingest, args=(service, stop, waits)),
        threading.Thread(target=_read, args=(service, other, stop, reads)),
    ]
    for thread in threads:
        thread.start()
    destroyed = _timed_destroy(service)
    began = time.perf_counter()
    report = erasure.erase(service, one)
    erased_s = time.perf_counter() - began
    stop.set()
    for thread in threads:
        thread.join()
    began = time.perf_counter()
    if report.state == "running":
        service.database.compact()
        erasure.prove_compacted(service)
    proven_s = time.perf_counter() - began
    final = erasure.status(service, bytes.fromhex(report.request))
    stall_ms, key_ms = 1_000 * max(waits), 1_000 * destroyed[0]
    print(f"{count} accounts, {readings} readings, {size / 2**20:.0f} MiB")
    print(f"key destroyed in {key_ms:.0f} ms (bound {KEY_MS})")
    print(f"erased, unreadable and looked through in {erased_s:.1f} s")
    print(
        f"a stored frame waited at most {stall_ms:.0f} ms (bound {STALL_MS}), {len(waits)} frames"
    )
    print(f"another person read at most {1_000 * max(reads):.0f} ms, {len(reads)} times")
    print(f"compacted and proved in {proven_s:.1f} s (bound {PROOF_S}): {final.state}")
    kept = key_ms <= KEY_MS and stall_ms <= STALL_MS and proven_s <= PROOF_S
    return 0 if kept and final.state == "proven" and not final.found_after else 1


def _fill(service: Service, count: int, each: int) -> list[Account]:
    """Accounts through their door, readings by rows: a million frames would take hours."""
    people = []
    for number in range(count):
        subject = _account(service, number)
        people.append(subject)
        rows = [_row(service, subject, change) for change in range(1, each + 1)]
        for start in range(0, each, _BATCH):
            _insert(service, rows[start : start + _BATCH])
    return people


def _insert(service: Service, rows: list[dict[str, object]]) -> None:
    service.writer.call(lambda c: c.execute(schema.reading.insert(), rows))


def _account(service: Service, number: int) -> Account:
    if number < 2:
        return accounts.create(service, _new(number))
    return _without_password(service, number)


def _new(number: int) -> NewAccount:
    return NewAccount(
        email=f"person{number}@example.org",
        name=f"Person Number {number}",
        password=_PASSWORD,
        zone="Europe/Paris",
        terms_version="1",
        health_consent="1",
        of_age=True,
    )


def _without_password(service: Service, number: int) -> Account:
    """An account like the others, without the half second that a password takes."""
    from unittest.mock import patch  # noqa: PLC0415 - only here

    none = f"$argon2id$of nobody {number}"
    with patch("cloud_agent.accounts.passwords.hash_password", return_value=none):
        return accounts.create(service, _new(number))


def _row(service: Service, person: Account, change: int) -> dict[str, object]:
    row = secrets.token_bytes(16)
    taken_s = _NOW_S - 60 * change
    plaintext = values.encode(33, [70_000 + change % 5_000])
    return {
        "id": row,
        "owner": person.subject,
        "source": "manual",
        "status": "final",
        "attribution": "sure",
        "change": change,
        "taken_s": taken_s,
        "taken_quality": "wall",
        "taken_uncertainty_s": 0,
        "offset_s": 3_600,
        "stored_s": taken_s,
        "ciphertext": service.vault.encrypt(
            person.subject, Purpose.HEALTH, "reading", row, plaintext
        ),
    }


def _ingest(service: Service, stop: threading.Event, waits: list[float]) -> None:
    """What a frame costs the writer: a small transaction, again and again."""
    table = schema.refused_frame
    row = {"reason": "unknown-key", "topic": "bench", "length": 100, "received_s": _NOW_S}
    while not stop.is_set():
        began = time.perf_counter()
        service.writer.call(lambda c: c.execute(table.insert().values(row)))
        waits.append(time.perf_counter() - began)
        time.sleep(0.005)


def _read(service: Service, person: Account, stop: threading.Event, took: list[float]) -> None:
    while not stop.is_set():
        began = time.perf_counter()
        listing.list_readings(service.database, service.vault, person.subject, limit=20)
        took.append(time.perf_counter() - began)
        time.sleep(0.02)


def _timed_destroy(service: Service) -> list[float]:
    """Wraps the destruction of keys, to be told how long it took."""
    took: list[float] = []
    real = service.vault.destroy

    def destroy(owners: object) -> None:
        began = time.perf_counter()
        real(owners)  # type: ignore[arg-type] # handed through
        took.append(time.perf_counter() - began)

    service.vault.destroy = destroy  # type: ignore[method-assign] # for this run
    return took
