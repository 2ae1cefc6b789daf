"""Nothing goes to a partner without a row and a consent."""

import json
import re
import zipfile
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

import cloud_agent
from cloud_agent.accounts import accounts
from cloud_agent.accounts.accounts import Account
from cloud_agent.errors import NotFoundError, RefusedError, UsageError
from cloud_agent.privacy import disclosures, erasure, export, partners
from cloud_agent.privacy.disclosures import Disclosed, disclose
from cloud_agent.privacy.partners import Category
from cloud_agent.readings import changes, listing
from cloud_agent.tests.commands.test_cli import Shell
from cloud_agent.tests.household import PASSWORD, Household
from cloud_agent.tests.privacy.partners.gym import CANARY, Gym, agree, as_ann, rows


def test_with_consent_readings_go_and_the_row_is_there_first(
    household: Household, gym: Gym, ann: Account
) -> None:
    agree(household, ann, gym.partner)
    gym.give(ann)
    [given] = gym.got
    assert [each["values"]["weight"]["value"] for each in given.readings] == [72.5, 72.604]
    text = json.dumps(given.readings)
    for hidden in ("ann@example.org", "Ann Archer", ann.subject.hex(), ann.id.hex(), "device"):
        assert hidden not in text
    assert given.pseudonym not in (ann.subject, ann.id)
    [entry] = disclosures.list_disclosures(household.service, ann.subject)
    [consent] = partners.consents(household.service, ann.subject)
    assert (entry.recipient, entry.amount, entry.consent) == (CANARY, 2, consent.id)


def without_consent(household: Household, gym: Gym, ann: Account) -> None:
    del household, gym, ann


def withdrawn(household: Household, gym: Gym, ann: Account) -> None:
    agree(household, ann, gym.partner)
    assert partners.withdraw(household.service, ann, gym.partner) == 1


def of_another_category(household: Household, gym: Gym, ann: Account) -> None:
    partners.give_consent(household.service, ann, gym.partner, Category.BLOOD_PRESSURE, "1")


def of_another_partner(household: Household, gym: Gym, ann: Account) -> None:
    del gym
    agree(household, ann, Gym(household.service, "Somebody Else").partner)


def of_another_person(household: Household, gym: Gym, ann: Account) -> None:
    del ann
    agree(household, household.open_account("bob@example.org"), gym.partner)


def without_health_consent(household: Household, gym: Gym, ann: Account) -> None:
    agree(household, ann, gym.partner)
    accounts.withdraw_health_consent(household.service, ann)


def restricted(household: Household, gym: Gym, ann: Account) -> None:
    agree(household, ann, gym.partner)
    as_ann(household, "request.open", kind="restriction")


def objected(household: Household, gym: Gym, ann: Account) -> None:
    agree(household, ann, gym.partner)
    as_ann(household, "request.open", kind="objection")


def erased(household: Household, gym: Gym, ann: Account) -> None:
    agree(household, ann, gym.partner)
    erasure.erase(household.service, ann)


@pytest.mark.parametrize(
    "forbid",
    [
        without_consent,
        withdrawn,
        of_another_category,
        of_another_partner,
        of_another_person,
        without_health_consent,
        restricted,
        objected,
        erased,
    ],
)
def test_what_forbids_it(household: Household, gym: Gym, ann: Account, forbid: Any) -> None:
    forbid(household, gym, ann)
    with pytest.raises(RefusedError):
        gym.give(ann)
    assert gym.got == []
    assert rows(household) == 0


def test_a_restriction_that_was_lifted_forbids_nothing(
    household: Household, gym: Gym, ann: Account
) -> None:
    restricted(household, gym, ann)
    as_ann(household, "account.lift-restriction")
    gym.give(ann)
    assert len(gym.got) == 1


def test_a_send_that_fails_leaves_its_row(household: Household, gym: Gym, ann: Account) -> None:
    agree(household, ann, gym.partner)

    def fails(_given: Disclosed) -> None:
        raise ConnectionError

    with pytest.raises(ConnectionError):
        disclose(household.service, ann, gym.partner, Category.WEIGHT, fails)
    assert rows(household) == 1


