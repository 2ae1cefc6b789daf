"""Two implementations that share no code read and write the same messages, and refuse the same.

A short run always; TARE_FRAMES=1000000 makes it a long one (about ten minutes), TARE_SEED another.
"""

import ast
import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils

from protocol import (
    answer,
    command,
    cose,
    enrolment,
    envelope,
    frame,
    p256,
)
from protocol.errors import ProtocolError
from protocol.tests import doors, second, second_grammar
from protocol.tests.traffic import (
    CLOUD,
    DEVICE,
    GENERATION,
    OTHER,
    Case,
    Party,
    Traffic,
    sealed,
)

_FRAMES = int(os.environ.get("TARE_FRAMES", "8000"))
_SEED = int(os.environ.get("TARE_SEED", "1"))
_REFUSED = "refused"


def _by_first(case: Case) -> tuple[str | bytes, list[str]]:
    """Return the payload written again and the verdicts on its records, or that it is refused."""
    try:
        message = doors.FIRST[case.reader](case.data)
    except ProtocolError:
        return _REFUSED, []
    if isinstance(message, frame.Readings):
        return message.encode(), [message.judge(at) for at in range(len(message.records))]
    return message.encode(), []


def _by_second(case: Case) -> tuple[str | bytes, list[str]]:
    try:
        item = doors.SECOND[case.reader](case.data)
    except second.RefusedError:
        return _REFUSED, []
    return second.encode(item), second_grammar.judge(item) if item[0] == 3 else []


def test_both_take_and_refuse_the_same() -> None:
    traffic = Traffic(_SEED)
    made: Counter[tuple[str, bool]] = Counter()
    for number in range(_FRAMES):
        case = traffic.case()
        ours = _by_first(case)
        assert ours == _by_second(case), (number, case.made, case.reader, case.data.hex())
        made[case.made, ours[0] != _REFUSED] += 1
    accepted = sum(count for (_, taken), count in made.items() if taken)
    # Positive controls: either outcome is common, and each damage was met.
    assert accepted > _FRAMES / 4
    assert _FRAMES - accepted > _FRAMES / 4
    assert len({kind for kind, _ in made}) == 11


def test_both_write_the_same_bytes() -> None:
    """The seals too: with OpenSSL's deterministic signatures, and with our own for some."""
    traffic = Traffic(_SEED + 1)
    for number in range(max(400, _FRAMES // 50)):
        item = traffic.item()
        signer = _PortableSigner if number % 20 == 0 else _OpensslSigner
        assert _sealed_by_first(item, signer) == sealed(item), item


def _sealed_by_first(item: list[Any], signer: Callable[[Party], Any]) -> bytes:
    kind, device = item[0], DEVICE.kid
    classes: dict[int, Any] = {32: command.Command, 48: enrolment.Request, 49: enrolment.Answer}
    parse = classes[kind].parse if kind in classes else frame.parse if kind < 16 else answer.parse
    payload = parse(item).encode()
    if kind in {16, 17, 49}:
        return envelope.seal_mac0(kind, device, payload, GENERATION, doors.MAC_KEY)
    return envelope.seal_sign1(kind, device, payload, signer(CLOUD if kind == 32 else DEVICE))


class _OpensslSigner:
    def __init__(self, party: Party) -> None:
        self._party = party
        self.kid, self.public_key = party.kid, party.raw

    def sign(self, digest: bytes) -> bytes:
        algorithm = ec.ECDSA(utils.Prehashed(hashes.SHA256()), deterministic_signing=True)
        der = self._party.private.sign(digest, algorithm)
        r, s = utils.decode_dss_signature(der)
        return r.to_bytes(32, "big") + min(s, second.N - s).to_bytes(32, "big")


class _PortableSigner(_OpensslSigner):
    def sign(self, digest: bytes) -> bytes:
        private = self._party.private.private_numbers().private_value.to_bytes(32, "big")
        return p256.sign(private, digest)


def test_both_derive_the_same_keys() -> None:
    ephemeral = DEVICE.private.exchange(ec.ECDH(), OTHER.public)
    private = DEVICE.private.private_numbers().private_value.to_bytes(32, "big")
    assert p256.ecdh(private, OTHER.raw) == ephemeral
    for generation in (1, 65_535):
        arguments = (ephemeral, bytes(16), DEVICE.kid, generation)
        assert enrolment.mac_key(*arguments) == second.mac_key(*arguments)
    assert cose.key_id(DEVICE.raw) == DEVICE.kid


@pytest.mark.parametrize("name", ["second.py", "second_grammar.py", "traffic.py"])
def test_the_second_one_shares_no_code_with_the_first(name: str) -> None:
    tree = ast.parse((Path(__file__).parent / name).read_text("utf-8"))
    imported = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imported |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported |= {f"{node.module}.{alias.name}" for alias in node.names}
    ours = {each for each in imported if each.split(".")[0] in {"protocol", "tare", "cloud_agent"}}
    assert all(each.startswith("protocol.tests.second") for each in ours), ours


def test_a_difference_would_be_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Positive control: an implementation that is wrong in one limit does not get through."""
    monkeypatch.setattr(frame, "MAX_READINGS", 31)
    with pytest.raises(AssertionError):
        test_both_take_and_refuse_the_same()
