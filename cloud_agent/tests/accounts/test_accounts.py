"""Opening an account takes two separate acts, and proving who one is tells a guesser nothing."""

from __future__ import annotations

import contextlib
import hashlib
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from cloud_agent.accounts import accounts, agreements, emails, passwords
from cloud_agent.accounts import attempts as counting
from cloud_agent.accounts.accounts import NewAccount
from cloud_agent.accounts.attempts import Attempts
from cloud_agent.errors import RefusedError, UsageError
from cloud_agent.storage import schema
from cloud_agent.tests.household import NOW_S, PASSWORD, Household

NEW = NewAccount(
    email="Ann@Example.org",
    name="Ann",
    password=PASSWORD,
    zone="Europe/Paris",
    terms_version="1",
    health_consent="1",
    of_age=True,
)


def consents(household: Household, subject: bytes) -> bool:
    with household.service.database.reading() as connection:
        return accounts.has_health_consent(connection, subject)


class TestOpening:
    def test_terms_and_consent_are_two_rows_with_the_hash_of_their_text(
        self, household: Household
    ) -> None:
        account = accounts.create(household.service, NEW)
        with household.service.database.reading() as connection:
            [terms] = connection.execute(sa.select(schema.terms_acceptance)).all()
            [consent] = connection.execute(sa.select(schema.consent)).all()
        folder = Path(accounts.__file__).parent / "texts"
        for row, file in ((terms, "terms_1.txt"), (consent, "health_1.txt")):
            assert row.version == "1"
            assert row.text_hash == hashlib.sha256((folder / file).read_bytes()).digest()
        assert (terms.account, terms.accepted_s) == (account.id, NOW_S)
        assert (consent.subject, consent.given_s) == (account.subject, NOW_S)
        assert consents(household, account.subject)

    def test_without_consent_there_is_an_account_but_no_consent(self, household: Household) -> None:
        account = accounts.create(household.service, replace(NEW, health_consent=None))
        assert not consents(household, account.subject)
        assert accounts.authenticate(household.service, NEW.email, PASSWORD) == account

    @pytest.mark.parametrize(
        ("change", "error"),
        [
            ({"terms_version": "0"}, RefusedError),
            ({"terms_version": ""}, RefusedError),
            ({"health_consent": "9"}, RefusedError),
            ({"email": "ann"}, UsageError),
            ({"zone": "Europe/Atlantis"}, UsageError),
            ({"zone": "../../etc/passwd"}, UsageError),
            ({"password": "short"}, UsageError),
            ({"name": "a\nb"}, UsageError),
            ({"name": "n" * 201}, UsageError),
        ],
    )
    def test_what_is_wrong_leaves_nothing_behind(
        self, household: Household, change: dict[str, Any], error: type[Exception]
    ) -> None:
        with pytest.raises(error):
            accounts.create(household.service, replace(NEW, **change))
        assert household.service.vault.store.owners() == set()
        household.open_account("ann@example.org")

    def test_an_address_has_one_account_however_it_is_written(self, household: Household) -> None:
        first = accounts.create(household.service, NEW)
        with pytest.raises(RefusedError, match="already"):
            accounts.create(household.service, replace(NEW, email=" ANN@example.ORG "))
        assert accounts.authenticate(household.service, "ann@example.org", PASSWORD) == first
        assert household.service.vault.store.owners() == {first.subject}

    def test_address_and_name_are_on_disk_only_sealed(self, household: Household) -> None:
        account = accounts.create(household.service, replace(NEW, name="Ann Canary"))
        contact = accounts.contact(household.service, account)
        assert (contact.email, contact.name) == ("ann@example.org", "Ann Canary")
        for path in household.service.folder.root.rglob("*"):
            if path.is_file():
                content = path.read_bytes().lower()
                assert b"ann@example.org" not in content
                assert b"ann canary" not in content

    def test_consent_can_be_withdrawn_and_given_again_and_all_of_it_is_kept(
        self, household: Household
    ) -> None:
        account = accounts.create(household.service, NEW)
        household.clock.now_s += 10
        accounts.withdraw_health_consent(household.service, account)
        assert not consents(household, account.subject)
        household.clock.now_s += 10
        accounts.withdraw_health_consent(household.service, account)
        with pytest.raises(RefusedError):
            accounts.give_health_consent(household.service, account, "0")
        accounts.give_health_consent(household.service, account, "1")
        accounts.give_health_consent(household.service, account, "1")
        assert consents(household, account.subject)
        table = schema.consent
        with household.service.database.reading() as connection:
            rows = connection.execute(
                sa.select(table.c.given_s, table.c.withdrawn_s).order_by(table.c.given_s)
            ).all()
        assert [tuple(row) for row in rows] == [(NOW_S, NOW_S + 10), (NOW_S + 20, None)]

    @pytest.mark.parametrize("step", ["create_owner", "confirm_credential"])
    def test_a_cut_while_opening_leaves_all_or_nothing(self, tmp_path: Path, step: str) -> None:
        root = tmp_path / "data"
        child = subprocess.run(
            [sys.executable, "-c", _CUT_CHILD, str(root), step],
            capture_output=True,
            text=True,
            check=False,
            env=os.environ | {"PYTHONWARNINGS": "error"},
        )
        assert child.returncode == -signal.SIGKILL, child.stderr
        household = Household(root)
        if step == "create_owner":
            assert household.service.vault.store.owners() == set()
            household.open_account("ann@example.org")
        else:
            accounts.authenticate(household.service, "ann@example.org", PASSWORD)
        household.close()


