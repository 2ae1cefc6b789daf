"""Letters arrive over LMTP and from a real mailbox, once each, and prove nobody."""

from __future__ import annotations

import asyncio
import imaplib
import os
import pwd
import shutil
import smtplib
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cloud_agent.accounts.accounts import Account
from cloud_agent.errors import TareError, UsageError
from cloud_agent.mail import imap, lmtp
from cloud_agent.mail.imap import Mailbox
from cloud_agent.mail.lmtp import LmtpServer
from cloud_agent.mail.transport import MailError
from cloud_agent.privacy.requests import intake, record
from cloud_agent.privacy.requests.states import Channel, Kind, State
from cloud_agent.tests.household import Household
from cloud_agent.tests.mail.postbox import in_folder
from cloud_agent.tests.mail.test_corpus import PROGRAMS, REFUSED, WISHES, raw

DOVECOT = shutil.which("dovecot", path=os.environ.get("PATH", "") + ":/usr/sbin")


@pytest.fixture
def ann(household: Household) -> Account:
    return household.open_account("ann@example.org", "Ann")


def requests(household: Household) -> list[record.Request]:
    return record.list_requests(household.service)


def letters(household: Household) -> list[tuple[str, str]]:
    found = in_folder(household.service.folder.mail)
    return [(letter["To"], letter["Subject"]) for letter in found]


class TestWhatBecomesOfIt:
    def test_a_wish_opens_a_request_and_asks_the_address_on_file(
        self, household: Household, ann: Account
    ) -> None:
        intake.receive(household.service, raw("fr_effacer_compte"))
        [found] = requests(household)
        assert (found.kind, found.channel, found.state) == (
            Kind.ERASURE,
            Channel.EMAIL,
            State.UNVERIFIED,
        )
        assert found.subject == ann.subject
        assert letters(household) == [("ann@example.org", "Confirm your request")]

    @pytest.mark.parametrize("name", ["auth_failed", "auth_aligned", "en_erase_account"])
    def test_what_the_mail_server_found_changes_nothing_but_the_note(
        self, household: Household, ann: Account, monkeypatch: pytest.MonkeyPatch, name: str
    ) -> None:
        del ann
        monkeypatch.setenv("TARE_MAIL_AUTHSERV", "mx.tare.example")
        intake.receive(household.service, raw(name))
        [found] = requests(household)
        assert found.state is State.UNVERIFIED
        assert letters(household) == [("ann@example.org", "Confirm your request")]
        note = record.note_of(household.service, found.id).text
        said = {"auth_failed": "not-aligned", "auth_aligned": "aligned"}.get(name, "not-checked")
        assert note is not None
        assert f"sender: {said}" in note

    def test_an_unclear_one_starts_the_clock_and_waits_for_a_person(
        self, household: Household, ann: Account
    ) -> None:
        del ann
        intake.receive(household.service, raw("en_two_wishes"))
        [found] = requests(household)
        assert found.kind is Kind.UNCLEAR
        assert letters(household) == [("ann@example.org", "Your request was received")]
        note = record.note_of(household.service, found.id)
        assert "Then delete my account." in (note.text or "")

    def test_a_stranger_learns_nothing(self, household: Household) -> None:
        intake.receive(household.service, raw("en_access"))
        [(to, title)] = letters(household)
        assert (to, title) == ("ann@example.org", "About your request")
        assert requests(household)[0].subject is None

    @pytest.mark.parametrize("name", sorted(PROGRAMS | REFUSED))
    def test_programs_and_noise_get_no_answer(
        self, household: Household, ann: Account, name: str
    ) -> None:
        del ann
        assert intake.receive(household.service, raw(name)) is None
        assert (requests(household), letters(household)) == ([], [])

    def test_the_same_letter_again_changes_nothing(
        self, household: Household, ann: Account
    ) -> None:
        del ann
        for _ in range(3):
            intake.receive(household.service, raw("en_access"))
        assert (len(requests(household)), len(letters(household))) == (1, 1)

    def test_nobody_is_bombed_with_mail(self, household: Household, ann: Account) -> None:
        del ann
        for number in range(40):
            letter = raw("en_access").replace(b".corpus@", b".%d@" % number)
            intake.receive(household.service, letter)
        assert len(requests(household)) == 40
        assert len(letters(household)) == 5

    def test_a_whole_corpus_is_taken_by_one_household(
        self, household: Household, ann: Account
    ) -> None:
        del ann
        for name in WISHES:
            intake.receive(household.service, raw(name))
        assert all(found.state is State.UNVERIFIED for found in requests(household))


