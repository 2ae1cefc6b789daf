"""Who was given something is told of a correction or an erasure, and a request is not fulfilled
before they answered, signed.
"""

import json
import shutil
from pathlib import Path

import pytest
import sqlalchemy as sa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cloud_agent.accounts.accounts import Account
from cloud_agent.errors import RefusedError, TareError, UsageError
from cloud_agent.privacy import erasure, notices, plan
from cloud_agent.readings import changes, listing
from cloud_agent.storage.partners_schema import disclosure, partner_pseudonym, recipient_notice
from cloud_agent.tests.household import Household, Scale
from cloud_agent.tests.privacy.partners.gym import CANARY, Gym, agree, as_ann, given, run, update


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