_CUT_CHILD = """
import os, signal, sys
from pathlib import Path
from cloud_agent.privacy.keystore import SqliteKeyStore
from cloud_agent.privacy.vault import Vault
from cloud_agent.tests.household import Household

def cut(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

household = Household(Path(sys.argv[1]))
step = sys.argv[2]
setattr(Vault if step == "create_owner" else SqliteKeyStore, step, cut)
household.open_account("ann@example.org")
"""


class TestAuthentication:
    @pytest.fixture
    def opened(self, household: Household) -> Household:
        accounts.create(household.service, NEW)
        return household

    def test_wrong_password_and_unknown_address_look_the_same(self, opened: Household) -> None:
        messages = set()
        for email in ("ann@example.org", "nobody@example.org"):
            with pytest.raises(RefusedError) as refused:
                accounts.authenticate(opened.service, email, "not the password")
            messages.add(str(refused.value))
        assert len(messages) == 1

    def test_and_take_the_same_time(self, opened: Household) -> None:
        times: dict[str, list[float]] = {"ann@example.org": [], "nobody@example.org": []}
        for number in range(7):
            for email, taken in times.items():
                begun = perf_counter()
                with pytest.raises(RefusedError):
                    accounts.authenticate(
                        opened.service, email, "not the password", origin=str(number)
                    )
                taken.append(perf_counter() - begun)
        known, unknown = (median(taken) for taken in times.values())
        # Without the hash of nobody it would be less than a hundredth.
        assert 0.4 < unknown / known < 2.5

    def test_guessing_is_slowed_down_for_known_and_unknown_alike(self, opened: Household) -> None:
        for email in ("ann@example.org", "nobody@example.org"):
            for _ in range(5):
                with pytest.raises(RefusedError, match="wrong"):
                    accounts.authenticate(opened.service, email, "guess guess guess")
            with pytest.raises(RefusedError, match="try again in 2 s"):
                accounts.authenticate(opened.service, email, PASSWORD)
        opened.clock.now_s += 2
        accounts.authenticate(opened.service, "ann@example.org", PASSWORD)

    def test_a_stranger_elsewhere_does_not_lock_the_owner_out(self, opened: Household) -> None:
        for _ in range(5):
            with pytest.raises(RefusedError):
                accounts.authenticate(
                    opened.service, "ann@example.org", "guess guess guess", origin="198.51.100.7"
                )
        accounts.authenticate(opened.service, "ann@example.org", PASSWORD)

    def test_a_hash_of_older_parameters_is_renewed(self, opened: Household) -> None:
        import argon2

        [subject] = opened.service.vault.store.owners()
        weak = argon2.PasswordHasher(time_cost=1, memory_cost=1024, parallelism=1).hash(PASSWORD)
        opened.service.vault.store.set_password_hash(subject, weak)
        accounts.authenticate(opened.service, "ann@example.org", PASSWORD)
        credential = opened.service.vault.store.credential_of(subject)
        assert credential is not None
        assert "m=47104" in credential.password_hash
        accounts.authenticate(opened.service, "ann@example.org", PASSWORD)


