"""Letters leave sealed storage only into the postbox they are for, and are never lost."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from aiosmtpd.controller import Controller

from cloud_agent.errors import UsageError
from cloud_agent.mail import outgoing, transport
from cloud_agent.mail.outgoing import Letter
from cloud_agent.privacy import erasure
from cloud_agent.storage.mail_schema import letter as table
from cloud_agent.tests.household import Household
from cloud_agent.tests.mail.postbox import Postbox, in_folder


@pytest.fixture
def postbox() -> Iterator[tuple[Postbox, str]]:
    handler = Postbox()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    server = Controller(handler, hostname="127.0.0.1", port=port)
    server.start()
    yield handler, f"smtp://127.0.0.1:{port}"
    server.stop()


@pytest.fixture
def by_smtp(
    tmp_path: Path, postbox: tuple[Postbox, str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Household]:
    monkeypatch.setenv("TARE_SMTP_URL", postbox[1])
    opened = Household(tmp_path / "data")
    yield opened
    opened.close()


def place(
    household: Household,
    subject: bytes | None,
    text: str = "Grüße, Ann",
    to: str = "ann@example.org",
) -> bytes:
    service = household.service
    letter = Letter(subject, "test", to, "Hello", text)
    return service.writer.call(
        lambda c: outgoing.place(c, service.vault, letter, household.clock())
    )


def states(household: Household) -> list[tuple[str, int, bool]]:
    query = sa.select(table.c.state, table.c.tries, table.c.ciphertext.is_not(None))
    with household.service.database.reading() as connection:
        return [(row[0], row[1], bool(row[2])) for row in connection.execute(query)]


class TestSmtp:
    def test_a_letter_arrives_once_and_is_not_kept(
        self, by_smtp: Household, postbox: tuple[Postbox, str]
    ) -> None:
        ann = by_smtp.open_account("ann@example.org")
        place(by_smtp, ann.subject)
        assert outgoing.send_due(by_smtp.service) == 1
        assert outgoing.send_due(by_smtp.service) == 0
        [letter] = postbox[0].letters
        assert letter["To"] == "ann@example.org"
        assert letter["Auto-Submitted"] == "auto-generated"
        assert letter.get_content().strip() == "Grüße, Ann"
        assert states(by_smtp) == [("sent", 0, False)]

    def test_a_server_that_refuses_gets_it_later(
        self, by_smtp: Household, postbox: tuple[Postbox, str]
    ) -> None:
        place(by_smtp, by_smtp.open_account("ann@example.org").subject)
        postbox[0].refusing = True
        assert outgoing.send_due(by_smtp.service) == 0
        postbox[0].refusing = False
        assert outgoing.send_due(by_smtp.service) == 0, "it waits a minute before the next try"
        by_smtp.clock.now_s += 60
        assert outgoing.send_due(by_smtp.service) == 1
        assert len(postbox[0].letters) == 1

    def test_it_gives_up_after_days_and_keeps_nothing(
        self, by_smtp: Household, postbox: tuple[Postbox, str]
    ) -> None:
        place(by_smtp, by_smtp.open_account("ann@example.org").subject)
        postbox[0].refusing = True
        for _ in range(45):
            outgoing.send_due(by_smtp.service)
            by_smtp.clock.now_s += 6 * 3_600
        assert states(by_smtp) == [("failed", 40, False)]

    def test_a_waiting_letter_of_somebody_erased_is_never_sent(
        self, by_smtp: Household, postbox: tuple[Postbox, str]
    ) -> None:
        ann = by_smtp.open_account("ann@example.org")
        place(by_smtp, ann.subject)
        erasure.erase(by_smtp.service, ann)
        assert outgoing.send_due(by_smtp.service) == 0
        assert postbox[0].letters == []


def test_a_waiting_letter_is_sealed(household: Household) -> None:
    text = "a text that would be found"
    place(household, household.open_account("ann@example.org").subject, text)
    place(household, None, text)
    files = [path for path in household.service.folder.root.rglob("*") if path.is_file()]
    assert not [path.name for path in files if text.encode() in path.read_bytes()]
    outgoing.send_due(household.service)
    assert len(in_folder(household.service.folder.mail)) == 2


def test_copies_in_files_go_with_the_person(household: Household) -> None:
    ann, bob = (household.open_account(f"{name}@example.org") for name in ("ann", "bob"))
    place(household, ann.subject)
    place(household, bob.subject, to="bob@example.org")
    outgoing.send_due(household.service)
    assert len(in_folder(household.service.folder.mail)) == 2
    report = erasure.erase(household.service, ann)
    assert report.state == "proven"
    assert len(in_folder(household.service.folder.mail)) == 1


def test_a_letter_in_a_file_is_looked_for_by_the_erasure(household: Household) -> None:
    """The control: a copy that no row knows is found, and the erasure says that it failed."""
    ann = household.open_account("ann.canary@example.org")
    stray = household.service.folder.mail / "stray.eml"
    stray.write_text("To: ann.canary@example.org")
    report = erasure.erase(household.service, ann)
    assert report.state == "failed"
    assert report.found_after == {"mail/stray.eml": 1}


@pytest.mark.parametrize(
    "url",
    [
        "smtp://mail.example.org",  # no TLS beyond this machine
        "smtps://user:password@mail.example.org",  # every process would see it
        "http://mail.example.org",
        "smtps://",
        "smtps://host:port",
    ],
)
def test_what_is_no_safe_mail_server_is_refused(url: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        transport.choose(tmp_path, {"TARE_SMTP_URL": url})


def test_the_password_is_in_no_message(tmp_path: Path) -> None:
    chosen = transport.choose(
        tmp_path,
        {"TARE_SMTP_URL": "smtps://u@127.0.0.1:1", "TARE_SMTP_PASSWORD": "swordfish"},
    )
    with pytest.raises(transport.MailError) as caught:
        chosen.send("name", outgoing._message(Letter(None, "t", "a@b.c", "t", "t"), b"1" * 16))
    assert "swordfish" not in str(caught.value)
