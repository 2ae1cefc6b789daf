"""Nothing goes to a partner without a row and a consent; who was given something is told of a
correction or an erasure, and a request is not fulfilled before they answered, signed.
"""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

import cloud_agent
from cloud_agent.accounts import accounts
from cloud_agent.accounts.accounts import Account
from cloud_agent.control import dispatch
from cloud_agent.errors import NotFoundError, RefusedError, TareError, UsageError
from cloud_agent.operations import OPERATIONS
from cloud_agent.privacy import disclosures, erasure, export, notices, partners, plan
from cloud_agent.privacy.disclosures import Disclosed, disclose
from cloud_agent.privacy.partners import Category, Partner
from cloud_agent.readings import changes, listing
from cloud_agent.service import Service
from cloud_agent.storage.partners_schema import disclosure, partner_pseudonym, recipient_notice
from cloud_agent.tests.commands.test_cli import Shell
from cloud_agent.tests.household import PASSWORD, Household, Scale

CANARY = "Coach & Sons"


@dataclass
class Gym:
    """A partner: its key, and what it was sent."""

    service: Service
    name: str = CANARY
    key: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate)
    got: list[Disclosed] = field(default_factory=list)

    def __post_init__(self) -> None:
        public = self.key.public_key().public_bytes_raw()
        self.partner = partners.add(self.service, self.name, "privacy@coach.example", public)

    def send(self, given: Disclosed) -> None:
        """Whatever arrives must be in the ledger by then, durably."""
        with self.service.database.reading() as connection:
            where = disclosure.c.id == given.id
            assert connection.execute(sa.select(disclosure).where(where)).one().amount == len(
                given.readings
            )
        self.got.append(given)

    def give(self, account: Account, category: Category = Category.WEIGHT) -> bytes:
        return disclose(self.service, account, self.partner, category, self.send)

    def sign(self, notice: notices.Notice, outcome: str) -> bytes:
        text = f"tare/1/answer {notice.id.hex()} {notice.pseudonym.hex()} {outcome}"
        return self.key.sign(text.encode())


@pytest.fixture
def gym(household: Household) -> Gym:
    return Gym(household.service)


@pytest.fixture
def scale(household: Household) -> Scale:
    return household.add_scale()


@pytest.fixture
def ann(household: Household, scale: Scale) -> Account:
    account = household.open_account("ann@example.org", "Ann Archer")
    household.claim(account, scale)
    household.confirm_orders(scale)
    household.deliver(scale, household.weigh(scale, [72_500, 72_604]))
    return account


def agree(household: Household, account: Account, partner: Partner) -> None:
    partners.give_consent(household.service, account, partner, Category.WEIGHT, "1")


def rows(household: Household) -> int:
    with household.service.database.reading() as connection:
        return connection.execute(sa.select(sa.func.count()).select_from(disclosure)).scalar_one()


def run(household: Household, name: str, **arguments: Any) -> dict[str, Any]:
    return asyncio.run(dispatch(household.service, OPERATIONS, name, arguments))


def update(household: Household, values: dict[str, Any]) -> None:
    household.service.writer.call(lambda c: c.execute(recipient_notice.update().values(values)))


def as_ann(household: Household, name: str, **arguments: Any) -> dict[str, Any]:
    return run(household, name, email="ann@example.org", password=PASSWORD, **arguments)


# No row, no send


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


def given(household: Household, gym: Gym, ann: Account) -> None:
    agree(household, ann, gym.partner)
    gym.give(ann)


def test_an_erasure_is_fulfilled_when_the_partner_has_answered(
    household: Household, gym: Gym, ann: Account, scale: Scale
) -> None:
    given(household, gym, ann)
    never = Gym(household.service, "Never Given")
    agree(household, ann, never.partner)
    request = as_ann(household, "account.erase")["request"]
    household.confirm_orders(scale)
    erasure.carry_on(household.service)

    def state() -> str:
        found = run(household, "request.list", all=True)["requests"]
        return str(next(each["state"] for each in found if each["request"] == request))

    assert state() == "awaiting-recipients"
    [notice] = notices.list_notices(household.service)
    assert (notice.partner, notice.state) == (CANARY, "waiting")
    assert notice.pseudonym == gym.got[0].pseudonym
    paper = run(household, "partner.hand-over", notice=notice.id.hex())
    assert paper["person"] == notice.pseudonym.hex()
    assert state() == "awaiting-recipients"
    signature = gym.key.sign(paper["answers"][0].encode()).hex()
    run(
        household,
        "partner.answer",
        notice=notice.id.hex(),
        outcome="erased",
        signature=signature,
    )
    assert state() == "fulfilled"
    document = run(household, "request.receipt", request=request)["document"]
    assert json.loads(document)["receipt"]["recipients"] == {"answered": 1, "impossible": 0}
    [told] = run(household, "partner.of-request", request=request)["notices"]
    assert (told["recipient"], told["state"], told["outcome"]) == (CANARY, "answered", "erased")


def test_nothing_here_leads_from_a_notice_to_whom_it_was(
    household: Household, gym: Gym, ann: Account
) -> None:
    given(household, gym, ann)
    with household.service.database.reading() as connection:
        assert connection.execute(sa.select(partner_pseudonym)).all() != []
    erasure.erase(household.service, ann)
    with household.service.database.reading() as connection:
        assert connection.execute(sa.select(partner_pseudonym)).all() == []
        [row] = connection.execute(sa.select(recipient_notice)).all()
    assert ann.subject not in tuple(row)
    assert ann.id not in tuple(row)


