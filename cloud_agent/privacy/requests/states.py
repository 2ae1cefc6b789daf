"""What state a request is in: derived from what has been recorded, set by nobody. Pure.

A request is fulfilled when the evidence says so: every step done, every recipient answered or
given up with a reason, the proof of an erasure clean. There is no column that could say it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Kind(StrEnum):
    """What is asked for (GDPR article)."""

    ACCESS = "access"  # 15
    PORTABILITY = "portability"  # 20
    RECTIFICATION = "rectification"  # 16
    ERASURE = "erasure"  # 17, everything
    ERASURE_READINGS = "erasure-readings"  # 17, the readings; the account stays
    RESTRICTION = "restriction"  # 18
    OBJECTION = "objection"  # 21
    CONSENT_WITHDRAWAL = "consent-withdrawal"  # 7(3)
    UNCLEAR = "unclear"  # a person has to read it; the time runs


class Channel(StrEnum):
    """How it came."""

    SELF = "self"  # the signed-in person
    EMAIL = "email"
    POST = "post"


class State(StrEnum):
    """Where it stands. The last six are final."""

    UNVERIFIED = "identity-unverified"
    NEEDS_VERIFICATION = "need-user-verification"  # asked for more; the time stands still
    VERIFIED = "verified"
    IN_PROGRESS = "in-progress"
    ERROR = "error"  # a step failed; it is tried again, and the time runs
    AWAITING_RECIPIENTS = "awaiting-recipients"
    VERIFYING = "verifying"
    FULFILLED = "fulfilled"
    FULFILLED_WITH_EXCEPTIONS = "fulfilled-with-exceptions"
    DENIED = "denied"
    REVOKED = "revoked"
    DUPLICATE = "duplicate"
    EXPIRED = "expired"


FINAL: Final = frozenset(list(State)[-6:])


class StepState(StrEnum):
    """One step of the work."""

    WAITING = "waiting"
    DONE = "done"
    FAILED = "failed"  # the last try; another follows


class Proof(StrEnum):
    """What the evidence of an erasure says. NONE: the kind of request needs none."""

    NONE = "none"
    RUNNING = "running"
    CLEAN = "clean"
    UNCONFIRMED = "unconfirmed"  # clean here; a device stayed away, or a control had failed


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What is recorded of one request. `open_notices`: recipients that have not answered;
    `exceptions`: what was kept, with its ground, or could not be reached.
    """

    verified: bool = False
    asked_for_more: bool = False
    refused: bool = False
    revoked: bool = False
    duplicate: bool = False
    expired: bool = False
    steps: tuple[StepState, ...] = ()
    open_notices: int = 0
    proof: Proof = Proof.NONE
    exceptions: int = 0


def state(evidence: Evidence) -> State:
    """The state that the evidence comes to."""
    ended = _ended(evidence)
    if ended is not None:
        return ended
    if not evidence.verified:
        return State.NEEDS_VERIFICATION if evidence.asked_for_more else State.UNVERIFIED
    return _worked(evidence)


def _ended(evidence: Evidence) -> State | None:
    for happened, result in (
        (evidence.duplicate, State.DUPLICATE),
        (evidence.refused, State.DENIED),
        (evidence.revoked, State.REVOKED),
        (evidence.expired, State.EXPIRED),
    ):
        if happened:
            return result
    return None


def _worked(evidence: Evidence) -> State:
    unreached = evidence.exceptions or evidence.proof is Proof.UNCONFIRMED
    for holds, result in (
        (not evidence.steps, State.VERIFIED),
        (StepState.FAILED in evidence.steps, State.ERROR),
        (StepState.WAITING in evidence.steps, State.IN_PROGRESS),
        (evidence.open_notices, State.AWAITING_RECIPIENTS),
        (evidence.proof is Proof.RUNNING, State.VERIFYING),
        (unreached, State.FULFILLED_WITH_EXCEPTIONS),
    ):
        if holds:
            return result
    return State.FULFILLED


def may_revoke(evidence: Evidence) -> bool:
    """Until the first step has begun: what is destroyed cannot be called back."""
    return _ended(evidence) is None and not evidence.steps


def may_refuse(evidence: Evidence) -> bool:
    """Until the first step has begun."""
    return may_revoke(evidence)


def may_extend(evidence: Evidence) -> bool:
    """While it is open; that it is once, and in the first month, its caller checks."""
    return state(evidence) not in FINAL