class TestLmtp:
    def hand_over(self, receive: Callable[[bytes], object], talk: Callable[[int], Any]) -> Any:
        async def run() -> Any:
            server = LmtpServer("127.0.0.1", 0, receive)
            port = await server.start()
            try:
                return await asyncio.to_thread(talk, port)
            finally:
                await server.stop()

        return asyncio.run(run())

    def test_a_letter_is_durable_before_it_is_taken(
        self, household: Household, ann: Account
    ) -> None:
        del ann

        def talk(port: int) -> None:
            with smtplib.LMTP("127.0.0.1", port) as client:
                client.sendmail("ann@example.org", ["privacy@tare.example"], raw("fr_acces"))
                assert len(requests(household)) == 1

        self.hand_over(lambda letter: intake.receive(household.service, letter), talk)

    @pytest.mark.parametrize("error", [TareError("ann's disk"), KeyError("ann's disk")])
    def test_one_that_cannot_be_kept_is_brought_again(
        self, error: Exception, caplog: pytest.LogCaptureFixture
    ) -> None:
        def fail(_letter: bytes) -> None:
            raise error

        def talk(port: int) -> tuple[int, bytes | str]:
            with (
                smtplib.LMTP("127.0.0.1", port) as client,
                pytest.raises(smtplib.SMTPDataError) as caught,
            ):
                client.sendmail("ann@example.org", ["privacy@tare.example"], raw("fr_acces"))
            return caught.value.smtp_code, caught.value.smtp_error

        assert self.hand_over(fail, talk) == (451, b"4.3.0 try again later")
        assert "ann" not in caplog.text
        assert type(error).__name__ in caplog.text

    def test_a_paragraph_is_one_line(self) -> None:
        taken: list[bytes] = []

        def talk(port: int) -> dict[str, Any]:
            with smtplib.LMTP("127.0.0.1", port) as client:
                return client.sendmail("a@x.example", ["b@x.example"], b"x\r\n\r\n" + b"y " * 9_000)

        assert self.hand_over(taken.append, talk) == {}
        assert len(taken) == 1

    def test_a_second_recipient_has_to_wait(self) -> None:
        taken: list[bytes] = []

        def talk(port: int) -> dict[str, Any]:
            with smtplib.LMTP("127.0.0.1", port) as client:
                return client.sendmail("a@example.org", ["one@x.example", "two@x.example"], b"x")

        refused = self.hand_over(taken.append, talk)
        assert (list(refused), len(taken)) == (["two@x.example"], 1)

    @pytest.mark.parametrize("text", ["0.0.0.0:25", "192.0.2.1:24", "localhost", "127.0.0.1:x"])
    def test_only_this_machine_hands_letters_over(self, text: str) -> None:
        with pytest.raises(UsageError):
            lmtp.parse_address(text)


