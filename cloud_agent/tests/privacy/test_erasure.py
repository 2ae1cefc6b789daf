"""An erased person is nowhere any more: not in a row, a file, a device, nor after a restore;
and everybody else is as before.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
import sqlalchemy as sa

from cloud_agent.accounts import accounts
from cloud_agent.errors import LedgerError, NotFoundError, RefusedError, TareError
from cloud_agent.privacy import erasure, plan
from cloud_agent.storage import schema
from cloud_agent.tests.household import NOW_S, PASSWORD, Household, Scale
from cloud_agent.tests.privacy import witness
from cloud_agent.tests.privacy.home import Home, assert_gone
from protocol import answer, cbor, command, cose


def test_every_pattern_is_there_before_and_none_after(home: Home) -> None:
    assert witness.found(home.root, home.patterns).keys() == home.patterns.keys()
    assert len(home.patterns) > 40
    report = home.erase()
    assert_gone(home.root, home.patterns)
    assert report.missing_before == []
    assert {"keys.db"} <= report.found_before.keys()
    assert any(name.startswith("exports/") for name in report.found_before)
    assert (report.found_after, report.rows_after) == ({}, {})
    assert report.compacted_s == NOW_S


def test_others_are_untouched(home: Home) -> None:
    before = home.values(home.bob)
    home.erase()
    assert home.values(home.bob) == before
    assert len(before) == 12
    account = accounts.authenticate(home.service, "bob@example.org", PASSWORD)
    assert account == home.bob
    assert accounts.contact(home.service, account).name == "Bob Baker Junior"


def test_the_account_is_gone(home: Home) -> None:
    home.erase()
    with pytest.raises(RefusedError):
        accounts.authenticate(home.service, "ann.canary@example.org", PASSWORD)
    assert accounts.by_id(home.service.database, home.ann.id) is None
    assert home.values(home.ann) == []


def test_the_same_person_may_come_back_as_somebody_new(home: Home) -> None:
    home.erase()
    again = home.household.open_account("ann.canary@example.org", "Ann Canary Archer")
    assert again.subject != home.ann.subject
    assert home.values(again) == []


def test_late_frames_are_dropped_for_good(home: Home) -> None:
    late = home.household.weigh(home.scale, [72_900])
    tray = home.household.weigh(home.scale, [14_100], handle=0)
    home.erase()
    for signed in (late, tray):
        handled = home.household.deliver(home.scale, signed)
        assert dropped(handled.outgoing[0].payload) == [answer.DROP_ERASED]
    assert stored_readings(home, home.scale) == 0
    assert_gone(home.root, home.patterns)


def dropped(sealed_ack: bytes) -> list[int]:
    message = cose.parse_mac0(sealed_ack)
    ack = answer.Ack.parse(cbor.decode(message.payload))
    return [reason for _, reason in ack.refusals]


def stored_readings(home: Home, scale: Scale) -> int:
    table = schema.reading
    query = sa.select(sa.func.count()).select_from(table).where(table.c.device == scale.id)
    with home.service.database.reading() as connection:
        count: int = connection.execute(query).scalar_one()
    return count


class TestDevices:
    def test_the_device_is_ordered_to_erase_everything(self, home: Home) -> None:
        told: list[str] = []
        home.service.outbox_listeners.append(told.append)
        report = home.erase()
        assert report.state == "awaiting-devices"
        assert report.devices == {home.scale.id: "waiting"}
        outbox = schema.command_outbox
        with home.service.database.reading() as connection:
            [order] = connection.execute(
                sa.select(outbox).where(outbox.c.erasure.is_not(None))
            ).all()
        assert (order.device, order.verb, cbor.decode(order.arguments)) == (
            home.scale.id,
            command.VERB_ERASE,
            [],
        )

    def test_its_receipt_closes_the_erasure(self, home: Home) -> None:
        request = bytes.fromhex(home.erase().request)
        assert erasure.status(home.service, request).state == "awaiting-devices"
        home.household.confirm_orders(home.scale)
        report = erasure.status(home.service, request)
        assert (report.state, report.devices) == ("proven", {home.scale.id: "done"})
        assert report.closed_s == NOW_S
        # The plan knew everything: it goes last, with its key.
        assert list(home.service.folder.erasures.iterdir()) == []
        assert request not in home.service.vault.store.owners()

    def test_a_flash_image_that_still_holds_a_record_is_noticed(
        self, home: Home, tmp_path: Path
    ) -> None:
        flash = tmp_path / "flash.img"
        last = home.scale.sent[-2]  # the last frame of Ann, as the journal holds its record
        envelope = cose.parse_sign1(last)
        payload = cbor.decode(envelope.payload)
        assert isinstance(payload, list)
        flash.write_bytes(b"\xff" * 5000 + cbor.encode(payload[6][0]) + b"\xff" * 5000)
        report = home.erase(flash)
        assert report.found_before["given file 1"] == 1
        home.household.confirm_orders(home.scale)
        request = bytes.fromhex(report.request)
        dirty = erasure.status(home.service, request)
        assert dirty.state == "failed"
        assert dirty.found_after == {"given file 1": 1}
        flash.write_bytes(b"\xff" * 10_000)
        mended = erasure.status(home.service, request)
        assert (mended.state, mended.scanned_last) == ("proven", ["given file 1"])

    def test_a_clean_flash_image_is_named_in_the_receipt(self, home: Home, tmp_path: Path) -> None:
        flash = tmp_path / "flash.img"
        flash.write_bytes(b"\xff" * 10_000)
        report = home.erase()
        home.household.confirm_orders(home.scale)
        closed = erasure.status(home.service, bytes.fromhex(report.request), given=(flash,))
        assert (closed.state, closed.scanned_last) == ("proven", ["given file 1"])

    def test_a_dirty_one_is_not_forgotten(self, home: Home, tmp_path: Path) -> None:
        flash = tmp_path / "flash.img"
        flash.write_bytes(b"of ann.canary@example.org")
        request = bytes.fromhex(home.erase().request)
        home.household.confirm_orders(home.scale)
        assert erasure.status(home.service, request, given=(flash,)).state == "failed"
        assert erasure.status(home.service, request).state == "failed"

    def test_one_that_is_not_there_is_not_named_as_scanned(
        self, home: Home, tmp_path: Path
    ) -> None:
        gone = tmp_path / "gone.img"
        gone.write_bytes(b"\xff")
        request = bytes.fromhex(home.erase(gone).request)
        gone.unlink()
        home.household.confirm_orders(home.scale)
        assert erasure.status(home.service, request).scanned_last == []

    def test_a_device_that_was_sold_is_left_to_its_new_owner(self, home: Home) -> None:
        claim = schema.claim
        home.service.writer.call(
            lambda c: c.execute(
                claim.update().where(claim.c.device == home.scale.id).values(until_s=NOW_S)
            )
        )
        home.household.claim(home.bob, home.scale)
        home.household.confirm_orders(home.scale)
        report = home.erase()
        assert report.devices == {}
        assert report.state == "proven"
        home.household.deliver(home.scale, home.household.weigh(home.scale, [81_500]))
        assert (81_500,) in home.values(home.bob)

    def test_who_only_has_a_handle_on_anothers_device_takes_only_that(self, home: Home) -> None:
        handle = schema.person_handle
        home.service.writer.call(
            lambda c: c.execute(
                handle.insert().values(
                    device=home.bobs.id, epoch=1, handle=2, subject=home.ann.subject, slot=2
                )
            )
        )
        home.household.deliver(home.bobs, home.household.weigh(home.bobs, [72_321], handle=2))
        assert (72_321,) in home.values(home.ann)
        report = home.erase()
        assert report.devices.keys() == {home.scale.id, home.bobs.id}
        outbox = schema.command_outbox
        where = (outbox.c.device == home.bobs.id, outbox.c.erasure.is_not(None))
        with home.service.database.reading() as connection:
            [order] = connection.execute(sa.select(outbox.c.arguments).where(*where)).all()
        assert cbor.decode(order.arguments) == [2]
        late = home.household.weigh(home.bobs, [72_400], handle=2)
        handled = home.household.deliver(home.bobs, late)
        assert dropped(handled.outgoing[0].payload) == [answer.DROP_ERASED]
        home.household.deliver(home.bobs, home.household.weigh(home.bobs, [81_700]))
        assert (81_700,) in home.values(home.bob)

    def test_one_that_stays_away_does_not_keep_the_scan_set_for_ever(self, home: Home) -> None:
        request = bytes.fromhex(home.erase().request)
        home.household.clock.now_s += 31 * 86_400
        erasure.carry_on(home.service)
        assert erasure.status(home.service, request).state == "unconfirmed"
        assert list(home.service.folder.erasures.iterdir()) == []

    def test_confirmed_ones_are_closed_without_asking(self, home: Home) -> None:
        request = bytes.fromhex(home.erase().request)
        home.household.confirm_orders(home.scale)
        erasure.carry_on(home.service)
        with home.service.database.reading() as connection:
            state = connection.execute(sa.select(schema.erasure.c.state)).scalar_one()
        assert state == "proven"
        assert plan.path_of(home.service, request).exists() is False


def test_the_plan_on_disk_is_sealed(home: Home) -> None:
    home.erase()
    [sealed] = home.service.folder.erasures.iterdir()
    assert_gone(home.root, home.patterns)
    assert sealed.stat().st_size > 1000


def test_a_missing_positive_control_is_reported(home: Home) -> None:
    # Someone else removed the export's content: what was to be found there is not.
    for path in home.service.folder.exports.iterdir():
        path.write_bytes(b"nothing of Ann")
    report = home.erase()
    assert sorted(report.missing_before) == ["e-mail address", "name"]


def test_what_is_left_somewhere_fails_the_proof(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The proof can fail: a step that is left out is seen."""
    monkeypatch.setattr(type(home.service.database), "compact", lambda _: None)
    report = home.erase()
    assert report.state == "failed"
    assert report.compacted_s is None
    assert any(name.startswith("tare.db") for name in report.found_after)
    monkeypatch.undo()
    mended = erasure.status(home.service, bytes.fromhex(report.request))
    assert mended.state == "awaiting-devices"
    assert mended.found_after == {}
    assert_gone(home.root, home.patterns)


