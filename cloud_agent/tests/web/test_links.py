"""The pages behind the links of letters: what a browser, a mail scanner and a stranger get."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from starlette.testclient import TestClient

from cloud_agent.accounts import accounts, changes
from cloud_agent.accounts.accounts import Account
from cloud_agent.privacy.requests import acts, post, record
from cloud_agent.privacy.requests.acts import NewRequest
from cloud_agent.privacy.requests.states import Channel, Kind
from cloud_agent.tests.household import Household
from cloud_agent.tests.mail.postbox import in_folder, link_in
from cloud_agent.web.app import application
from cloud_agent.web.guard import MAX_BODY

HERE = {"sec-fetch-site": "same-origin"}
NEW_PASSWORD = "eleven quiet lamps glow"


@pytest.fixture
def ann(household: Household) -> Account:
    return household.open_account("ann@example.org", "Ann")


@pytest.fixture
def browser(household: Household) -> Iterator[TestClient]:
    with TestClient(application(household.service), base_url="http://127.0.0.1") as client:
        yield client


def erasure_link(household: Household, account: Account) -> str:
    new = NewRequest(
        kind=Kind.ERASURE,
        channel=Channel.EMAIL,
        received_s=household.clock(),
        subject=account.subject,
    )
    request, _ = acts.open_request(household.service, new)
    post.ask_to_confirm(household.service, record.get(household.service, request))
    return "/request/" + link_in(in_folder(household.service.folder.mail)[-1])


class TestRequest:
    def test_opening_the_link_shows_and_the_button_does(
        self, household: Household, ann: Account, browser: TestClient
    ) -> None:
        link = erasure_link(household, ann)
        for method in ("GET", "HEAD", "GET"):
            assert browser.request(method, link).status_code == 200
        assert "the erasure of your account" in browser.get(link).text
        assert accounts.by_id(household.service.database, ann.id) == ann
        done = browser.post(link, headers=HERE)
        assert done.status_code == 200
        assert "It is done." in done.text
        assert "The signed receipt" in done.text
        assert accounts.by_id(household.service.database, ann.id) is None
        assert browser.get(link).status_code == 403
        assert browser.post(link, headers=HERE).status_code == 403

    @pytest.mark.parametrize(
        "headers",
        [
            {},
            {"sec-fetch-site": "cross-site"},
            {"sec-fetch-site": "same-site"},
            {"sec-fetch-site": "none"},
            {"origin": "http://evil.example"},
            {"origin": "null"},
            {"origin": "http://127.0.0.1.evil.example"},
            {"sec-fetch-site": "cross-site", "origin": "http://127.0.0.1"},
        ],
    )
    def test_another_site_cannot_press_the_button(
        self, household: Household, ann: Account, browser: TestClient, headers: dict[str, str]
    ) -> None:
        link = erasure_link(household, ann)
        assert browser.post(link, headers=headers).status_code == 403
        assert accounts.by_id(household.service.database, ann.id) == ann

    def test_a_browser_without_fetch_metadata_sends_its_origin(
        self, household: Household, ann: Account, browser: TestClient
    ) -> None:
        link = erasure_link(household, ann)
        assert browser.post(link, headers={"origin": "http://127.0.0.1"}).status_code == 200

    def test_a_guess_is_refused_without_saying_what_was_wrong(
        self, household: Household, ann: Account, browser: TestClient
    ) -> None:
        link = erasure_link(household, ann)
        changes.ask_for_recovery(household.service, "ann@example.org")
        recovery = link_in(in_folder(household.service.folder.mail)[-1])
        texts = {
            browser.get(path).text
            for path in ("/request/" + "A" * 43, f"/request/{recovery}", link + "A")
        }
        assert len(texts) == 1


class TestRecovery:
    def test_a_new_password(self, household: Household, ann: Account, browser: TestClient) -> None:
        changes.ask_for_recovery(household.service, "ann@example.org")
        link = "/recover/" + link_in(in_folder(household.service.folder.mail)[-1])
        assert 'type="password"' in browser.get(link).text

        def send(first: str, second: str) -> tuple[int, str]:
            form = {"password": first, "again": second}
            answer = browser.post(link, headers=HERE, data=form)
            return answer.status_code, answer.text

        assert "not the same" in send(NEW_PASSWORD, "another")[1]
        assert send("short", "short")[0] == 400
        assert send(NEW_PASSWORD, NEW_PASSWORD)[0] == 200
        assert accounts.authenticate(household.service, "ann@example.org", NEW_PASSWORD) == ann
        assert send(NEW_PASSWORD, NEW_PASSWORD)[0] == 403


def test_a_new_address(household: Household, ann: Account, browser: TestClient) -> None:
    changes.ask_for_address(household.service, ann, "new@example.org")
    link = "/address/" + link_in(in_folder(household.service.folder.mail)[-1])
    assert browser.get(link).status_code == 200
    assert accounts.contact(household.service, ann).email == "ann@example.org"
    assert browser.post(link, headers=HERE).status_code == 200
    assert accounts.contact(household.service, ann).email == "new@example.org"


@pytest.mark.parametrize("path", ["/", "/static/style.css", "/missing", "/request/x", "/recover/x"])
def test_no_answer_may_be_framed_kept_or_scripted(browser: TestClient, path: str) -> None:
    headers = browser.get(path).headers
    assert "default-src 'none'" in headers["content-security-policy"]
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert headers["cache-control"] == "no-store"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("length", ["", "1e9", "-1", "9" * 400, str(MAX_BODY + 1)])
def test_too_much_is_refused_before_it_is_read(browser: TestClient, length: str) -> None:
    answer = browser.post("/recover/x", headers=HERE | {"content-length": length}, content=b"")
    assert answer.status_code == 413


def test_a_body_of_no_said_length_is_counted(browser: TestClient) -> None:
    def pieces() -> Iterator[bytes]:
        for _ in range(40):
            yield b"x" * 1_024

    assert browser.post("/recover/x", headers=HERE, content=pieces()).status_code == 413


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS"])
def test_other_methods_do_nothing(browser: TestClient, method: str) -> None:
    assert browser.request(method, "/request/x", headers=HERE).status_code in {403, 405}


def test_what_is_written_to_us_is_never_markup(
    household: Household, ann: Account, browser: TestClient
) -> None:
    del ann
    answer = browser.get("/request/<script>alert(1)</script>")
    assert "<script" not in answer.text
    assert household.service.folder.mail.exists()


def test_a_form_of_too_many_fields_is_no_error_of_ours(
    household: Household, ann: Account, browser: TestClient
) -> None:
    changes.ask_for_recovery(household.service, "ann@example.org")
    link = "/recover/" + link_in(in_folder(household.service.folder.mail)[-1])
    fields = {f"field{number}": "x" for number in range(17)}
    assert browser.post(link, data=fields, headers=HERE).status_code == 400
    assert accounts.by_id(household.service.database, ann.id) == ann
