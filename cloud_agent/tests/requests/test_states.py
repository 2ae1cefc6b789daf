"""No request is fulfilled by saying so: every path to the end goes through its evidence."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud_agent.privacy.requests import states
from cloud_agent.privacy.requests.states import FINAL, Evidence, Proof, State, StepState

DONE, WAITING, FAILED = StepState.DONE, StepState.WAITING, StepState.FAILED

EVIDENCE = st.builds(
    Evidence,
    verified=st.booleans(),
    asked_for_more=st.booleans(),
    refused=st.booleans(),
    revoked=st.booleans(),
    duplicate=st.booleans(),
    expired=st.booleans(),
    steps=st.lists(st.sampled_from(StepState), max_size=3).map(tuple),
    open_notices=st.integers(0, 2),
    proof=st.sampled_from(Proof),
    exceptions=st.integers(0, 2),
)


@pytest.mark.parametrize(
    ("evidence", "expected"),
    [
        (Evidence(), State.UNVERIFIED),
        (Evidence(asked_for_more=True), State.NEEDS_VERIFICATION),
        (Evidence(verified=True), State.VERIFIED),
        (Evidence(verified=True, steps=(DONE, WAITING)), State.IN_PROGRESS),
        (Evidence(verified=True, steps=(DONE, FAILED)), State.ERROR),
        (Evidence(verified=True, steps=(DONE,), open_notices=1), State.AWAITING_RECIPIENTS),
        (Evidence(verified=True, steps=(DONE,), proof=Proof.RUNNING), State.VERIFYING),
        (Evidence(verified=True, steps=(DONE,), proof=Proof.CLEAN), State.FULFILLED),
        (
            Evidence(verified=True, steps=(DONE,), proof=Proof.UNCONFIRMED),
            State.FULFILLED_WITH_EXCEPTIONS,
        ),
        (Evidence(verified=True, steps=(DONE,), exceptions=1), State.FULFILLED_WITH_EXCEPTIONS),
        (Evidence(refused=True), State.DENIED),
        (Evidence(revoked=True), State.REVOKED),
        (Evidence(duplicate=True, verified=True), State.DUPLICATE),
        (Evidence(expired=True), State.EXPIRED),
    ],
)
def test_the_table(evidence: Evidence, expected: State) -> None:
    assert states.state(evidence) is expected


@given(EVIDENCE)
def test_fulfilled_means_that_everything_was_done_and_shown(evidence: Evidence) -> None:
    if states.state(evidence) in {State.FULFILLED, State.FULFILLED_WITH_EXCEPTIONS}:
        assert evidence.verified
        assert evidence.steps
        assert set(evidence.steps) == {DONE}
        assert evidence.open_notices == 0
        assert evidence.proof is not Proof.RUNNING
    if states.state(evidence) is State.FULFILLED:
        assert evidence.exceptions == 0
        assert evidence.proof is not Proof.UNCONFIRMED


@given(EVIDENCE)
def test_nothing_is_worked_on_for_somebody_unknown(evidence: Evidence) -> None:
    unknown = replace(evidence, verified=False)
    allowed = {State.UNVERIFIED, State.NEEDS_VERIFICATION} | (FINAL - {State.FULFILLED})
    assert states.state(unknown) in allowed


@given(EVIDENCE)
def test_what_was_begun_cannot_be_taken_back_or_refused(evidence: Evidence) -> None:
    if evidence.steps:
        assert not states.may_revoke(evidence)
        assert not states.may_refuse(evidence)