@pytest.fixture
def mailbox(tmp_path: Path) -> Iterator[Mailbox]:
    """A mailbox in Dovecot, on loopback."""
    if DOVECOT is None or os.geteuid() != 0:
        pytest.skip("Dovecot is not installed, or cannot be started by this user")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    # Dovecot refuses to deliver for root; its own user may own the mailbox.
    person = pwd.getpwnam("dovecot")
    base = Path("/run") / f"tare-{port}"
    mail = base / "mail"
    mail.mkdir(parents=True)
    for folder in (base, mail):
        os.chown(folder, person.pw_uid, person.pw_gid)
    config = tmp_path / "dovecot.conf"
    config.write_text(
        f"""
base_dir = {base}/run
log_path = {tmp_path}/dovecot.log
protocols = imap
ssl = no
disable_plaintext_auth = no
listen = 127.0.0.1
first_valid_uid = 1
mail_location = maildir:{mail}
mail_uid = {person.pw_uid}
mail_gid = {person.pw_gid}
service imap-login {{
  chroot =
  inet_listener imap {{
    port = {port}
  }}
  inet_listener imaps {{
    port = 0
  }}
}}
passdb {{
  driver = static
  args = password=swordfish
}}
userdb {{
  driver = static
  args = uid={person.pw_uid} gid={person.pw_gid} home={base}
}}
"""
    )
    with subprocess.Popen([DOVECOT, "-F", "-c", str(config)]) as server:
        box = Mailbox("imap", "127.0.0.1", port, "privacy", "swordfish", "INBOX")
        try:
            _await(box, tmp_path / "dovecot.log")
            yield box
        finally:
            server.terminate()
            server.wait(20)
            shutil.rmtree(base)


def _await(box: Mailbox, log: Path) -> None:
    deadline_s = time.monotonic() + 20
    while True:
        try:
            box.fetch(lambda _letter: None)
        except MailError:
            assert time.monotonic() < deadline_s, log.read_text() if log.exists() else "no log"
            time.sleep(0.1)
        else:
            return


def put(box: Mailbox, letter: bytes) -> None:
    with imaplib.IMAP4(box.host, box.port) as client:
        client.login(box.user, box.password)
        client.append("INBOX", "", imaplib.Time2Internaldate(time.time()), letter)


def count(box: Mailbox) -> int:
    with imaplib.IMAP4(box.host, box.port) as client:
        client.login(box.user, box.password)
        return int((client.select("INBOX")[1][0] or b"0").decode())


class TestMailbox:
    def test_each_letter_is_taken_once_and_gone(
        self, household: Household, ann: Account, mailbox: Mailbox
    ) -> None:
        del ann
        for name in ("fr_acces", "en_erase_readings", "auto_bounce"):
            put(mailbox, raw(name))
        taken = mailbox.fetch(lambda letter: intake.receive(household.service, letter))
        assert (taken, count(mailbox)) == (3, 0)
        kinds = {found.kind for found in requests(household)}
        assert kinds == {Kind.ACCESS, Kind.ERASURE_READINGS}
        assert mailbox.fetch(lambda _letter: None) == 0

    def test_one_that_cannot_be_kept_stays(self, mailbox: Mailbox) -> None:
        def fail(_letter: bytes) -> None:
            raise TareError("the disk is full")

        put(mailbox, raw("fr_acces"))
        with pytest.raises(TareError, match="disk is full"):
            mailbox.fetch(fail)
        assert count(mailbox) == 1

    def test_one_that_is_too_long_stays_for_a_person(self, mailbox: Mailbox) -> None:
        put(mailbox, raw("fr_acces") + b"x" * 1_100_000)
        put(mailbox, raw("en_access"))
        taken: list[bytes] = []
        assert mailbox.fetch(taken.append) == 1
        assert count(mailbox) == 1
        assert mailbox.fetch(taken.append) == 0

    def test_a_wrong_password_is_said_without_it(self, mailbox: Mailbox) -> None:
        wrong = Mailbox("imap", mailbox.host, mailbox.port, "privacy", "sesame", "INBOX")
        with pytest.raises(MailError) as caught:
            wrong.fetch(lambda _letter: None)
        assert "sesame" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "imap://privacy@mail.example.org/INBOX",
        "imaps://mail.example.org",
        "imaps://privacy:secret@mail.example.org",
        "pop3://privacy@mail.example.org",
    ],
)
def test_what_is_no_safe_mailbox_is_refused(url: str) -> None:
    with pytest.raises(UsageError):
        imap.choose({"TARE_IMAP_URL": url})