@pytest.mark.parametrize("forged", ["other key", "other outcome", "other notice", "short"])
def test_an_answer_that_the_partner_did_not_sign(
    household: Household, gym: Gym, ann: Account, forged: str
) -> None:
    given(household, gym, ann)
    erasure.erase(household.service, ann)
    [notice] = notices.list_notices(household.service)
    signature = {
        "other key": Ed25519PrivateKey.generate().sign(
            notices.answer_text(notice, "erased").encode()
        ),
        "other outcome": gym.sign(notice, "nothing-held"),
        "other notice": gym.key.sign(
            f"tare/1/answer {bytes(16).hex()} {notice.pseudonym.hex()} erased".encode()
        ),
        "short": gym.sign(notice, "erased")[:-1],
    }[forged]
    with pytest.raises(RefusedError):
        notices.answer(household.service, notice.id, "erased", signature)
    assert notices.list_notices(household.service) == [notice]
    right = notices.answer(household.service, notice.id, "erased", gym.sign(notice, "erased"))
    assert right.state == "answered"
    with pytest.raises(RefusedError, match="closed"):
        notices.give_up(household.service, notice.id, "too late")


def test_an_outcome_of_another_kind(household: Household, gym: Gym, ann: Account) -> None:
    given(household, gym, ann)
    erasure.erase(household.service, ann)
    [notice] = notices.list_notices(household.service)
    with pytest.raises(UsageError):
        notices.answer(household.service, notice.id, "corrected", gym.sign(notice, "corrected"))


def test_giving_up_needs_a_reason_in_the_database_too(
    household: Household, gym: Gym, ann: Account
) -> None:
    given(household, gym, ann)
    erasure.erase(household.service, ann)
    [notice] = notices.list_notices(household.service)
    with pytest.raises(UsageError):
        notices.give_up(household.service, notice.id, "  ")
    for values in (
        {"state": "impossible", "closed_s": 1},
        {"state": "impossible", "closed_s": 1, "reason": " "},
        {"state": "answered", "closed_s": 1},
        {"state": "sent"},
        {"state": "waiting", "closed_s": 1},
    ):
        with pytest.raises(sa.exc.IntegrityError):
            update(household, values)
    closed = notices.give_up(household.service, notice.id, "it does not exist any more")
    assert closed.state == "impossible"
    with household.service.database.reading() as connection:
        assert notices.open_notices(connection, notice.request) == 0
        assert notices.impossible(connection, notice.request) == 1


def test_a_correction_is_told_once_until_it_was_handed_over(
    household: Household, gym: Gym, ann: Account
) -> None:
    service = household.service
    readings = listing.list_readings(service.database, service.vault, ann.subject)
    changes.mark_error(service, ann, readings[0].id, is_error=True)
    assert notices.list_notices(service) == []  # nobody was given anything
    given(household, gym, ann)
    for is_error in (False, True):
        changes.mark_error(service, ann, readings[0].id, is_error=is_error)
    changes.remove(service, ann, readings[1].id)
    [notice] = notices.list_notices(service)
    assert notice.kind is notices.Kind.RECTIFICATION
    notices.hand_over(service, notice.id)
    changes.mark_error(service, ann, readings[0].id, is_error=False)
    assert len(notices.list_notices(service)) == 2
    # An entry that the partner never had.
    household.clock.now_s += 60
    late = changes.add(service, ann, household.clock(), readings[0].content)
    changes.remove(service, ann, late)
    assert len(notices.list_notices(service)) == 2


def test_an_erasure_that_never_began_tells_nobody(
    household: Household, gym: Gym, ann: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    given(household, gym, ann)

    def full(*_: object, **__: object) -> None:
        raise TareError("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(plan, "save", full)
        with pytest.raises(TareError, match="full"):
            erasure.erase(household.service, ann)
    assert notices.list_notices(household.service) == []
    erasure.erase(household.service, ann, only_readings=True)
    [notice] = notices.list_notices(household.service)
    assert notice.kind is notices.Kind.ERASURE_READINGS


def test_the_record_goes_after_five_years_and_an_open_one_stays(
    household: Household, gym: Gym, ann: Account
) -> None:
    given(household, gym, ann)
    erasure.erase(household.service, ann)
    [notice] = notices.list_notices(household.service)
    household.clock.now_s += 6 * 366 * 86_400
    notices.remove_old(household.service)
    assert len(notices.list_notices(household.service)) == 1
    notices.give_up(household.service, notice.id, "never answered")
    household.clock.now_s += 5 * 366 * 86_400
    notices.remove_old(household.service)
    assert notices.list_notices(household.service, every=True) == []


def test_a_restore_that_brings_somebody_back_tells_their_recipients_again(
    household: Household, gym: Gym, ann: Account, tmp_path: Path
) -> None:
    given(household, gym, ann)
    root, clock = household.service.folder.root, household.clock
    shutil.copytree(root, tmp_path / "backup")
    erasure.erase(household.service, ann)
    household.close()
    for name in ("tare.db", "keys.db"):
        for suffix in ("", "-wal", "-shm"):
            (root / f"{name}{suffix}").unlink(missing_ok=True)
            if (tmp_path / "backup" / f"{name}{suffix}").exists():
                shutil.copy(tmp_path / "backup" / f"{name}{suffix}", root / f"{name}{suffix}")
    reopened = Household(root, clock)
    [notice] = notices.list_notices(reopened.service)
    assert (notice.partner, notice.pseudonym) == (CANARY, gym.got[0].pseudonym)
    with reopened.service.database.reading() as connection:
        assert connection.execute(sa.select(disclosure)).all() == []
    reopened.close()


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
