"""Signing in and out, a new password, another address: nobody is taken over in silence."""

from __future__ import annotations

import pytest

from cloud_agent.accounts import accounts, changes, sessions, tokens
from cloud_agent.accounts.accounts import Account
from cloud_agent.accounts.asking import account_of
from cloud_agent.accounts.tokens import Kind
from cloud_agent.errors import RefusedError, UsageError
from cloud_agent.privacy import erasure
from cloud_agent.tests.household import PASSWORD, Household
from cloud_agent.tests.mail.postbox import in_folder, link_in

NEW_PASSWORD = "eleven quiet lamps glow"


@pytest.fixture
def ann(household: Household) -> Account:
    return household.open_account("ann@example.org", "Ann")


def letters(household: Household) -> list[tuple[str, str]]:
    found = in_folder(household.service.folder.mail)
    return [(letter["To"], letter["Subject"]) for letter in found]


class TestSessions:
    def test_a_session_stands_for_the_password(self, household: Household, ann: Account) -> None:
        text = sessions.sign_in(household.service, ann)
        assert account_of(household.service, {"session": text}) == ann
        assert len(sessions.list_sessions(household.service, ann)) == 1

    def test_what_cannot_be_undone_asks_for_the_password_again(
        self, household: Household, ann: Account
    ) -> None:
        text = sessions.sign_in(household.service, ann)
        household.clock.now_s += sessions.FRESH_S - 1
        assert sessions.account_of(household.service, text, fresh=True) == ann
        household.clock.now_s += 1
        with pytest.raises(RefusedError, match="password again"):
            sessions.account_of(household.service, text, fresh=True)
        assert sessions.account_of(household.service, text) == ann

    def test_it_ends_after_thirty_days(self, household: Household, ann: Account) -> None:
        text = sessions.sign_in(household.service, ann)
        household.clock.now_s += sessions.LIFE_S
        with pytest.raises(RefusedError, match="not signed in"):
            sessions.account_of(household.service, text)
        sessions.remove_old(household.service)
        assert household.service.vault.store.tokens_of(ann.subject) == []

    @pytest.mark.parametrize("end", ["sign out", "everywhere", "password", "erase"])
    def test_it_ends_by(self, household: Household, ann: Account, end: str) -> None:
        service = household.service
        text, other = sessions.sign_in(service, ann), sessions.sign_in(service, ann)
        if end == "sign out":
            sessions.sign_out(service, text)
            assert sessions.account_of(service, other) == ann
            sessions.sign_out(service, text)  # twice is no error
        elif end == "everywhere":
            sessions.sign_out_everywhere(service, ann)
        elif end == "password":
            changes.change_password(service, ann, NEW_PASSWORD)
        else:
            erasure.erase(service, ann)
        with pytest.raises(RefusedError, match="not signed in"):
            sessions.account_of(service, text)

    def test_the_oldest_of_too_many_ends(self, household: Household, ann: Account) -> None:
        texts = []
        for _ in range(21):
            household.clock.now_s += 1
            texts.append(sessions.sign_in(household.service, ann))
        with pytest.raises(RefusedError):
            sessions.account_of(household.service, texts[0])
        assert sessions.account_of(household.service, texts[1]) == ann

    def test_nothing_is_written_for_who_is_erased_meanwhile(
        self, household: Household, ann: Account
    ) -> None:
        erasure.erase(household.service, ann)
        with pytest.raises(RefusedError):
            sessions.sign_in(household.service, ann)
        assert ann.subject not in household.service.folder.keys.read_bytes()

    def test_the_file_holds_no_session(self, household: Household, ann: Account) -> None:
        text = sessions.sign_in(household.service, ann)
        assert text.encode() not in household.service.folder.keys.read_bytes()

    def test_a_token_of_one_kind_is_nothing_for_another(
        self, household: Household, ann: Account
    ) -> None:
        service = household.service
        made = {
            kind: tokens.issue(
                service.vault.store, kind, ann.subject, now_s=household.clock(), life_s=60
            )
            for kind in Kind
        }
        for kind, text in made.items():
            for other in Kind:
                if other is not kind:
                    with pytest.raises(RefusedError):
                        tokens.find(service.vault.store, other, text, household.clock())
            tokens.take(service.vault.store, kind, text, household.clock())
            with pytest.raises(RefusedError):
                tokens.take(service.vault.store, kind, text, household.clock())


