"""Letters that are written to stop the reader, to look proven, or to speak for somebody else."""

from __future__ import annotations

import pytest

from cloud_agent.mail import authentication, intent, parsing
from cloud_agent.mail.authentication import Score
from cloud_agent.mail.parsing import LetterError
from cloud_agent.privacy.requests.states import Kind

OURS = "mx.tare.example"
ANN = "ann@example.org"
WISH = "Please delete my account and all my data."


def letter(*head: str, text: str = WISH) -> bytes:
    return "\n".join((*head, "", text, "")).encode()


def html(body: str) -> bytes:
    return letter(f"From: {ANN}", "Subject: x", "Content-Type: text/html", text=body)


def wish_of(raw: bytes) -> Kind:
    read = parsing.parse(raw)
    (kind,) = intent.intents(read.title, read.text)
    return kind


class TestHeadsThatNobodyMeansToBeRead:
    @pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
    @pytest.mark.parametrize("fill", ["(", '"', ",", "@", "=?utf-8?q?a?= "])
    @pytest.mark.parametrize("name", ["From", "Subject", "Message-ID", "Content-Type"])
    def test_a_long_one_is_refused_unread(self, name: str, fill: str, end: str) -> None:
        """The standard library reads 50 kB of these for half a minute."""
        lines = (f"X: a{end}{name}: {fill * (50_000 // len(fill))}", f"From: {ANN}")
        with pytest.raises(LetterError, match="too long"):
            parsing.parse(letter(*lines))

    def test_a_folded_one_is_as_long(self) -> None:
        with pytest.raises(LetterError, match="too long"):
            parsing.parse(letter("From: ann", *([' "' * 10] * 100)))

    @pytest.mark.parametrize(
        "name", ["From", "Content-Type", "Content-Disposition", "Content-Transfer-Encoding"]
    )
    def test_parentheses_in_parentheses(self, name: str) -> None:
        """Its reader goes one call deeper for each."""
        try:
            read = parsing.parse(letter(f"{name}: " + "(" * 990, "From: ann@example.org"))
        except LetterError:
            return
        assert read.sender == ANN

    def test_of_a_part_in_a_part(self) -> None:
        head = (f"From: {ANN}", 'Content-Type: multipart/mixed; boundary="b"')
        part = f"--b\nContent-Type: text/plain; name={'(' * 5_000}\n\nx\n--b--"
        with pytest.raises(LetterError, match="too long"):
            parsing.parse(letter(*head, text=part))


PASS = f"{OURS}; dmarc=pass header.from=example.org"


class TestTheScore:
    @pytest.mark.parametrize(
        "header",
        [
            PASS,
            f"{OURS} 1; spf=pass smtp.mailfrom=x.org; dmarc=pass (p=none) header.from=example.org",
            f'{OURS}; dmarc=pass header.from="example.org"',
            f"{OURS}; DMARC = PASS header.from=EXAMPLE.ORG",
        ],
    )
    def test_aligned(self, header: str) -> None:
        assert authentication.score((header,), OURS, ANN) is Score.ALIGNED

    @pytest.mark.parametrize(
        "header",
        [
            f'{OURS}; spf=fail reason="; dmarc=pass header.from=example.org"',
            f"{OURS}; spf=fail (a \\); dmarc=pass header.from=example.org)",
            f"{OURS}; spf=fail (a (b) ; dmarc=pass header.from=example.org)",
            f"{OURS}; spf=fail =?utf-8?q?=3B_dmarc=3Dpass_header=2Efrom=3Dexample=2Eorg?=",
            f"{OURS}; dmarc=pass",
            f"{OURS}; dmarc=pass x-header.from=example.org",
            f"{OURS}; dmarc=pass header.from=evil.example smtp.header.from=example.org",
            f"{OURS}; dmarc=pass header.from=evil.example header.from=example.org",
            f"{OURS}; dmarc=fail header.from=example.org; dmarc=pass header.from=example.org",
            f"{OURS}; dmarc=pass header.from=example.org; dmarc=fail header.from=evil.example",
            f"{OURS}; dmarc=pass header.from=example.org.evil.example",
            f"{OURS}; dmarc=passed header.from=example.org",
            f'{OURS}; dmarc=pass header.from=example.org reason="no end',
            f"{OURS}; dmarc=pass header.from=example.org (no end",
            f"evil.example; x=({OURS}); dmarc=pass header.from=example.org",
            f"{OURS}; dmarc=pass header.from=example.org" + " " * 5_000,
        ],
    )
    def test_forged(self, header: str) -> None:
        assert authentication.score((header,), OURS, ANN) is not Score.ALIGNED

    def test_of_a_letter_with_an_encoded_word(self) -> None:
        forged = f"{OURS}; spf=fail =?utf-8?q?x=3B?= dmarc=pass header.from=example.org"
        read = parsing.parse(letter(f"Authentication-Results: {forged}", f"From: {ANN}"))
        assert read.results == (forged,)

    def test_both_spellings_of_a_domain(self) -> None:
        header = f"{OURS}; dmarc=pass header.from=xn--bcher-kva.example"
        assert authentication.score((header,), OURS, "a@bücher.example") is Score.ALIGNED


