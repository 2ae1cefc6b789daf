"""The worked examples of SPEC.md are what both implementations write, byte for byte."""

import re
from pathlib import Path
from typing import Any

import pytest

from protocol import answer, cbor, claim_code, command, cose, enrolment, envelope, frame, p256
from protocol.signer import PortableSigner
from protocol.tests import examples, second
from protocol.tests.examples import EXAMPLES, IDENTITY, MAC_KEY, NONCE, Example

_SPEC = (Path(__file__).resolve().parent.parent / "SPEC.md").read_text("utf-8")
_CLASSES: dict[int, Any] = {32: command.Command, 48: enrolment.Request, 49: enrolment.Answer}


def _parse(item: list[Any]) -> Any:
    kind = item[0]
    if kind in _CLASSES:
        return _CLASSES[kind].parse(item)
    return frame.parse(item) if kind < 16 else answer.parse(item)


def test_the_page_holds_the_examples_as_they_are_made() -> None:
    # `python -m protocol.tests.examples` prints what belongs there.
    assert examples.render() in _SPEC


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda each: each.title)
def test_protocol_writes_the_same_bytes(example: Example) -> None:
    kind, payload = example.item[0], _parse(example.item).encode()
    if kind in {16, 17, 49}:
        sealed = envelope.seal_mac0(kind, IDENTITY.kid, payload, 1, MAC_KEY)
    else:
        key = examples.COMMAND if kind == 32 else IDENTITY
        sealed = envelope.seal_sign1(kind, IDENTITY.kid, payload, PortableSigner(key.seed))
    assert sealed == example.data
    assert example.data.hex() in re.sub(r"\s", "", _SPEC)


def test_protocol_derives_the_same_keys() -> None:
    for key in (IDENTITY, examples.TLS, examples.COMMAND):
        assert p256.public_key(key.seed) == key.raw
        assert cose.key_id(key.raw) == key.kid
    shared = p256.ecdh(examples.DEVICE_EPHEMERAL.seed, examples.CLOUD_EPHEMERAL.raw)
    assert shared == examples.SHARED_X
    assert enrolment.mac_key(shared, NONCE, IDENTITY.kid, 1) == MAC_KEY
    assert claim_code.proof(IDENTITY.kid, examples.CODE) == examples.claim_proof()
    assert claim_code.to_text(examples.CODE) == examples.code_text()


def test_every_message_type_has_an_example() -> None:
    assert {example.item[0] for example in EXAMPLES} == set(second.PURPOSES)
    reply = enrolment.Reply.parse(second.encode([examples.CLOUD_EPHEMERAL.raw, EXAMPLES[-1].data]))
    assert cbor.decode(reply.encode()) == [examples.CLOUD_EPHEMERAL.raw, EXAMPLES[-1].data]


def test_examples_of_readings_are_acceptable() -> None:
    frames = [frame.parse(each.item) for each in EXAMPLES if each.item[0] == 3]
    assert len(frames) == 3
    for message in frames:
        assert isinstance(message, frame.Readings)
        assert {message.judge(at) for at in range(len(message.records))} == {"fine"}