def test_nothing_else_can_make_what_a_sender_takes(gym: Gym) -> None:
    with pytest.raises(TypeError):
        Disclosed(bytes(16), gym.partner, bytes(16), Category.WEIGHT, (), object())
    root = Path(cloud_agent.__file__).parent
    makers = [
        path.name
        for path in root.rglob("*.py")
        if "tests" not in path.parts and re.search(r"\bDisclosed\(|_RECORDED", path.read_text())
    ]
    assert makers == ["disclosures.py"]


def test_what_was_entered_in_error_does_not_go(
    household: Household, gym: Gym, ann: Account
) -> None:
    agree(household, ann, gym.partner)
    first = listing.list_readings(household.service.database, household.service.vault, ann.subject)[
        0
    ]
    changes.mark_error(household.service, ann, first.id, is_error=True)
    gym.give(ann)
    assert [each["values"]["weight"]["value"] for each in gym.got[0].readings] == [72.604]


def test_two_partners_cannot_find_out_that_it_is_the_same_person(
    household: Household, gym: Gym, ann: Account
) -> None:
    other = Gym(household.service, "Somebody Else")
    for each in (gym, other):
        agree(household, ann, each.partner)
        each.give(ann)
        each.give(ann)
    assert len({given.pseudonym for given in gym.got}) == 1
    assert gym.got[0].pseudonym != other.got[0].pseudonym


# Consent


def test_consent_is_its_own_act_and_the_account_needs_none(
    household: Household, gym: Gym, ann: Account
) -> None:
    assert partners.consents(household.service, ann.subject) == []
    with pytest.raises(RefusedError):
        partners.give_consent(household.service, ann, gym.partner, Category.WEIGHT, "0")
    agree(household, ann, gym.partner)
    agree(household, ann, gym.partner)
    assert partners.withdraw(household.service, ann, gym.partner, Category.BLOOD_PRESSURE) == 0
    assert partners.withdraw(household.service, ann, gym.partner, Category.WEIGHT) == 1
    assert as_ann(household, "account.show")["email"] == "ann@example.org"
    agree(household, ann, gym.partner)
    found = partners.consents(household.service, ann.subject)
    assert sorted(each.withdrawn_s is None for each in found) == [False, True]


@pytest.mark.parametrize(
    ("name", "contact", "key"),
    [("", "c", bytes(32)), ("a\nb", "c", bytes(32)), ("a", " ", bytes(32)), ("a", "c", b"x")],
)
def test_a_partner_that_is_none(household: Household, name: str, contact: str, key: bytes) -> None:
    with pytest.raises(UsageError):
        partners.add(household.service, name, contact, key)


def test_two_partners_of_one_name(household: Household, gym: Gym) -> None:
    with pytest.raises(RefusedError):
        partners.add(household.service, gym.name, "c", bytes(32))
    with pytest.raises(NotFoundError):
        partners.find(household.service, "nobody")


def test_the_person_sees_recipients_by_name(household: Household, gym: Gym, ann: Account) -> None:
    agree(household, ann, gym.partner)
    gym.give(ann)
    shown = as_ann(household, "partner.disclosures")
    with zipfile.ZipFile(export.make_export(household.service, ann)) as archive:
        assert json.loads(archive.read("partners.json")) == shown
    assert [each["recipient"] for each in shown["disclosures"]] == [CANARY]
    assert shown["known_as"] == {CANARY: gym.got[0].pseudonym.hex()}
    bob = household.open_account("bob@example.org")
    with zipfile.ZipFile(export.make_export(household.service, bob)) as archive:
        assert json.loads(archive.read("partners.json"))["disclosures"] == []


# Notices