class TestRecovery:
    def test_a_letter_gives_a_new_password(self, household: Household, ann: Account) -> None:
        service = household.service
        session = sessions.sign_in(service, ann)
        changes.ask_for_recovery(service, "Ann@Example.org")
        [letter] = in_folder(service.folder.mail)
        with pytest.raises(UsageError):
            changes.recover(service, link_in(letter), "short")
        changes.recover(service, link_in(letter), NEW_PASSWORD)
        assert accounts.authenticate(service, "ann@example.org", NEW_PASSWORD) == ann
        with pytest.raises(RefusedError):
            accounts.authenticate(service, "ann@example.org", PASSWORD)
        with pytest.raises(RefusedError):
            sessions.account_of(service, session)
        with pytest.raises(RefusedError, match="used already"):
            changes.recover(service, link_in(letter), "another long pass phrase")
        assert ("ann@example.org", "Your password was changed") in letters(household)

    def test_the_link_is_good_for_an_hour(self, household: Household, ann: Account) -> None:
        changes.ask_for_recovery(household.service, "ann@example.org")
        [letter] = in_folder(household.service.folder.mail)
        household.clock.now_s += 3_600
        with pytest.raises(RefusedError):
            changes.recover(household.service, link_in(letter), NEW_PASSWORD)
        assert accounts.authenticate(household.service, "ann@example.org", PASSWORD) == ann

    def test_an_unknown_address_gets_the_same_answer_and_no_letter(
        self, household: Household
    ) -> None:
        changes.ask_for_recovery(household.service, "nobody@example.org")
        assert letters(household) == []

    def test_a_stranger_cannot_fill_the_postbox(self, household: Household, ann: Account) -> None:
        del ann
        for _ in range(5):
            changes.ask_for_recovery(household.service, "ann@example.org", origin="203.0.113.9")
        with pytest.raises(RefusedError, match="too many"):
            changes.ask_for_recovery(household.service, "ann@example.org", origin="203.0.113.9")
        assert len(letters(household)) == 5


class TestAddress:
    def test_it_changes_when_the_new_one_answers(self, household: Household, ann: Account) -> None:
        service = household.service
        changes.ask_for_address(service, ann, "Ann.New@example.org")
        [letter] = in_folder(service.folder.mail)
        assert letter["To"] == "ann.new@example.org"
        assert accounts.contact(service, ann).email == "ann@example.org", "not before"
        changes.confirm_address(service, link_in(letter))
        assert accounts.contact(service, ann) == accounts.Contact("ann.new@example.org", "Ann")
        assert accounts.authenticate(service, "ann.new@example.org", PASSWORD) == ann
        with pytest.raises(RefusedError):
            accounts.authenticate(service, "ann@example.org", PASSWORD)
        assert ("ann@example.org", "Your address was changed") in letters(household)

    def test_the_mailbox_of_before_opens_nothing_any_more(
        self, household: Household, ann: Account
    ) -> None:
        service = household.service
        session = sessions.sign_in(service, ann)
        changes.ask_for_recovery(service, "ann@example.org")
        [old] = in_folder(service.folder.mail)
        changes.ask_for_address(service, ann, "anne@example.net")
        [new] = [each for each in in_folder(service.folder.mail) if each["To"] != old["To"]]
        changes.confirm_address(service, link_in(new))
        with pytest.raises(RefusedError):
            changes.recover(service, link_in(old), NEW_PASSWORD)
        with pytest.raises(RefusedError):
            sessions.account_of(service, session)

    @pytest.mark.parametrize("one", [True, False])
    def test_nobodys_postbox_is_filled(
        self, household: Household, ann: Account, *, one: bool
    ) -> None:
        """Neither one address by many accounts, nor many addresses by one account."""
        people = [ann] + [household.open_account(f"p{n}@example.org") for n in range(6)]
        refused = 0
        for number, each in enumerate(people):
            to = "eve@example.net" if one else f"eve{number}@example.net"
            try:
                changes.ask_for_address(household.service, each if one else ann, to)
            except RefusedError:
                refused += 1
        assert (len(letters(household)), refused) == (5, 2)

    def test_one_that_has_an_account_is_told_and_nothing_else(
        self, household: Household, ann: Account
    ) -> None:
        household.open_account("bob@example.org")
        changes.ask_for_address(household.service, ann, "bob@example.org")
        [letter] = in_folder(household.service.folder.mail)
        assert "http" not in letter.get_content()
        assert household.service.vault.store.tokens_of(ann.subject) == []

    def test_one_that_got_an_account_meanwhile_is_refused(
        self, household: Household, ann: Account
    ) -> None:
        changes.ask_for_address(household.service, ann, "bob@example.org")
        bob = household.open_account("bob@example.org")
        [letter] = in_folder(household.service.folder.mail)
        with pytest.raises(RefusedError, match="has an account"):
            changes.confirm_address(household.service, link_in(letter))
        assert accounts.authenticate(household.service, "bob@example.org", PASSWORD) == bob
        assert accounts.contact(household.service, ann).email == "ann@example.org"

    def test_name_and_zone_change_at_once(self, household: Household, ann: Account) -> None:
        changes.change_name(household.service, ann, " Ann Archer ")
        changes.change_zone(household.service, ann, "Asia/Tokyo")
        assert accounts.contact(household.service, ann).name == "Ann Archer"
        changed = accounts.by_id(household.service.database, ann.id)
        assert changed is not None
        assert changed.zone == "Asia/Tokyo"
        with pytest.raises(UsageError):
            changes.change_name(household.service, ann, "a\x1b[2Jb")
        with pytest.raises(UsageError):
            changes.change_zone(household.service, ann, "Mars/Olympus")
