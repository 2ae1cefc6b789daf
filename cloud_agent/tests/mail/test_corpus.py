"""Seventy letters as people, programs and attackers write them, and what each must be taken for."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud_agent.mail import authentication, intent, parsing
from cloud_agent.mail.authentication import Score
from cloud_agent.mail.parsing import LetterError
from cloud_agent.privacy.requests.states import Kind

CORPUS = Path(__file__).parent / "corpus"
ANN = "ann@example.org"

# Name of the file -> what it asks for. Not here: refused, or of a program.
WISHES = {
    "en_erase_account": Kind.ERASURE,
    "en_erase_readings": Kind.ERASURE_READINGS,
    "en_access": Kind.ACCESS,
    "en_portability": Kind.PORTABILITY,
    "en_rectification": Kind.RECTIFICATION,
    "en_restriction": Kind.RESTRICTION,
    "en_objection": Kind.OBJECTION,
    "en_withdraw_consent": Kind.CONSENT_WITHDRAWAL,
    "en_article_17": Kind.ERASURE,
    "fr_effacer_compte": Kind.ERASURE,
    "fr_effacer_mesures": Kind.ERASURE_READINGS,
    "fr_acces": Kind.ACCESS,
    "fr_portabilite": Kind.PORTABILITY,
    "fr_rectification": Kind.RECTIFICATION,
    "fr_limitation": Kind.RESTRICTION,
    "fr_opposition": Kind.OBJECTION,
    "fr_retrait": Kind.CONSENT_WITHDRAWAL,
    "fr_oubli": Kind.ERASURE,
    "fr_latin1_quoted_printable": Kind.ERASURE,
    "fr_base64": Kind.ERASURE,
    "en_utf16_base64": Kind.ERASURE,
    "fr_wrong_charset": Kind.ERASURE,
    "fr_unknown_charset": Kind.ERASURE,
    "en_no_mime": Kind.ERASURE,
    "en_long_lines": Kind.ERASURE,
    "en_nul_bytes": Kind.ERASURE,
    "en_broken_line": Kind.ERASURE,
    "en_html_only": Kind.ERASURE,
    "en_html_hidden_text": Kind.UNCLEAR,
    "en_alternative": Kind.ACCESS,
    "en_html_injection": Kind.ERASURE,
    "en_reply_quotes_old_wish": Kind.UNCLEAR,
    "fr_forwarded": Kind.UNCLEAR,
    "en_forwarded_outlook": Kind.UNCLEAR,
    "en_signature_wish": Kind.UNCLEAR,
    "en_top_posted_wish": Kind.ERASURE,
    "en_negation": Kind.UNCLEAR,
    "fr_negation": Kind.UNCLEAR,
    "en_question": Kind.UNCLEAR,
    "en_two_wishes": Kind.UNCLEAR,
    "en_partial": Kind.UNCLEAR,
    "en_unrelated": Kind.UNCLEAR,
    "en_past": Kind.UNCLEAR,
    "de_unknown_language": Kind.UNCLEAR,
    "empty_with_scan": Kind.UNCLEAR,
    "smime_signed": Kind.ERASURE,
    "auth_aligned": Kind.ERASURE,
    "auth_failed": Kind.ERASURE,
    "auth_forged_below_ours": Kind.ERASURE,
    "auth_of_another_server": Kind.ERASURE,
    "auth_in_a_comment": Kind.ERASURE,
    "auth_of_another_domain": Kind.ERASURE,
    "sender_uppercase": Kind.ERASURE,
    "sender_plus": Kind.ERASURE,
    "sender_idn": Kind.ERASURE,
    "sender_display_lies": Kind.ERASURE,
    "auto_submitted_no": Kind.ERASURE,
    "shape_unclosed_html": Kind.ERASURE,
    "shape_header_injection": Kind.ERASURE,
    "shape_rtl_override": Kind.ERASURE,
    "shape_only_head": Kind.ERASURE,
}
PROGRAMS = {
    "auto_out_of_office",
    "auto_bounce",
    "auto_mailing_list",
    "auto_precedence_bulk",
    "auto_null_return_path",
}
REFUSED = {
    "sender_two_from",
    "sender_two_in_one",
    "sender_none",
    "sender_no_address",
    "shape_deep",
    "shape_many_parts",
    "shape_empty",
}
SCORES = {
    "auth_aligned": Score.ALIGNED,
    "auth_failed": Score.NOT_ALIGNED,
    "auth_forged_below_ours": Score.NOT_ALIGNED,
    "auth_of_another_server": Score.NOT_CHECKED,
    "auth_in_a_comment": Score.NOT_ALIGNED,
    "auth_of_another_domain": Score.NOT_ALIGNED,
    "en_access": Score.NOT_CHECKED,
}
SENDERS = {
    "sender_uppercase": ANN,
    "sender_plus": "ann+scale@example.org",
    "sender_display_lies": "evil@evil.example",
    "en_access": ANN,
}


def raw(name: str) -> bytes:
    return (CORPUS / f"{name}.eml").read_bytes()


def test_every_letter_is_in_the_table() -> None:
    names = {path.stem for path in CORPUS.glob("*.eml")}
    assert names == set(WISHES) | PROGRAMS | REFUSED
    assert len(names) >= 40


@pytest.mark.parametrize("name", WISHES)
def test_what_it_asks_for(name: str) -> None:
    letter = parsing.parse(raw(name))
    assert not letter.automatic
    assert intent.intents(letter.title, letter.text) == (WISHES[name],)


@pytest.mark.parametrize("name", sorted(PROGRAMS))
def test_programs_are_known(name: str) -> None:
    assert parsing.parse(raw(name)).automatic


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_what_is_no_letter_is_refused(name: str) -> None:
    with pytest.raises(LetterError):
        parsing.parse(raw(name))


@pytest.mark.parametrize("name", SCORES)
def test_the_score(name: str) -> None:
    letter = parsing.parse(raw(name))
    found = authentication.score(letter.results, "mx.tare.example", letter.sender)
    assert found is SCORES[name]


@pytest.mark.parametrize("name", SENDERS)
def test_the_sender(name: str) -> None:
    assert parsing.parse(raw(name)).sender == SENDERS[name]


def test_a_letter_is_the_same_whatever_stands_in_front_of_it() -> None:
    letter = raw("en_access")
    hops = b"Received: from a by b; Tue, 10 Nov 2026 09:13:00 +0100\n"
    assert parsing.parse(hops + letter).digest == parsing.parse(letter).digest
    assert parsing.parse(raw("fr_acces")).digest != parsing.parse(letter).digest


def test_too_long() -> None:
    with pytest.raises(LetterError, match="1 MiB"):
        parsing.parse(raw("en_access") + b"x" * parsing.MAX_SIZE)


@given(data=st.data())
def test_nothing_that_comes_by_mail_breaks_the_reader(data: st.DataObject) -> None:
    """Letters of the corpus, cut, spliced and sprinkled with noise."""
    name = data.draw(st.sampled_from(sorted(path.stem for path in CORPUS.glob("*.eml"))))
    letter = bytearray(raw(name))
    for _ in range(data.draw(st.integers(0, 5))):
        place = data.draw(st.integers(0, max(len(letter) - 1, 0)))
        noise = data.draw(st.binary(max_size=8))
        letter[place : place + data.draw(st.integers(0, 20))] = noise
    try:
        read = parsing.parse(bytes(letter))
    except LetterError:
        return
    assert intent.intents(read.title, read.text)
    authentication.score(read.results, "mx.tare.example", read.sender)


@given(st.binary(max_size=500))
def test_noise_is_refused_or_read(noise: bytes) -> None:
    try:
        parsing.parse(noise)
    except LetterError:
        return
