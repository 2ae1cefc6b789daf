"""What is written to people about their requests. Pure; none of it holds data of theirs."""

from __future__ import annotations

from datetime import date
from typing import Final

from cloud_agent.privacy.requests.states import Kind, State

#: What a request is called in a sentence.
NAMES: Final = {
    Kind.ACCESS: "a copy of everything that is kept about you",
    Kind.PORTABILITY: "your readings in a form that other services can read",
    Kind.RECTIFICATION: "a correction of what is kept about you",
    Kind.ERASURE: "the erasure of your account and of everything that is kept about you",
    Kind.ERASURE_READINGS: "the erasure of all your readings; your account stays",
    Kind.RESTRICTION: "that your readings are kept, and not used any more",
    Kind.OBJECTION: "that nothing of yours goes to partners any more",
    Kind.CONSENT_WITHDRAWAL: "the end of your consent to the processing of your health data, and "
    "the erasure of your readings",
    Kind.UNCLEAR: "a request that we have to read first",
}

#: Why a request is refused (GDPR 12(4), 12(5), 12(6), 15(4), 17(3)).
REASONS: Final = {
    "no-match": "we keep nothing that we could put to you.",
    "identity": "we could not make sure that it was you who asked, and gave you the means to "
    "show it.",
    "unfounded": "what was asked for is manifestly not what the law gives a right to.",
    "excessive": "the same was asked for again and again, without anything having changed.",
    "legal-duty": "a law obliges us to keep what was asked to be erased.",
    "others-rights": "it would have harmed the rights of somebody else.",
}
EXTENSIONS: Final = {
    "complexity": "because it is a complex one",
    "number": "because of the number of requests",
}

_ROUTES: Final = """\
If you do not agree, you may complain to the authority for data protection of your country (in
France the CNIL, 3 place de Fontenoy, TSA 80715, 75334 Paris Cedex 07), and you may go to court.
"""


def confirm(kind: Kind, link: str, request: str) -> tuple[str, str]:
    """Title and text: somebody asked, by a way that proves nothing."""
    return (
        "Confirm your request",
        f"""\
We were asked for {NAMES[kind]}.

If it was you, open this link within a day and confirm it there:

    {link}

Nothing happens before. If it was not you, do nothing.

Request {request}
""",
    )


def received(kind: Kind, due: date, request: str) -> tuple[str, str]:
    """Title and text: it is here, and when the answer comes at the latest."""
    return (
        "Your request was received",
        f"""\
You asked for {NAMES[kind]}.

You will have the answer by {due:%d %B %Y} at the latest.

Request {request}
""",
    )


def stranger() -> tuple[str, str]:
    """Title and text for an address that has no account; it does not say so to anybody else."""
    return (
        "About your request",
        """\
We were written to from this address about data that we might keep.

We keep nothing under this address. If you have an account under another one, write from there,
or sign in and use the page for your data. By post, write your name and address: we answer by post.
""",
    )


def extended(reason: str, due: date, request: str) -> tuple[str, str]:
    """Title and text: it takes longer, and why (GDPR 12(3))."""
    return (
        "Your request takes longer",
        f"""\
We need more time for your request, {EXTENSIONS[reason]}. You will have the answer by
{due:%d %B %Y} at the latest.

{_ROUTES}
Request {request}
""",
    )


def refused(reason_code: str, request: str) -> tuple[str, str]:
    """Title and text: no, why, and where to complain (GDPR 12(4))."""
    return (
        "Your request was not carried out",
        f"""\
We have not done what was asked, for this reason: {REASONS[reason_code]}

{_ROUTES}
Request {request}
""",
    )


def by_post(kind: Kind, code: str, request: str) -> str:
    """A letter on paper with a code: whoever opens it lives at the address on file."""
    return f"""\
We have received your letter. You ask for {NAMES[kind]}.

To show that it was you, give this code within 30 days on the page for your data, or write it back
to us:

    {code}

Request {request}
"""


def done(kind: Kind, state: State, request: str) -> tuple[str, str]:
    """Title and text: it was done, with the receipt."""
    text = [f"It was done: {NAMES[kind]}."]
    if state is State.FULFILLED_WITH_EXCEPTIONS:
        text.append(
            "Some of it could not be reached or has to be kept: the receipt says what, why, and "
            "until when."
        )
    if kind in {Kind.ACCESS, Kind.PORTABILITY}:
        # Never in a letter: whoever reads the mailbox would have them.
        text.append("To take your data along, export them with your password: tare account export")
    text.append(
        "The attached receipt is signed. Keep it: the program verify_receipt.py checks it without "
        "us."
    )
    return "Your request was carried out", "\n\n".join([*text, f"Request {request}"]) + "\n"
