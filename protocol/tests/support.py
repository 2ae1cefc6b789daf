"""What the tests of both runtimes share: vectors, refusals, and one sample of every message.

Runs on MicroPython as well. The samples' keys come from fixed seeds, so that both runtimes
must produce the same bytes.
"""

import json

from protocol import answer, command, enrolment, frame, mac, p256, reading, trust
from protocol.errors import ProtocolError
from protocol.signer import PortableSigner
from tools.mp_support import shared_folder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

NOW_S = 1_795_000_000
NONCE = bytes(range(16))


def vectors(path: str) -> "Any":
    """Load a file of the shared vectors; skips the test where they are absent."""
    with open(shared_folder() + "/vectors/" + path) as file:
        return json.load(file)


def refusal(kind: type[ProtocolError], function: "Callable[..., object]", *arguments: "Any") -> str:
    """Return the reason with which a call is refused; fails when it is not, or by another error."""
    try:
        function(*arguments)
    except kind as error:
        return error.reason
    raise AssertionError("not refused")


def private_key(number: int) -> bytes:
    """Return a private key of a fixed seed."""
    return p256.private_from_seed(mac.sha256(b"tare test key %d" % number) + bytes(8))


def signer(number: int) -> PortableSigner:
    """Return a signer without randomness: its signatures are the same everywhere."""
    return PortableSigner(private_key(number))


def weigh_in(seconds: int = NOW_S, **changes: "Any") -> reading.Reading:
    """Return the weigh-in of the budgets (SPEC 4.7)."""
    fields: "dict[str, Any]" = {"since_epoch": False, "attribution": reading.ATTRIBUTION_RECOGNISED}
    fields.update(changes)
    return reading.weight(seconds, 72_500, 5_000, **fields)


def blood_pressure(seconds: int = NOW_S, **changes: "Any") -> reading.Reading:
    """Return a blood-pressure reading."""
    fields: "dict[str, Any]" = {"since_epoch": False, "attribution": reading.ATTRIBUTION_RECOGNISED}
    fields.update(changes)
    return reading.blood_pressure(seconds, [1_234, 801, 955, 652], **fields)


def readings(records: "list[reading.Reading]", **changes: "Any") -> frame.Readings:
    """Return the readings frame of the budgets (SPEC 4.7) around these records."""
    fields: "dict[str, Any]" = {
        "oldest": 65_535,
        "first": 65_535,
        "claim_epoch": 255,
        "handle": 255,
        "clock": frame.Clock(255),
        "records": records,
    }
    fields.update(changes)
    return frame.Readings(**fields)


def hello(**changes: "Any") -> frame.Hello:
    """Return a hello."""
    fields: "dict[str, Any]" = {
        "nonce": NONCE,
        "model": "scale-1",
        "firmware": "1.0.0",
        "boot_counter": 3,
        "boot_reason": frame.BOOT_RESET,
        "clock_epoch": 2,
        "clock_s": 100,
        "wall_s": None,
        "oldest": 5,
        "next_sequence": 9,
        "claim_epoch": 1,
        "command_counter": 4,
    }
    fields.update(changes)
    return frame.Hello(**fields)


def order(verb: int, arguments: "list[object]", **changes: "Any") -> command.Command:
    """Return a command."""
    fields: "dict[str, Any]" = {
        "counter": 7,
        "issued_s": NOW_S,
        "expires_s": NOW_S + 600,
        "verb": verb,
        "arguments": arguments,
    }
    fields.update(changes)
    return command.Command(**fields)


def enrol_request(**changes: "Any") -> enrolment.Request:
    """Return an enrolment request."""
    fields: "dict[str, Any]" = {
        "challenge": NONCE,
        "identity_key": p256.public_key(private_key(1)),
        "tls_key": p256.public_key(private_key(2)),
        "ephemeral_key": p256.public_key(private_key(3)),
        "model": "scale-1",
        "firmware": "1.0.0",
    }
    fields.update(changes)
    return enrolment.Request(**fields)


def enrol_answer(**changes: "Any") -> enrolment.Answer:
    """Return an enrolment answer; its certificates are not certificates, only bytes."""
    fields: "dict[str, Any]" = {
        "challenge": NONCE,
        "device_certificate": b"\x30" * 400,
        "ca_certificate": b"\x30" * 400,
        "command_key": p256.public_key(private_key(4)),
        "host": "192.0.2.1",
        "port": 8883,
        "server_name": enrolment.SERVER_NAME,
        "time_s": NOW_S,
    }
    fields.update(changes)
    return enrolment.Answer(**fields)


def samples() -> "list[Any]":
    """Return at least one of every message, and of every form that a message can take."""
    dated = weigh_in(90, since_epoch=True)
    people = [command.Person(1, 1, 72_500), command.Person(2, 2, 0)]
    return [
        hello(),
        hello(wall_s=NOW_S),
        frame.ClaimWindow(nonce=NONCE, proof=bytes(32), window_s=120),
        readings([weigh_in(), blood_pressure()]),
        readings([dated], clock=frame.Clock(2, NOW_S)),
        readings([dated], clock=frame.Clock(2, NOW_S, NOW_S + 3_600)),
        frame.Receipts(
            oldest=3, first=4, receipts=[frame.Receipt(7, 4, 0), frame.Receipt(8, 9, 2)]
        ),
        frame.Receipts(oldest=3, first=4, receipts=[frame.Receipt(7, 6, 0, bytes(64))]),
        frame.Voids(oldest=1, first=1, count=12),
        answer.Welcome(nonce=NONCE, time_s=NOW_S, settled=11, claim_epoch=1),
        answer.Ack(settled=11),
        answer.Ack(settled=11, refusals=[(9, answer.DROP_ERASED), (12, answer.HOLD_FORK)]),
        order(command.VERB_CLAIM, command.Claim(1, people).arguments()),
        order(command.VERB_PEOPLE, command.People(people).arguments()),
        order(command.VERB_SETTINGS, command.Settings([(1, 2), (2, 300)]).arguments()),
        order(command.VERB_ERASE, command.Erase(3).arguments()),
        order(command.VERB_ERASE, command.Erase().arguments()),
        order(command.VERB_RELEASE, command.Release().arguments()),
        order(command.VERB_TRUST, trust.certificate(b"\x30" * 900).arguments()),
        order(command.VERB_TRUST, trust.mac_key(2, p256.public_key(private_key(3))).arguments()),
        order(command.VERB_TRUST, trust.address("broker", 8_883, "name").arguments()),
        order(4_000, [1, "x", None, [b"y"]]),
        enrol_request(),
        enrol_answer(),
    ]
