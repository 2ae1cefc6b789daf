"""Requests through their doors: by oneself, by a link, by post; each answered and proven."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from cloud_agent import housekeeping
from cloud_agent.accounts import accounts
from cloud_agent.accounts.accounts import Account
from cloud_agent.errors import NotFoundError, RefusedError, TareError, UsageError
from cloud_agent.privacy import erasure
from cloud_agent.privacy.requests import acts, post, record, work
from cloud_agent.privacy.requests.record import Note
from cloud_agent.privacy.requests.states import Kind, State
from cloud_agent.storage.requests_schema import privacy_request
from cloud_agent.tests.household import NOW_S, PASSWORD, Household, Scale
from cloud_agent.tests.mail.postbox import in_folder, link_in
from cloud_agent.tests.requests.desk import ANN, DAY_S, ask, by_mail, state
from tools import verify_receipt


class TestByOneself:
    @pytest.mark.parametrize("kind", ["access", "portability", "restriction", "objection"])
    def test_it_is_done_at_once_with_a_receipt(
        self, household: Household, ann: Account, scale: Scale, kind: str, tmp_path: Path
    ) -> None:
        del scale
        answer = ask(household, "request.open", kind=kind, **ANN)
        assert answer["state"] == "fulfilled"
        (tmp_path / "receipt.json").write_text(answer["document"])
        command = [str(tmp_path / "receipt.json"), "--email", ANN["email"], "--public-key"]
        key = household.service.receipts.public_key.hex()
        assert verify_receipt.main([*command, key]) == 0
        mine = ask(household, "request.mine", **ANN)["requests"]
        assert [each["request"] for each in mine] == [answer["request"]]
        [letter] = in_folder(household.service.folder.mail)
        assert letter["Subject"] == "Your request was carried out"
        assert [part.get_filename() for part in letter.iter_attachments()] == ["receipt.json"]
        assert accounts.by_id(household.service.database, ann.id) == ann

    def test_readings_only(self, household: Household, ann: Account, scale: Scale) -> None:
        answer = ask(household, "account.erase", only_readings=True, **ANN)
        assert answer["state"] == "awaiting-devices"
        request = bytes.fromhex(answer["request"])
        assert state(household, request) is State.VERIFYING
        household.confirm_orders(scale)
        housekeeping.keep_house(household.service)
        assert state(household, request) is State.FULFILLED
        assert accounts.by_id(household.service.database, ann.id) == ann

    def test_withdrawing_the_consent_erases_what_rested_on_it(
        self, household: Household, ann: Account, scale: Scale
    ) -> None:
        answer = ask(household, "request.open", kind="consent-withdrawal", **ANN)
        assert [step["state"] for step in answer["steps"]] == ["done", "done"]
        with household.service.database.reading() as connection:
            assert not accounts.has_health_consent(connection, ann.subject)
        assert ask(household, "readings.list", **ANN)["readings"] == []
        handle = scale.handle + 1
        handled = household.deliver(scale, household.weigh(scale, [72_500], handle=handle))
        assert handled.dropped is not None

    def test_everything(self, household: Household, scale: Scale, tmp_path: Path) -> None:
        answer = ask(household, "account.erase", **ANN)
        request = bytes.fromhex(answer["request"])
        assert answer["document"] is None, "the device has not answered yet"
        with pytest.raises(NotFoundError):
            ask(household, "request.receipt", request=answer["request"])
        household.confirm_orders(scale)
        arguments = {"request": answer["request"], "nonce": answer["receipt_code"]}
        document = ask(household, "request.receipt", **arguments)["document"]
        (tmp_path / "receipt.json").write_text(document)
        command = [str(tmp_path / "receipt.json"), "--email", ANN["email"]]
        command += ["--public-key", household.service.receipts.public_key.hex(), "--log"]
        assert verify_receipt.main([*command, str(household.service.folder.receipts)]) == 0
        receipt = json.loads(document)["receipt"]
        assert receipt["found_after"] == {}
        assert receipt["rows_erased"]["reading"] == 2
        found = record.get(household.service, request)
        assert (found.state, found.subject) == (State.FULFILLED, None)
        assert record.note_of(household.service, request) == Note()
        assert in_folder(household.service.folder.mail) == [], "it would be the last trace"

    def test_the_receipt_and_the_record_name_nobody(
        self, household: Household, ann: Account, scale: Scale
    ) -> None:
        ask(household, "account.erase", **ANN)
        household.confirm_orders(scale)
        housekeeping.keep_house(household.service)
        household.service.database.compact()
        for path in household.service.folder.root.rglob("*"):
            if path.is_file():
                content = path.read_bytes()
                for trace in (b"ann@example.org", b"Ann Archer", ann.subject, ann.id):
                    assert trace not in content, path.name

    def test_a_second_one_is_the_first(
        self, household: Household, ann: Account, scale: Scale
    ) -> None:
        del ann, scale
        first = ask(household, "account.erase", only_readings=True, **ANN)
        second = ask(household, "account.erase", only_readings=True, **ANN)
        assert second["request"] == first["request"]
        states = [each["state"] for each in ask(household, "request.list", all=True)["requests"]]
        assert sorted(states) == ["duplicate", "verifying"]

    def test_what_cannot_be_undone_asks_for_the_password(
        self, household: Household, ann: Account
    ) -> None:
        del ann
        session = ask(household, "account.sign-in", **ANN)["session"]
        household.clock.now_s += 3_600
        with pytest.raises(RefusedError, match="password again"):
            ask(household, "account.erase", session=session)
        assert ask(household, "request.open", session=session, kind="access")["document"]


class TestByLink:
    def test_nothing_happens_before_it_is_confirmed(
        self, household: Household, ann: Account, scale: Scale
    ) -> None:
        del scale
        request = by_mail(household, ann, Kind.ERASURE)
        post.ask_to_confirm(household.service, record.get(household.service, request))
        [letter] = in_folder(household.service.folder.mail)
        assert letter["To"] == "ann@example.org"
        code = link_in(letter)
        for _ in range(3):  # programs open links too
            shown = ask(household, "request.show", code=code)
            assert (shown["state"], shown["kind"]) == ("identity-unverified", "erasure")
        with pytest.raises(RefusedError, match="not proven"):
            work.carry_out(household.service, request)
        assert accounts.by_id(household.service.database, ann.id) == ann
        answer = ask(household, "request.confirm", code=code)
        assert answer["state"] == "verifying"
        assert accounts.by_id(household.service.database, ann.id) is None
        with pytest.raises(RefusedError):
            ask(household, "request.confirm", code=code)

    def test_a_link_is_good_for_a_day_and_for_one_request(
        self, household: Household, ann: Account
    ) -> None:
        request = by_mail(household, ann, Kind.ERASURE)
        post.ask_to_confirm(household.service, record.get(household.service, request))
        [letter] = in_folder(household.service.folder.mail)
        household.clock.now_s += DAY_S
        with pytest.raises(RefusedError, match="too old"):
            ask(household, "request.confirm", code=link_in(letter))
        assert state(household, request) is State.UNVERIFIED

    def test_somebody_else_cannot_stand_in_the_way(
        self, household: Household, ann: Account
    ) -> None:
        for number in range(20):
            by_mail(household, ann, Kind.ACCESS, source=b"%d" % number)
        assert ask(household, "request.open", kind="access", **ANN)["state"] == "fulfilled"

    def test_the_same_letter_twice_is_one_request(self, household: Household, ann: Account) -> None:
        assert by_mail(household, ann, Kind.ACCESS) == by_mail(household, ann, Kind.ACCESS)

    def test_one_that_nobody_confirms_ends(self, household: Household, ann: Account) -> None:
        request = by_mail(household, ann, Kind.ERASURE)
        household.clock.now_s += 30 * DAY_S
        housekeeping.keep_house(household.service)
        assert state(household, request) is State.EXPIRED


class TestByPost:
    def enter(self, household: Household, **more: str) -> dict[str, Any]:
        arguments = {"kind": "erasure", "email": "ann@example.org", "received": "2026-11-10"}
        return ask(household, "request.enter", **(arguments | more))

    def test_the_time_runs_from_the_day_the_letter_came(
        self, household: Household, ann: Account
    ) -> None:
        del ann
        entered = self.enter(household)
        assert entered["due"] == "2026-12-10"
        assert entered["state"] == "identity-unverified"

    def test_the_code_comes_back(self, household: Household, ann: Account) -> None:
        entered = self.enter(household, scan="folder 7, page 3")
        lines = [line.strip() for line in entered["letter"].splitlines()]
        [code] = [line for line in lines if len(line) == 43 and " " not in line]
        household.clock.now_s += 20 * DAY_S
        answer = ask(household, "request.confirm", code=code)
        assert answer["verified_by"] == "code"
        assert accounts.by_id(household.service.database, ann.id) is None

    def test_a_scan_is_entered_once(self, household: Household, ann: Account) -> None:
        del ann
        first = self.enter(household, scan="folder 7, page 3")
        second = self.enter(household, scan="folder 7, page 3")
        assert (second["request"], second["new"]) == (first["request"], False)

    def test_a_registered_letter_verifies(self, household: Household, ann: Account) -> None:
        entered = self.enter(household, kind="restriction")
        answer = ask(household, "request.verify", request=entered["request"])
        assert (answer["state"], answer["verified_by"]) == ("fulfilled", "registered-letter")
        with household.service.database.reading() as connection:
            assert record.is_restricted(connection, ann.subject)

    def test_what_is_unclear_is_read_and_assigned_while_the_time_runs(
        self, household: Household, ann: Account
    ) -> None:
        del ann
        entered = self.enter(household, kind="unclear", scan="a letter")
        assert "letter" not in entered
        read = ask(household, "request.read", request=entered["request"])
        assert read["written"] == "a letter"
        assigned = ask(
            household,
            "request.assign",
            request=entered["request"],
            kind="access",
            email="ann@example.org",
        )
        assert (assigned["kind"], assigned["due"]) == ("access", "2026-12-10")
        assert assigned["letter"]

    def test_a_correction(self, household: Household, ann: Account) -> None:
        entered = self.enter(household, kind="rectification")
        ask(household, "request.verify", request=entered["request"])
        answer = ask(household, "request.rectify", request=entered["request"], name="Anne Archer")
        assert answer["state"] == "fulfilled"
        assert accounts.contact(household.service, ann).name == "Anne Archer"

    def test_an_address_without_account(self, household: Household) -> None:
        entered = self.enter(household, email="nobody@example.org")
        assert (entered["known"], "letter" in entered) == (False, False)
        refused = ask(household, "request.refuse", request=entered["request"], reason="no-match")
        assert (refused["state"], refused["reason"]) == ("denied", "no-match")
        [letter] = in_folder(household.service.folder.mail)
        assert letter["To"] == "nobody@example.org"
        assert "CNIL" in letter.get_content()

    @pytest.mark.parametrize("day", ["2026-13-01", "tomorrow", "2999-01-01"])
    def test_a_day_that_is_none(self, household: Household, day: str) -> None:
        with pytest.raises(UsageError):
            self.enter(household, received=day)


class TestTime:
    def test_one_extension_with_a_reason_in_the_first_month(
        self, household: Household, ann: Account
    ) -> None:
        request = by_mail(household, ann, Kind.RECTIFICATION).hex()
        with pytest.raises(UsageError):
            ask(household, "request.extend", request=request, reason="")
        with pytest.raises(UsageError):
            ask(household, "request.extend", request=request, reason="no time")
        before = ask(household, "request.read", request=request)["due"]
        after = ask(household, "request.extend", request=request, reason="complexity")["due"]
        assert after > before
        [letter] = in_folder(household.service.folder.mail)
        assert letter["Subject"] == "Your request takes longer"
        with pytest.raises(RefusedError, match="already"):
            ask(household, "request.extend", request=request, reason="number")

    def test_too_late_for_an_extension(self, household: Household, ann: Account) -> None:
        request = by_mail(household, ann, Kind.RECTIFICATION).hex()
        household.clock.now_s += 40 * DAY_S
        with pytest.raises(RefusedError, match="first month is over"):
            ask(household, "request.extend", request=request, reason="complexity")

    def test_it_stands_still_while_more_is_asked_for(
        self, household: Household, ann: Account
    ) -> None:
        request = by_mail(household, ann, Kind.RECTIFICATION).hex()
        before = ask(household, "request.read", request=request)["due"]
        paused = ask(household, "request.pause", request=request, reason="identity")
        assert paused["state"] == "need-user-verification"
        household.clock.now_s += 7 * DAY_S
        resumed = ask(household, "request.resume", request=request)
        assert resumed["state"] == "identity-unverified"
        assert resumed["due"] > before

    def test_a_refusal_ends_it_and_needs_a_reason_of_the_list(
        self, household: Household, ann: Account
    ) -> None:
        request = by_mail(household, ann, Kind.ACCESS).hex()
        with pytest.raises(UsageError, match="no-match"):
            ask(household, "request.refuse", request=request, reason="because")
        assert ask(household, "request.refuse", request=request, reason="identity")["due"] is None
        with pytest.raises(RefusedError, match="closed"):
            ask(household, "request.extend", request=request, reason="complexity")

    def test_the_person_takes_it_back(self, household: Household, ann: Account) -> None:
        request = by_mail(household, ann, Kind.ERASURE)
        household.open_account("bob@example.org")
        bob = {"email": "bob@example.org", "password": PASSWORD}
        with pytest.raises(NotFoundError):
            ask(household, "request.revoke", request=request.hex(), **bob)
        assert ask(household, "request.revoke", request=request.hex(), **ANN)["state"] == "revoked"
        with pytest.raises(RefusedError):
            acts.verify(household.service, request, "link")

    def test_the_record_is_kept_five_years(self, household: Household, ann: Account) -> None:
        del ann
        ask(household, "request.open", kind="access", **ANN)
        household.clock.now_s += 5 * 365 * DAY_S
        housekeeping.keep_house(household.service)
        assert len(ask(household, "request.list", all=True)["requests"]) == 1
        household.clock.now_s += 10 * DAY_S
        housekeeping.keep_house(household.service)
        assert ask(household, "request.list", all=True)["requests"] == []


class TestTheDatabase:
    """What no page may leave out is asked for below all pages."""

    @pytest.mark.parametrize(
        "values",
        [
            {"refused_s": NOW_S},
            {"refused_s": NOW_S, "reason_code": "because"},
            {"reason_code": "identity"},
            {"extended_s": NOW_S},
            {"extended_s": NOW_S, "extension_reason": ""},
            {"verified_s": NOW_S},
            {"verified_s": NOW_S, "verified_by": "a feeling"},
            {"kind": "erase"},
        ],
    )
    def test_refuses(self, household: Household, ann: Account, values: dict[str, Any]) -> None:
        by_mail(household, ann, Kind.ACCESS)
        with pytest.raises(sa.exc.IntegrityError):
            household.service.writer.call(
                lambda c: c.execute(privacy_request.update().values(values))
            )


class TestFailures:
    def test_a_step_that_fails_is_seen_and_tried_again(
        self, household: Household, ann: Account, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        del ann

        def fail(*_arguments: object) -> None:
            raise TareError("the disk is full")

        with monkeypatch.context() as broken:
            broken.setattr("cloud_agent.privacy.export.make_export", fail)
            with pytest.raises(TareError, match="disk is full"):
                ask(household, "request.open", kind="access", **ANN)
        [found] = ask(household, "request.mine", **ANN)["requests"]
        assert found["state"] == "error"
        assert found["steps"] == [
            {"action": "export", "state": "failed", "cause": "the disk is full"}
        ]
        housekeeping.keep_house(household.service)
        assert state(household, bytes.fromhex(found["request"])) is State.FULFILLED

    def test_an_erasure_that_finds_something_is_not_fulfilled(
        self, household: Household, ann: Account
    ) -> None:
        del ann
        stray = household.service.folder.root / "stray"
        stray.write_text("ann@example.org")
        answer = ask(household, "account.erase", **ANN)
        request = bytes.fromhex(answer["request"])
        assert answer["state"] == "failed"
        assert state(household, request) is State.ERROR
        stray.unlink()
        erasure.status(household.service, request)
        housekeeping.keep_house(household.service)
        assert state(household, request) is State.FULFILLED
