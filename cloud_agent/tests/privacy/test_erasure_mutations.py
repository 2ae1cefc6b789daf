"""An eraser that leaves out one store is found out, by itself and by a witness of another hand."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cloud_agent.mail import outgoing
from cloud_agent.mail.outgoing import Letter
from cloud_agent.privacy import catalogue, erasure
from cloud_agent.storage import schema
from cloud_agent.storage.annotations import Keep
from cloud_agent.tests.privacy import witness
from cloud_agent.tests.privacy.home import Home

Break = Callable[[Home, pytest.MonkeyPatch], None]


def _keys_stay(home: Home, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(home.service.vault.store, "destroy", lambda _owners: None)


def _rows_stay(_home: Home, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(catalogue, "erase_rows", lambda *_a, **_o: {})


def _one_table_stays(_home: Home, patch: pytest.MonkeyPatch) -> None:
    patch.setitem(schema.frame.info, "erasing", Keep("a table that somebody forgot"))
    patch.setitem(schema.reading.info, "erasing", Keep("a table that somebody forgot"))


def _free_pages_stay(home: Home, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(home.service.database, "compact", lambda: None)


def _files_stay(_home: Home, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(erasure, "remove_durably", lambda _path: None)


def _a_copy_somewhere(home: Home, _patch: pytest.MonkeyPatch) -> None:
    copy = home.root / "broker" / "queue.db"
    copy.write_bytes(b"a message that waits: " + home.ann.subject)


#: What is left out, and where it must be found then.
BROKEN: dict[str, tuple[Break, str]] = {
    "keys": (_keys_stay, "keys.db"),
    "rows": (_rows_stay, "tare.db"),
    "two tables": (_one_table_stays, "tare.db"),
    "free pages and the write-ahead log": (_free_pages_stay, "tare.db"),
    "exports": (_files_stay, "exports/"),
    "letters": (_files_stay, "mail/"),
    "a broker's queue": (_a_copy_somewhere, "broker/queue.db"),
}


@pytest.fixture
def lived_in(home: Home) -> Home:
    """With a letter that was sent, as a file."""
    service = home.service
    letter = Letter(home.ann.subject, "test", "ann.canary@example.org", "Hello", "Hello, Ann.")
    service.writer.call(lambda c: outgoing.place(c, service.vault, letter, service.now()))
    outgoing.send_due(service)
    return home


def erase(home: Home) -> Any:
    try:
        return erasure.erase(home.service, home.ann)
    except Exception as error:  # noqa: BLE001 - a broken eraser may end in any way but well
        return error


@pytest.mark.parametrize("what", BROKEN)
def test_what_is_left_out_is_found(
    lived_in: Home, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    damage, place = BROKEN[what]
    damage(lived_in, monkeypatch)
    report = erase(lived_in)
    state = getattr(report, "state", "failed")
    assert state == "failed", f"{what}: the eraser says that it is done"
    found = getattr(report, "found_after", {place: 1})
    assert [name for name in found if name.startswith(place)], found
    assert witness.found(lived_in.root, lived_in.patterns), "the witness sees it as well"


def test_the_control_nothing_is_found_where_nothing_was_left_out(lived_in: Home) -> None:
    report = erase(lived_in)
    assert report.state == "awaiting-devices"
    assert (report.found_after, report.missing_before) == ({}, [])
    assert witness.found(lived_in.root, lived_in.patterns) == {}


def test_what_is_looked_for_is_found_before_in_every_store(lived_in: Home) -> None:
    report = erase(lived_in)
    stores = {name.partition("/")[0].removesuffix("-wal") for name in report.found_before}
    assert stores >= {"tare.db", "keys.db", "exports", "mail"}


@pytest.mark.parametrize("folder", ["exports", "mail", "staging", "broker", "web", "."])
def test_no_folder_is_passed_over(home: Home, folder: str) -> None:
    """A stray file with the address is found wherever it lies."""
    path: Path = home.root / folder
    path.mkdir(exist_ok=True)
    (path / "stray.txt").write_text("ann.canary@example.org")
    report = erase(home)
    assert report.state == "failed"
    assert any(name.endswith("stray.txt") for name in report.found_after)
