"""The firmware's conversation does what SPEC 17 says, row by row; and it believes nothing that is
not of its cloud, for it, of this connection, and in its place.
"""

import re
from collections.abc import Callable
from itertools import product
from pathlib import Path

import pytest

from hil_tests import cores
from hil_tests.conversation.device import COMMAND_SIGNER, IDENTITY, NOW_S, SIGNER, Device, nonce
from protocol import answer, command, envelope
from protocol.fields import Payload
from protocol.signer import PortableSigner

_SPEC = Path(__file__).resolve().parents[3] / "protocol" / "SPEC.md"
_STATES = ("Greeting", "Idle", "Waiting")
#: Rows about what is around the conversation: the link's, shown where links are.
_OF_THE_LINK = {("Idle", "nothing to do until the awake time is over")}
_LAST = 2


def _rows() -> list[tuple[str, str, str, str]]:
    """Return (state, event, action, next) of the table."""
    section = _SPEC.read_text("utf-8").partition("## 17.")[2].partition("## 18.")[0]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in section.splitlines()]
    rows = [(row[0], row[1], row[2], row[3]) for row in cells if len(row) == 4]
    return [row for row in rows if row[0] in _STATES and row[:2] not in _OF_THE_LINK]


def _maced(message: Payload, kid: bytes = IDENTITY.kid, generation: int = 1) -> bytes:
    payload = message.encode()
    return envelope.seal_mac0(message.TYPE, kid, payload, generation, IDENTITY.mac_key)


def _welcome(connection: int = 1) -> answer.Welcome:
    return answer.Welcome(nonce=nonce(connection), time_s=NOW_S, settled=0, claim_epoch=1)


def _ack(settled: int) -> bytes:
    return _maced(answer.Ack(settled=settled))


def _order(counter: int = 1) -> command.Command:
    return command.Command(
        counter=counter, issued_s=NOW_S, expires_s=NOW_S + 60, verb=2, arguments=[[[1, 1, 0]]]
    )


def _commanded(message: command.Command, kid: bytes = IDENTITY.kid) -> bytes:
    return envelope.seal_sign1(message.TYPE, kid, message.encode(), COMMAND_SIGNER)


def _in(state: str, records: int = _LAST) -> Device:
    """Return a claimed device in this state, with records that were not sent before."""
    device = Device()
    device.claim(1)
    for _ in range(records):
        device.weigh(1)
    device.connect(1)
    if state != "Greeting":
        assert device.receive(_maced(_welcome())) == cores.sync.WELCOME
    if state == "Waiting":
        assert device.speak() is not None
    return device


def _state_of(device: Device) -> str:
    if not device.welcomed:
        return "Greeting"
    return "Idle" if device.quiet else "Waiting"


def _says(device: Device, now_ms: int) -> str:
    """Let time pass; return the state afterwards, Backoff when the device gives up."""
    try:
        device.speak(now_ms)
    except cores.errors.LinkError:
        return "Backoff"
    return _state_of(device)


def _hears(message: bytes) -> Callable[[Device], str]:
    def event(device: Device) -> str:
        device.receive(message)
        return _state_of(device)

    return event


def _waits_in_vain(times: int) -> Callable[[Device], str]:
    def event(device: Device) -> str:
        states = [_says(device, 10_000 * turn) for turn in range(1, times + 1)]
        return states[-1]

    return event


def _presses(device: Device) -> str:
    device.press()
    return _says(device, 0)


_EVENTS: dict[str, Callable[[Device], str]] = {
    "welcome of this connection": _hears(_maced(_welcome())),
    "welcome of another connection": _hears(_maced(_welcome(2))),
    "ack": _hears(_ack(0)),
    "command": _hears(_commanded(_order())),
    "10 s without an answer": lambda device: _says(device, 10_000),
    "30 s since the hello": lambda device: _says(device, 30_000),
    "a window is open that was not told": _presses,
    "a record at position or later": lambda device: _says(device, 0),
    "ack that covers the frame": _hears(_ack(_LAST)),
    "ack that does not cover it": _hears(_ack(0)),
    "ack beyond the journal": _hears(_ack(_LAST + 1)),
    "10 s without an ack, up to four times": _waits_in_vain(4),
    "10 s without an ack, the fifth time": _waits_in_vain(5),
}


@pytest.mark.parametrize(("state", "event", "action", "following"), _rows())
def test_each_row_of_the_table(state: str, event: str, action: str, following: str) -> None:
    device = _in(state)
    before = device.key
    assert _EVENTS[event](device) == following
    if action == "ignore":
        assert device.key == before
    if action.startswith("send the same"):
        assert device.journal.kept == _LAST
    if event == "ack that covers the frame":
        assert device.journal.kept == 0


def test_the_table_has_every_state_and_event_of_the_core() -> None:
    rows = _rows()
    assert {row[0] for row in rows} == set(_STATES)
    assert {row[1] for row in rows} == set(_EVENTS)
    assert len(rows) > 15
    assert re.search(r"^\| Asleep \|", _SPEC.read_text("utf-8"), re.MULTILINE)


def test_an_ack_covers_as_the_page_says() -> None:
    def covered(settled: int, *refusals: tuple[int, int]) -> bool:
        device = _in("Waiting")
        device.receive(_maced(answer.Ack(settled=settled, refusals=refusals)))
        return device.quiet

    assert covered(_LAST)
    assert not covered(_LAST - 1)
    assert covered(0, (1, answer.HOLD_CLAIM_UNKNOWN))
    assert covered(1, (2, answer.HOLD_KIND_UNKNOWN))
    assert not covered(0, (3, answer.HOLD_CLAIM_UNKNOWN))
    assert covered(_LAST, (1, answer.DROP_ERASED))


_OTHER = PortableSigner(b"\x04" * 32)


@pytest.mark.parametrize("state", ["Greeting", "Waiting"])
def test_only_one_of_all_seals_is_believed(state: str) -> None:
    """Type x device x key x generation x connection: what is wrong in anything changes nothing."""
    believed = []
    kids, keys = (IDENTITY.kid, _OTHER.kid), (IDENTITY.mac_key, b"\x05" * 32, b"")
    messages: tuple[Payload, ...] = (
        _welcome(), _welcome(2), answer.Ack(settled=_LAST), _order(),
    )  # fmt: skip
    for message, purpose, kid, key, generation in product(
        messages, (16, 17, 32, 1, 3, 49), kids, keys, (1, 2)
    ):
        sealed = envelope.seal_mac0(purpose, kid, message.encode(), generation, key)
        right = (purpose, kid, key, generation) == (message.TYPE, *kids[:1], *keys[:1], 1)
        believed += _believed(state, sealed, message, right=right)
    for message, purpose, kid, signer in product(
        messages, (16, 17, 32, 1, 48), kids, (COMMAND_SIGNER, SIGNER, _OTHER)
    ):
        sealed = envelope.seal_sign1(purpose, kid, message.encode(), signer)
        right = (purpose, kid) == (message.TYPE, kids[0]) and signer is COMMAND_SIGNER
        believed += _believed(state, sealed, message, right=right)
    assert sorted(believed) == (["Welcome"] if state == "Greeting" else ["Ack", "Command"])


def _believed(state: str, sealed: bytes, message: Payload, *, right: bool) -> list[str]:
    device = _in(state)
    before = device.key
    outcome = device.receive(sealed)
    if outcome == cores.sync.IGNORED:
        assert device.key == before
        return []
    assert right
    return [type(message).__name__]