def test_a_file_with_the_address_that_nobody_knew_of_is_found(home: Home) -> None:
    notes = home.root / "broker" / "forgotten.log"
    notes.write_bytes(b"connect from ann.canary@example.org\n")
    report = home.erase()
    assert report.state == "failed"
    assert report.found_after == {"broker/forgotten.log": 1}


def test_when_it_cannot_begin_nothing_has_happened(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: object) -> None:
        raise LedgerError("the ledger cannot be written: no space left on device")

    monkeypatch.setattr(home.service.ledger, "append", full)
    with pytest.raises(LedgerError):
        home.erase()
    monkeypatch.undo()
    assert accounts.authenticate(home.service, "ann.canary@example.org", PASSWORD) == home.ann
    assert len(home.values(home.ann)) == 12
    assert list(home.service.folder.erasures.iterdir()) == []
    assert home.erase().state == "awaiting-devices"
    assert_gone(home.root, home.patterns)


def test_an_unknown_number_is_not_found(home: Home) -> None:
    for text in ("", "zz", "00" * 16, "00" * 15):
        with pytest.raises(NotFoundError):
            erasure.status(home.service, erasure.parse_request(text))


def test_an_open_foreign_reader_delays_compaction_but_not_unreadability(home: Home) -> None:
    foreign = sqlite3.connect(home.root / "tare.db", isolation_level=None)
    foreign.execute("BEGIN")
    foreign.execute("SELECT count(*) FROM reading").fetchone()
    with pytest.raises(TareError):
        home.erase()
    assert home.service.vault.store.keys_of(home.ann.subject) == []
    foreign.close()
    [request] = home.service.ledger.unfinished()
    report = erasure.status(home.service, bytes.fromhex(request))
    assert report.state == "awaiting-devices"
    assert_gone(home.root, home.patterns)


def test_without_devices_the_plan_is_destroyed_at_once(household: Household) -> None:
    """The plan holds what is looked for: the last trace of the person, under the last key."""
    ann = household.open_account("ann@example.org", "Ann Canary Archer")
    report = erasure.erase(household.service, ann)
    assert (report.state, report.closed_s) == ("proven", household.clock())
    assert list(household.service.folder.erasures.iterdir()) == []
    assert household.service.vault.store.owners() == set()
