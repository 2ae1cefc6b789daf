"""Requests that somebody else, an accident or an odd name stands in the way of."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from cloud_agent import housekeeping
from cloud_agent.accounts import accounts
from cloud_agent.accounts.accounts import Account
from cloud_agent.errors import NotFoundError, RefusedError, UsageError
from cloud_agent.privacy import export
from cloud_agent.privacy.requests import acts, intake, record, work
from cloud_agent.privacy.requests.acts import NewRequest
from cloud_agent.privacy.requests.record import Note
from cloud_agent.privacy.requests.states import Channel, Kind, State
from cloud_agent.storage.requests_schema import request_act, request_note
from cloud_agent.tests.household import PASSWORD, Household, Scale
from cloud_agent.tests.mail.postbox import in_folder, link_in
from cloud_agent.tests.requests.desk import ANN, DAY_S, ask, by_mail, state

BOB = {"email": "bob@example.org", "password": PASSWORD}


@pytest.fixture
def bob(household: Household) -> Account:
    return household.open_account("bob@example.org", "Bob Baker")


def write(household: Household, sender: str, text: str) -> bytes:
    """A letter comes by mail; the request that it opens."""
    raw = f"From: {sender}\nSubject: x\nMessage-ID: <{hash(text)}@x>\n\n{text}\n".encode()
    request = intake.receive(household.service, raw)
    assert request is not None
    return request


def notes(household: Household) -> int:
    with household.service.database.reading() as connection:
        query = sa.select(sa.func.count()).select_from(request_note)
        return int(connection.execute(query).scalar_one())


class TestOfSomebodyElse:
    def test_a_link_from_before_it_was_assigned_confirms_nothing(
        self, household: Household, ann: Account, bob: Account
    ) -> None:
        """Else Mallory, by a letter about Bob, has Bob erased."""
        del ann
        request = write(household, "ann@example.org", "Please delete my account.")
        [letter] = in_folder(household.service.folder.mail)
        wanted = {"request": request.hex(), "kind": "erasure", "email": BOB["email"]}
        ask(household, "request.assign", **wanted)
        for operation in ("request.show", "request.confirm"):
            with pytest.raises(RefusedError, match="another request"):
                ask(household, operation, code=link_in(letter))
        assert accounts.by_id(household.service.database, bob.id) == bob

    def test_a_link_confirms_what_it_was_sent_for(self, household: Household, ann: Account) -> None:
        request = write(household, "ann@example.org", "Send me a copy of my data.")
        [letter] = in_folder(household.service.folder.mail)
        wanted = {"request": request.hex(), "kind": "erasure", "email": ANN["email"]}
        ask(household, "request.assign", **wanted)
        with pytest.raises(RefusedError, match="another request"):
            ask(household, "request.confirm", code=link_in(letter))
        assert accounts.by_id(household.service.database, ann.id) == ann

    def test_no_clerk_verifies_what_came_by_mail(self, household: Household, ann: Account) -> None:
        request = by_mail(household, ann, Kind.ERASURE)
        with pytest.raises(RefusedError, match="by post"):
            ask(household, "request.verify", request=request.hex())
        assert accounts.by_id(household.service.database, ann.id) == ann

    def test_which_operator_did_what_is_written_down(
        self, household: Household, ann: Account
    ) -> None:
        del ann
        letter = {"kind": "rectification", "email": ANN["email"], "received": "2026-11-10"}
        request = ask(household, "request.enter", **letter)["request"]
        ask(household, "request.verify", request=request)
        ask(household, "request.rectify", request=request, name="Anne")
        with household.service.database.reading() as connection:
            rows = connection.execute(sa.select(request_act.c.operator, request_act.c.act)).all()
        assert [row.act for row in rows] == ["verified", "rectified"]
        assert all(row.operator for row in rows)

    def test_another_who_is_called_like_the_address(
        self, household: Household, ann: Account, bob: Account
    ) -> None:
        """It is in their exports and letters: the proof of the erasure does not hang on them."""
        del ann
        ask(household, "account.change", name="ann@example.org", **BOB)
        export.make_export(household.service, bob)
        answer = ask(household, "account.erase", **ANN)
        assert answer["state"] == "proven"
        assert answer["in_files_of_others"] > 0
        request = bytes.fromhex(answer["request"])
        assert state(household, request) is State.FULFILLED
        receipt = json.loads(answer["document"])["receipt"]
        assert any("files of other people" in each for each in receipt["exceptions"])

    def test_forged_letters_do_not_silence_who_they_name(
        self, household: Household, ann: Account
    ) -> None:
        del ann
        for number in range(12):
            write(household, "ann@example.org", f"Please delete my account, no. {number}.")
        own = write(household, "ann@example.org", "Send me a copy of my data.")
        before = len(in_folder(household.service.folder.mail))
        assert before < 13
        for _ in range(24):
            household.clock.now_s += 900
            housekeeping.keep_house(household.service)
        letters = in_folder(household.service.folder.mail)
        assert len(letters) == 13, "each once"
        codes = [link_in(each) for each in letters]
        assert own.hex() in {ask(household, "request.show", code=each)["request"] for each in codes}


class TestWhatIsKept:
    def test_what_was_written_is_sealed_under_a_key_that_ends_with_it(
        self, household: Household, ann: Account
    ) -> None:
        """Else the key-encryption key opens it in an old backup."""
        del ann
        request = write(household, "ann@example.org", "Delete my account. I am diabetic.")
        assert record.note_of(household.service, request).address == "ann@example.org"
        owner = record.note_owner(request)
        assert household.service.vault.store.keys_of(owner)
        ask(household, "request.refuse", request=request.hex(), reason="identity")
        assert not household.service.vault.store.keys_of(owner)
        assert record.note_of(household.service, request) == Note()

    def test_a_letter_to_nobodys_account_too(self, household: Household) -> None:
        before = household.service.vault.store.owners()
        write(household, "eve@example.org", "Please delete my account.")
        [letter] = in_folder(household.service.folder.mail)
        assert letter["To"] == "eve@example.org"
        [left] = household.service.vault.store.owners() - before
        [request] = ask(household, "request.list", all=True)["requests"]
        assert left == record.note_owner(bytes.fromhex(request["request"]))

    def test_of_a_duplicate_nothing(self, household: Household, ann: Account) -> None:
        first = by_mail(household, ann, Kind.RECTIFICATION)
        acts.verify(household.service, first, "link")
        second = write(household, "ann@example.org", "Please rectify my name. I am HIV positive.")
        assert notes(household) == 1
        assert acts.verify(household.service, second, "link").state is State.DUPLICATE
        assert notes(household) == 0
        household.clock.now_s += 6 * 366 * DAY_S
        housekeeping.keep_house(household.service)
        numbers = [each["request"] for each in ask(household, "request.list", all=True)["requests"]]
        assert numbers == [first.hex()]

    def test_an_erasure_ends_what_else_the_person_asked(
        self, household: Household, ann: Account
    ) -> None:
        correction = by_mail(household, ann, Kind.RECTIFICATION)
        acts.verify(household.service, correction, "link")
        letter = write(household, "ann@example.org", "Restrict the processing. I am diabetic.")
        answer = ask(household, "account.erase", **ANN)
        assert answer["state"] == "proven"
        for request in (correction, letter):
            found = record.get(household.service, request)
            assert found.state is State.DUPLICATE
            assert found.duplicate_of == bytes.fromhex(answer["request"])
        assert notes(household) == 0
        assert household.service.vault.store.owners() == set()

    @pytest.mark.parametrize("name", ["Archer - HIV clinic.img", "flash-é-ann.img"])
    def test_no_receipt_holds_the_name_of_a_file(
        self, household: Household, scale: Scale, tmp_path: Path, name: str
    ) -> None:
        image = tmp_path / name
        image.write_bytes(b"of ann@example.org")
        answer = ask(household, "account.erase", also_scan=[str(image)], **ANN)
        image.write_bytes(bytes(1_000))
        household.confirm_orders(scale)
        housekeeping.keep_house(household.service)
        household.service.close()
        again = Household(household.service.folder.root, household.clock)
        document = ask(again, "request.receipt", request=answer["request"])["document"]
        assert json.loads(document)["receipt"]["found_before"]["given file 1"] == 1
        assert "Archer" not in document
        again.close()


class TestProof:
    def test_a_name_that_every_database_holds(self, household: Household) -> None:
        household.open_account("eve@example.org", "CREATE TABLE")
        answer = ask(household, "account.erase", email="eve@example.org", password=PASSWORD)
        assert answer["state"] == "proven"
        receipt = json.loads(answer["document"])["receipt"]
        assert any("not looked for" in each and "name" in each for each in receipt["exceptions"])

    def test_a_name_that_is_written_otherwise_in_an_export(self, household: Household) -> None:
        eve = household.open_account("eve@example.org", 'Eve "Canary" Archer')
        export.make_export(household.service, eve)
        answer = ask(household, "account.erase", email="eve@example.org", password=PASSWORD)
        assert (answer["state"], answer["missing_before"]) == ("proven", [])

    def test_a_control_that_failed_is_an_exception(
        self, household: Household, ann: Account
    ) -> None:
        export.make_export(household.service, ann)
        [path] = household.service.folder.exports.iterdir()
        path.write_bytes(b"")
        answer = ask(household, "account.erase", **ANN)
        assert answer["missing_before"]
        request = bytes.fromhex(answer["request"])
        assert state(household, request) is State.FULFILLED_WITH_EXCEPTIONS
        receipt = json.loads(answer["document"])["receipt"]
        assert receipt["state"] == "fulfilled-with-exceptions"
        assert any(each.startswith("control failed") for each in receipt["exceptions"])

    def test_a_device_that_stays_away_is_named_in_the_receipt(
        self, household: Household, scale: Scale
    ) -> None:
        answer = ask(household, "account.erase", **ANN)
        household.clock.now_s += 40 * DAY_S
        housekeeping.keep_house(household.service)
        document = ask(household, "request.receipt", request=answer["request"])["document"]
        receipt = json.loads(document)["receipt"]
        assert receipt["state"] == "fulfilled-with-exceptions"
        assert any(scale.id in each for each in receipt["exceptions"])


class TestAccidents:
    def test_a_cut_between_verified_and_planned(self, household: Household, ann: Account) -> None:
        request = by_mail(household, ann, Kind.ACCESS)
        acts.verify(household.service, request, "link")
        waits = by_mail(household, ann, Kind.RECTIFICATION, source=b"2")
        acts.verify(household.service, waits, "link")
        housekeeping.keep_house(household.service)
        assert state(household, request) is State.FULFILLED
        assert state(household, waits) is State.VERIFIED, "a correction waits for a person"

    def test_one_that_breaks_stops_neither_the_others_nor_the_start(
        self, household: Household, ann: Account, bob: Account, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        requests = [by_mail(household, who, Kind.ACCESS) for who in (ann,)]
        requests.append(by_mail(household, bob, Kind.ACCESS, source=b"2"))
        for request in requests:
            acts.verify(household.service, request, "link")
        make = export.make_export

        def break_of_ann(service: Any, account: Account) -> Path:
            if account.id == ann.id:
                raise TypeError("of somebody")
            return make(service, account)

        monkeypatch.setattr(export, "make_export", break_of_ann)
        household.service.close()
        again = Household(household.service.folder.root, household.clock)
        assert state(again, requests[1]) is State.FULFILLED
        assert state(again, requests[0]) is not State.FULFILLED
        monkeypatch.setattr(export, "make_export", make)
        housekeeping.keep_house(again.service)
        assert state(again, requests[0]) is State.FULFILLED
        again.close()

    def test_a_correction_of_nothing(self, household: Household, ann: Account) -> None:
        request = by_mail(household, ann, Kind.RECTIFICATION)
        acts.verify(household.service, request, "link")
        with pytest.raises(UsageError, match="nothing is said"):
            ask(household, "request.rectify", request=request.hex())
        assert state(household, request) is State.VERIFIED

    def test_what_nobody_has_read_cannot_be_verified(
        self, household: Household, ann: Account
    ) -> None:
        del ann
        letter = {"kind": "unclear", "email": ANN["email"], "received": "2026-11-10"}
        request = ask(household, "request.enter", **letter)["request"]
        with pytest.raises(RefusedError, match="assign"):
            ask(household, "request.verify", request=request)
        ask(household, "request.assign", request=request, kind="access", email=ANN["email"])
        assert ask(household, "request.verify", request=request)["state"] == "fulfilled"

    @pytest.mark.parametrize("kinds", [("access", "access"), ("erasure", "consent-withdrawal")])
    def test_two_at_once(
        self, household: Household, ann: Account, scale: Scale, kinds: tuple[str, str]
    ) -> None:
        """Both are carried out, or one is the other, or comes too late; none is left over."""
        service = household.service
        made = [
            acts.open_request(
                service,
                NewRequest(
                    kind=Kind(kind),
                    channel=Channel.SELF,
                    received_s=household.clock(),
                    subject=ann.subject,
                    verified_by="password",
                ),
            )[0]
            for kind in kinds
        ]
        numbers = {record.get(service, each).duplicate_of or each for each in made}

        def carry_out(request: bytes) -> None:
            try:
                work.carry_out(service, request)
            except (NotFoundError, RefusedError):
                return

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(carry_out, [*numbers, *numbers]))
        household.confirm_orders(scale)
        housekeeping.keep_house(service)
        ends = {state(household, each) for each in made}
        assert ends <= {State.FULFILLED, State.DUPLICATE}
        done = [each for each in in_folder(service.folder.mail) if "carried out" in each["Subject"]]
        assert len(done) <= 1

    def test_one_letter_when_many_ask_for_the_receipt(
        self, household: Household, scale: Scale
    ) -> None:
        answer = ask(household, "account.erase", only_readings=True, **ANN)
        household.confirm_orders(scale)
        with ThreadPoolExecutor(8) as pool:
            list(
                pool.map(
                    lambda _: work.finish_if_shown(
                        household.service, bytes.fromhex(answer["request"])
                    ),
                    range(8),
                )
            )
        [letter] = in_folder(household.service.folder.mail)
        assert letter["Subject"] == "Your request was carried out"


def test_what_is_restricted_is_used_nowhere(household: Household, ann: Account) -> None:
    del ann
    row = ask(household, "readings.add", weight="72.0", **ANN)["id"]
    ask(household, "request.open", kind="restriction", **ANN)
    for operation in ("readings.list", "readings.history", "readings.tray", "readings.take"):
        with pytest.raises(RefusedError, match="kept and not used"):
            ask(household, operation, id=row, **ANN)
    ask(household, "readings.correct", id=row, weight="73.0", **ANN)


@pytest.mark.parametrize("text", ["\ud800", "a\0b", "x" * 10_001, 5, ["a"]])
@pytest.mark.parametrize("name", ["email", "password", "code", "session", "request", "reason"])
def test_what_is_no_text(household: Household, ann: Account, name: str, text: object) -> None:
    del ann
    operations = {"code": "request.confirm", "request": "request.read", "reason": "request.find"}
    operation = operations.get(name, "request.mine")
    with pytest.raises((UsageError, NotFoundError)):
        ask(household, operation, **(ANN | {name: text}))


def test_a_code_of_a_receipt_that_cannot_be(household: Household, ann: Account) -> None:
    del ann
    request = ask(household, "request.open", kind="access", **ANN)["request"]
    with pytest.raises(UsageError, match="64 digits"):
        ask(household, "request.receipt", request=request, nonce="00")