def test_the_commands(tmp_path: Path) -> None:
    shell = Shell(tmp_path / "data")
    login = ("--email", "ann@example.org")
    household = Household(shell.root)
    household.open_account("ann@example.org")
    household.close()
    key = Ed25519PrivateKey.generate()
    public = key.public_key().public_bytes_raw().hex()
    assert "nothing leaves" in shell.tare("partner", "list").out
    added = ("partner", "add", CANARY, "--contact", "coach.example", "--public-key", public)
    assert shell.tare(*added).code == 0
    assert shell.tare(*added).code == 3
    consent = ("partner", "consent", CANARY, "weight", *login)
    unread = shell.tare(*consent)
    assert (unread.code, "read it, then give --consent 1" in unread.err) == (2, True)
    assert shell.tare(*consent, "--consent", "1").code == 0
    assert f"You let {CANARY} have: weight." in shell.tare("partner", "disclosures", *login).out
    household = Household(shell.root)
    service = household.service
    ann = accounts.authenticate(service, "ann@example.org", PASSWORD)
    disclose(service, ann, partners.find(service, CANARY), Category.WEIGHT, lambda _: None)
    household.close()
    assert CANARY in shell.tare("partner", "disclosures", *login).out
    assert "Nothing more" in shell.tare("partner", "withdraw", CANARY, *login).out
    erased = json.loads(shell.tare("account", "erase", *login, "--yes", "--json").out)
    [waiting] = json.loads(shell.tare("partner", "notices", "--json").out)
    paper = json.loads(shell.tare("partner", "hand-over", waiting["notice"]).out)
    said = ("--outcome", "erased", "--signature", key.sign(paper["answers"][0].encode()).hex())
    assert shell.tare("partner", "answer", waiting["notice"], "--outcome", "erased").code == 2
    assert "answered" in shell.tare("partner", "answer", waiting["notice"], *said).out
    assert shell.tare("partner", "notices").out == "There is no notice.\n"
    told = shell.tare("partner", "notices", "--request", erased["request"]).out
    assert "answered: erased" in told


class Sharing(RuleBasedStateMachine):
    """Consent comes and goes in any order: what was sent is exactly what was allowed then."""

    home: Household

    def __init__(self) -> None:
        super().__init__()
        self.account = self.home.open_account(f"p{len(_opened)}@example.org")
        _opened.append(self.account)
        self.gyms = [Gym(self.home.service, f"{len(_opened)} {number}") for number in range(2)]
        self.allowed: set[tuple[int, Category]] = set()
        self.sent = 0

    @rule(which=st.integers(0, 1), category=st.sampled_from(Category))
    def agree(self, which: int, category: Category) -> None:
        partner = self.gyms[which].partner
        partners.give_consent(self.home.service, self.account, partner, category, "1")
        self.allowed.add((which, category))

    @rule(which=st.integers(0, 1), category=st.none() | st.sampled_from(Category))
    def withdraw(self, which: int, category: Category | None) -> None:
        partners.withdraw(self.home.service, self.account, self.gyms[which].partner, category)
        gone = set(Category) if category is None else {category}
        self.allowed -= {(which, each) for each in gone}

    @rule()
    def object(self) -> None:
        partners.withdraw_all(self.home.service, self.account.subject)
        self.allowed.clear()

    @rule(which=st.integers(0, 1), category=st.sampled_from(Category))
    def give(self, which: int, category: Category) -> None:
        try:
            self.gyms[which].give(self.account, category)
        except RefusedError:
            assert (which, category) not in self.allowed
        else:
            assert (which, category) in self.allowed
            self.sent += 1

    @invariant()
    def every_send_has_its_row(self) -> None:
        entries = disclosures.list_disclosures(self.home.service, self.account.subject)
        assert len(entries) == self.sent == sum(len(each.got) for each in self.gyms)


_opened: list[Account] = []


def test_consent_in_any_order(household: Household) -> None:
    machine: Any = type("Machine", (Sharing,), {"home": household})
    few = settings(max_examples=15, stateful_step_count=20)
    run_state_machine_as_test(machine, settings=few)
