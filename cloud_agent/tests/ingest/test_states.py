"""The cloud does what SPEC 18 says, row by row: each has an event here that leads where it says."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa

from cloud_agent.accounts.accounts import Account
from cloud_agent.devices import enrolment, outbox
from cloud_agent.devices.claims import Claims
from cloud_agent.devices.directory import Directory
from cloud_agent.devices.release import release
from cloud_agent.ingest.handlers import Handled, Handlers
from cloud_agent.ingest.verify import Refused, verify
from cloud_agent.storage import schema
from cloud_agent.tests.household import NOW_S, Household, Scale
from protocol import answer, claim_code, command, envelope, frame, topics
from protocol.fields import Payload

_SPEC = Path(__file__).resolve().parents[3] / "protocol" / "SPEC.md"
_STATES = ("Unknown", "Enrolling", "Enrolled", "Revoked")
#: Shown where the parts are: enrolment by its own tests, a restore by searching the conversation,
#: a process that begins again and an order that is sent at once on a running server.
_ELSEWHERE = (
    "enrolment request",
    "the process begins",
    "the database is restored",
    "it is revoked",
)
_CODE = bytes(10)


def _rows() -> list[tuple[str, str, str]]:
    """Return (state, event, next) of the table."""
    section = _SPEC.read_text("utf-8").partition("## 18.")[2].partition("## 19.")[0]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in section.splitlines()]
    rows = [(row[0], row[1], row[3]) for row in cells if len(row) == 4 and row[0] in _STATES]
    return [row for row in rows if not row[1].startswith(_ELSEWHERE)]


class _Cloud:
    """A household with one account and one device in a given state."""

    def __init__(self, household: Household, state: str) -> None:
        self.household = household
        self.account: Account = household.open_account("ada@example.org")
        self.scale: Scale = household.add_scale()
        row = schema.device
        if state == "Unknown":
            self._write(row.delete())
        else:
            self._write(row.update().values(state=state.lower()))

    @property
    def state(self) -> str:
        with self.household.service.database.reading() as connection:
            found = connection.execute(sa.select(schema.device.c.state)).scalar_one_or_none()
        return "Unknown" if found is None else str(found).capitalize()

    def windows(self) -> int:
        with self.household.service.database.reading() as connection:
            return len(connection.execute(schema.claim_window.select()).all())

    def hear(self, message: Payload, nonce: bytes | None = None) -> Handled | str:
        """Handle a message as the server does; the reason when it is refused."""
        service, signer = self.household.service, self.scale.signer
        data = envelope.seal_sign1(message.TYPE, signer.kid, message.encode(), signer)
        verified = verify(topics.up(self.scale.id), data, Directory(service.database).find)
        if isinstance(verified, Refused):
            return verified.reason.value
        handlers = Handlers(service, self.household._command_signer)
        return service.writer.call(lambda c: handlers.handle(c, verified, nonce))

    def call(self, work: Callable[[sa.Connection], object]) -> None:
        self.household.service.writer.call(work)

    def _write(self, statement: sa.Executable) -> None:
        self.call(lambda connection: connection.execute(statement))


def _hello() -> frame.Hello:
    return frame.Hello(
        nonce=bytes(16), model="scale", firmware="1", boot_counter=1, boot_reason=0, clock_epoch=1,
        clock_s=0, wall_s=None, oldest=1, next_sequence=1, claim_epoch=0, command_counter=0,
    )  # fmt: skip


def _window(nonce: bytes, proof: bytes = bytes(32)) -> frame.ClaimWindow:
    return frame.ClaimWindow(nonce=nonce, proof=proof, window_s=60)


def _opened(handled: Handled | str) -> list[Payload]:
    assert isinstance(handled, Handled)
    found: list[Payload] = []
    for outgoing in handled.outgoing:
        if envelope.is_mac0(outgoing.payload):
            found.append(answer.parse(envelope.parse_mac0(outgoing.payload).payload))
        else:
            signed = envelope.parse_sign1(outgoing.payload)
            found.append(command.Command.parse(signed.payload))
    return found


def _any_but_hello() -> list[Payload]:
    receipts = [frame.Receipt(1, 4, 0)]
    return [
        _window(bytes(16)),
        frame.Receipts(oldest=1, first=1, receipts=receipts),
        frame.Voids(oldest=1, first=1, count=1),
    ]


def _refuses(cloud: _Cloud, reason: str, *, hello: bool) -> None:
    for message in [*_any_but_hello(), *([_hello()] if hello else [])]:
        assert cloud.hear(message) == reason


def _greets(cloud: _Cloud) -> None:
    order = command.Erase(7)
    cloud.call(lambda c: outbox.place(c, cloud.scale.id, order, NOW_S))
    welcome, ordered = _opened(cloud.hear(_hello()))
    assert isinstance(welcome, answer.Welcome)
    assert welcome.nonce == bytes(16)
    assert isinstance(ordered, command.Command)
    assert ordered.arguments == [7]


def _opens_a_window(cloud: _Cloud) -> None:
    for known in (bytes(16), None):
        assert cloud.hear(_window(bytes(16)), known) == Handled(cloud.scale.id, [])
    assert cloud.windows() == 1


def _ignores_a_window(cloud: _Cloud) -> None:
    assert cloud.hear(_window(bytes(16)), b"\x01" * 16) == Handled(cloud.scale.id, [])
    assert cloud.windows() == 0


def _settles(cloud: _Cloud, message: Payload, *refusals: tuple[int, int]) -> None:
    assert _opened(cloud.hear(message)) == [answer.Ack(settled=1, refusals=refusals)]


def _settles_readings(cloud: _Cloud) -> None:
    cloud.household.claim(cloud.account, cloud.scale)
    signed = cloud.household.weigh(cloud.scale, [70_000])
    _settles(cloud, frame.parse(envelope.parse_sign1(signed).payload))


def _settles_receipts(cloud: _Cloud) -> None:
    _greets(cloud)
    with cloud.household.service.database.reading() as connection:
        counter = connection.execute(sa.select(schema.command_rendered.c.counter)).scalar_one()
    receipts = [frame.Receipt(counter, command.VERB_ERASE, frame.OUTCOME_DONE)]
    _settles(cloud, frame.Receipts(oldest=1, first=1, receipts=receipts))
    assert len(_opened(cloud.hear(_hello()))) == 1  # nothing waits any more


def _takes_a_code(cloud: _Cloud) -> None:
    proof = claim_code.proof(cloud.scale.signer.kid, _CODE)
    cloud.hear(_window(bytes(16), proof))
    claims = Claims(cloud.household.service)
    claimed = asyncio.run(claims.claim(cloud.account, claim_code.to_text(_CODE)))
    assert claimed.epoch == 1
    welcome, ordered = _opened(cloud.hear(_hello()))
    assert isinstance(welcome, answer.Welcome)
    assert welcome.claim_epoch == 1
    assert isinstance(ordered, command.Command)
    assert ordered.verb == command.VERB_CLAIM


def _lets_go(cloud: _Cloud) -> None:
    cloud.household.claim(cloud.account, cloud.scale)
    asyncio.run(release(cloud.household.service, cloud.account, cloud.scale.id))
    welcome, ordered = _opened(cloud.hear(_hello()))
    assert isinstance(welcome, answer.Welcome)
    assert welcome.claim_epoch == 0
    assert isinstance(ordered, command.Command)
    assert ordered.verb == command.VERB_RELEASE


_EVENTS: dict[tuple[str, str], Callable[[_Cloud], None]] = {
    ("Unknown", "any uplink message"): lambda c: _refuses(c, "unknown-key", hello=True),
    ("Enrolling", "the cable says that it was stored"): lambda c: c.call(
        lambda connection: enrolment.confirm(connection, c.scale.id, NOW_S)
    ),
    ("Enrolling", "hello"): _greets,
    ("Enrolling", "any other uplink message"): lambda c: _refuses(c, "unknown-key", hello=False),
    ("Enrolled", "hello"): _greets,
    (
        "Enrolled",
        "claim window with the nonce of the last hello, or while none is known",
    ): _opens_a_window,
    ("Enrolled", "claim window with another nonce"): _ignores_a_window,
    ("Enrolled", "readings"): _settles_readings,
    ("Enrolled", "receipts"): _settles_receipts,
    ("Enrolled", "voids"): lambda c: _settles(c, frame.Voids(oldest=1, first=1, count=1)),
    ("Enrolled", "an account gives the code of an open window"): _takes_a_code,
    ("Enrolled", "the account that holds the claim lets go of it"): _lets_go,
    ("Enrolled", "an order is placed"): _greets,
    ("Revoked", "any uplink message"): lambda c: _refuses(c, "revoked", hello=True),
}


@pytest.mark.parametrize(("state", "event", "following"), _rows())
def test_each_row_of_the_table(
    household: Household, state: str, event: str, following: str
) -> None:
    cloud = _Cloud(household, state)
    assert cloud.state == state
    _EVENTS[state, event](cloud)
    assert cloud.state == following


def test_every_row_has_its_event() -> None:
    assert {row[:2] for row in _rows()} == set(_EVENTS)
    assert {row[0] for row in _rows()} == set(_STATES)
