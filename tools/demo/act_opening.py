"""Acts 1 to 3: the cloud starts, an account is opened, a scale is enrolled and claimed."""

from __future__ import annotations

import json
import socket
import sqlite3
import ssl
import time
from contextlib import closing
from pathlib import Path

from cloud_agent.accounts import agreements
from cloud_agent.broker.rules import SERVER_NAME
from tools.demo.errors import DemoError
from tools.demo.play import Play

_TCP_S = 10
_CLAIM_S = 40
_TERMS_LINES = 9


def start_cloud(play: Play) -> None:
    """Act 1: authority, broker, agent and database, by one command."""
    play.screen.say(
        "One command makes a data folder with a certificate authority of its own, and starts the"
        " broker (a child process, TLS, certificates both ways) and the agent with SQLite."
    )
    started_s = time.monotonic()
    with play.screen.waiting("starting"):
        ready = play.cloud.start()
    took_s = time.monotonic() - started_s
    play.screen.note(ready)
    status = play.cloud.operation("server.status")
    address = (str(status["host"]), int(status["port"]))
    version = _tls_version(address, play.cloud.data / "ca")
    play.screen.seen(f"the broker (process {status['broker_pid']}) speaks {version}")
    _refused_without_certificate(address, play.cloud.data / "ca")
    play.screen.seen("a connection without a client certificate gets no answer")
    journal = _journal_mode(play.cloud.data / "tare.db")
    play.screen.seen(f"SQLite {sqlite3.sqlite_version} in mode {journal}")
    play.screen.conclude(
        f"cloud up in {took_s:.1f} s: {status['broker']} broker on port {address[1]},"
        f" {version}, no entry without a certificate; SQLite in mode {journal}"
    )


def open_account(play: Play) -> None:
    """Act 2: terms, consent and password are three separate things."""
    terms = agreements.current(agreements.TERMS)
    health = agreements.current(agreements.HEALTH)
    play.make_person()
    texts = play.cloud.tare("account", "texts").splitlines()
    for line in texts[:_TERMS_LINES]:
        play.screen.note(line)
    play.screen.note(f"... ({len(texts)} lines in all, terms and consent)")
    play.screen.say("The terms are accepted by version; consent to health data is another act.")
    words = ["--name", play.name, "--zone", play.zone, "--accept-terms", terms.version, "--of-age"]
    play.cloud.tare("account", "create", *words, "--consent-health", mine=True)
    shown = json.loads(play.cloud.tare("account", "show", "--json", mine=True, quiet=True))
    (accepted,) = shown["terms"]
    (consent,) = shown["consents"]
    if (accepted["sha256"], consent["sha256"]) != (terms.hash.hex(), health.hash.hex()):
        raise DemoError("what was stored is not the text that was shown")
    play.screen.seen(f"terms {accepted['version']} accepted at {accepted['accepted_utc']}")
    play.screen.seen(f"consent {consent['version']} given at {consent['given_utc']}")
    wrong = _with_wrong_password(play)
    play.screen.seen(f"a wrong password ends with exit code {wrong}")
    play.screen.conclude(
        f"account of {play.email} opened: terms version {accepted['version']}"
        f" (SHA-256 {accepted['sha256'][:12]}…), health consent version {consent['version']}"
        f" (SHA-256 {consent['sha256'][:12]}…), a wrong password refused"
    )


def enrol_and_claim(play: Play) -> None:
    """Act 3: the scale gets its certificate over the cable, and its owner by the code it shows."""
    scale, screen = play.scale, play.screen
    screen.say("A virtual scale: the firmware in MicroPython, on 1 MiB of simulated NOR flash.")
    about = scale.power_on()
    screen.note(f"serial port {scale.port}: {about['model']}, firmware {about['firmware']}")
    scale.let_go()
    started_s = time.monotonic()
    with screen.waiting("the scale makes its keys"):
        said = play.cloud.tare("device", "enroll", "--port", scale.port, "--json")
    device = json.loads(said)["device"]
    screen.seen(f"keys made and certificate stored in {time.monotonic() - started_s:.1f} s")
    screen.say("Its button is pressed; it connects and shows a code.")
    code = scale.claim_code(_CLAIM_S)
    _claim(play, code)
    scale.until(lambda: scale.about()["claim_epoch"] > 0, _CLAIM_S, "the claim did not arrive")
    with screen.waiting("the scale confirms"):
        scale.until_settled(_CLAIM_S)
    (row,) = json.loads(play.cloud.tare("device", "list", "--json", quiet=True))
    if row["id"] != device or row["claim_epoch"] != scale.about()["claim_epoch"]:
        raise DemoError(f"the cloud has another claim than the scale: {row}")
    screen.seen(f"both sides hold claim {row['claim_epoch']}")
    screen.conclude(
        f"scale {device} ({about['model']}, firmware {about['firmware']}) enrolled over"
        f" {scale.port}, claimed with the code on its display, claim {row['claim_epoch']}"
    )


def _claim(play: Play, code: str) -> None:
    """The claim window has to reach the cloud before the code does; a person takes longer."""
    deadline_s = time.monotonic() + _CLAIM_S
    while True:
        done = play.cloud.try_tare("device", "claim", code, mine=True)
        if done.returncode == 0:
            play.screen.note(done.stdout.strip())
            return
        if time.monotonic() > deadline_s:
            raise play.scale.complaint(f"the code was not accepted: {done.stderr}")
        play.scale.console.listen(2)


def _with_wrong_password(play: Play) -> int:
    wrong = ("TARE_PASSWORD=wrong",)
    code = play.cloud.try_tare("readings", "list", mine=True, settings=wrong).returncode
    if code == 0:
        raise DemoError("a wrong password was accepted")
    return code


def _context(authority: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(authority / "ca.crt")
    return context


def _tls_version(address: tuple[str, int], authority: Path) -> str:
    context = _context(authority)
    context.load_cert_chain(authority / "agent.crt", authority / "agent.key")
    with (
        socket.create_connection(address, _TCP_S) as plain,
        context.wrap_socket(plain, server_hostname=SERVER_NAME) as secure,
    ):
        return secure.version() or "no TLS"


def _refused_without_certificate(address: tuple[str, int], authority: Path) -> None:
    with socket.create_connection(address, _TCP_S) as plain:
        try:
            context = _context(authority)
            with context.wrap_socket(plain, server_hostname=SERVER_NAME) as secure:
                # In TLS 1.3 the refusal comes with the first read.
                answer = secure.recv(1)
        except (ssl.SSLError, ConnectionError):
            return
    if answer:
        raise DemoError("the broker talks to a client without a certificate")


def _journal_mode(database: Path) -> str:
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        return str(connection.execute("PRAGMA journal_mode").fetchone()[0]).upper()