class TestWordsOfOthers:
    @pytest.mark.parametrize(
        "quoted",
        [
            f"-----Message original-----\n{WISH}",
            f"----- Mail original -----\n{WISH}",
            f"On Tue, 10 Nov 2026 at 09:13, Bob <bob@example.org>\nwrote:\n\n{WISH}",
            f"From: Bob\nSent: Tuesday\nTo: Ann\nSubject: x\n\n{WISH}",
            f"De : Bob\nEnvoyé : mardi\n\n{WISH}",
        ],
    )
    def test_quoted(self, quoted: str) -> None:
        head = (f"From: {ANN}", "Content-Type: text/plain; charset=utf-8")
        assert wish_of(letter(*head, text=f"See below.\n\n{quoted}")) is Kind.UNCLEAR

    @pytest.mark.parametrize(
        "body",
        [
            f"<p>Hello</p><div hidden>{WISH}</div>",
            f'<p>Hello</p><div style="opacity: 0">{WISH}</div>',
            f'<p>Hello</p><div style="max-height: 0px">{WISH}</div>',
            f'<p>Hello</p><div class="gmail_quote">{WISH}</div>',
            f"<p>Hello</p><blockquote>{WISH}</blockquote>",
        ],
    )
    def test_not_shown_or_not_written(self, body: str) -> None:
        assert wish_of(html(body)) is Kind.UNCLEAR

    def test_a_head_without_end_hides_no_letter(self) -> None:
        assert wish_of(html(f"<html><head><title>x<body><p>{WISH}</p>")) is Kind.ERASURE

    def test_a_letter_in_a_letter(self) -> None:
        head = (f"From: {ANN}", 'Content-Type: multipart/mixed; boundary="b"')
        inner = f"--b\nContent-Type: message/rfc822\n\nFrom: bob@example.org\n\n{WISH}\n--b--"
        read = parsing.parse(letter(*head, text=inner))
        assert (read.text, read.attachments) == ("", 1)

    def test_a_named_text_is_an_attachment(self) -> None:
        head = (f"From: {ANN}", 'Content-Type: multipart/mixed; boundary="b"')
        inner = f'--b\nContent-Type: text/plain; name="old.txt"\n\n{WISH}\n--b--'
        read = parsing.parse(letter(*head, text=inner))
        assert (read.text, read.attachments) == ("", 1)

    @pytest.mark.parametrize("prefix", ["Re", "RE", "TR", "Fwd", "AW"])
    def test_the_title_of_what_is_answered(self, prefix: str) -> None:
        title = f"Subject: {prefix}: delete my account"
        assert wish_of(letter(f"From: {ANN}", title, text="Thank you.")) is Kind.UNCLEAR
        assert wish_of(letter(f"From: {ANN}", title, text=WISH)) is Kind.ERASURE


class TestPrograms:
    def test_a_name_is_no_address(self) -> None:
        assert not parsing.parse(letter(f'From: "noreply" <{ANN}>')).automatic
        assert parsing.parse(letter("From: Ann <noreply@example.org>")).automatic