class TestPasswords:
    def test_parameters_are_those_of_the_standard_or_more(self) -> None:
        parameters = passwords.hash_password(PASSWORD).split("$")[1:4]
        assert parameters[0] == "argon2id"
        memory, passes, lanes = (int(part[2:]) for part in parameters[2].split(","))
        assert (memory >= 46 * 1024, passes >= 1, lanes) == (True, True, 1)

    @pytest.mark.parametrize(
        "password",
        [
            "eleven char",
            "a" * 12,
            "abababababab",
            "password1234",
            "P@ssw0rd!!!!",
            "passwordpassword",
            "qwertyuiop12",
            "1qaz2wsx3edc",
            "123456789012",
            "98765432109876",
            "19840212198402",
            "iloveyou!!!!",
            "Sunshine2024!",
            "dragonmonkey1",
            "correcthorsebatterystaple",
            "ann@example.org",
            "Ann@Example.org1",
            "x" * 257,
        ],
    )
    def test_guessed_first_or_too_short_is_refused(self, password: str) -> None:
        with pytest.raises(UsageError):
            passwords.check(password, personal="ann@example.org")

    @pytest.mark.parametrize(
        "password",
        [
            PASSWORD,
            "vrooom lantern pies",
            "kM4$ vT9 zzQ",
            "ein langer Satz über Käse",
            "パスワードではない十二文字",
            "x9" + "kqhtzwrv" * 3 + "7",
            "tare-demo-7yx!kq",
        ],
    )
    def test_a_good_one_is_taken_without_rules_of_composition(self, password: str) -> None:
        passwords.check(password, personal="ann@example.org")

    def test_composed_and_decomposed_are_the_same_and_nothing_else_is(self) -> None:
        kept = passwords.hash_password("käse und wein im juli")
        assert passwords.verify(kept, "ka\u0308se und wein im juli")
        assert not passwords.verify(kept, "käse und wein im Juli")
        assert not passwords.verify(kept, "käse und wein im juli ")


@given(st.text(max_size=40))
def test_an_address_is_one_form_or_refused(text: str) -> None:
    try:
        normalised = emails.normalise(text)
    except UsageError:
        return
    assert emails.normalise(normalised) == normalised
    assert emails.normalise(f" {normalised.upper()} ") in {
        normalised,
        emails.normalise(normalised.upper()),
    }
    assert "@" in normalised


@pytest.mark.parametrize(
    "text", ["", "@", "a@", "@b.org", "a b@c.org", "a@b..org", "a@.org", "x" * 250 + "@b.org"]
)
def test_what_cannot_be_an_address_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        emails.normalise(text)


def test_waiting_grows_and_ends() -> None:
    attempts = Attempts()
    now_s = waited_s = 0
    for _ in range(40):
        try:
            attempts.begin(b"who", "local", now_s)
        except RefusedError as error:
            wait_s = int(str(error).split()[-2])
            assert wait_s <= 900
            now_s += wait_s
            waited_s += wait_s
            attempts.begin(b"who", "local", now_s)
    assert waited_s > 3600, "forty guesses take more than an hour"
    attempts.succeeded(b"who", "local")
    attempts.begin(b"who", "local", now_s)


def test_many_strangers_take_no_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counting, "_MAX_KNOWN", 10)
    attempts = Attempts()
    for number in range(1_000):
        attempts.begin(b"%d" % number, "local", number)
        assert len(attempts._records) <= 10
    for _ in range(5):
        attempts.begin(b"who", "local", 1_000)
    with pytest.raises(RefusedError):
        attempts.begin(b"who", "local", 1_000)
    attempts.begin(b"who", "local", 1_000 + 3_600)


def test_the_texts_in_force_say_which_version_they_are() -> None:
    for document in (agreements.TERMS, agreements.HEALTH):
        text = agreements.current(document)
        assert text.text.splitlines()[0].endswith(f"version {text.version}")
        assert len(text.text.split()) < 500, "short enough to be read"


def test_a_clock_that_is_set_back_locks_nobody_out() -> None:
    attempts = Attempts()
    for _ in range(6):
        with contextlib.suppress(RefusedError):
            attempts.begin(b"who", "local", 1_000_000)
    with pytest.raises(RefusedError, match=r"try again in \d s"):
        attempts.begin(b"who", "local", 10)
    attempts.begin(b"who", "local", 20)
