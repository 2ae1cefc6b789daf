"""The fast signer in MicroPython against OpenSSL: random keys, messages, good and bad signatures.

1,000 of each by default; TARE_DIFFERENTIAL=100000 sets another number (about 3 ms each).
"""

from __future__ import annotations

import os
import platform
import secrets
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from protocol import p256
from tools import micropython

_ROOT = Path(__file__).resolve().parents[2]
_ANSWERS = Path(__file__).with_name("p256_answers.py")
_ECDSA = ec.ECDSA(utils.Prehashed(hashes.SHA256()))
_RFC_6979 = ec.ECDSA(utils.Prehashed(hashes.SHA256()), deterministic_signing=True)
_BATCH = 500
_BATCH_TIMEOUT_S = 120
_CASES = int(os.environ.get("TARE_DIFFERENTIAL", "1000"))
_CASE_S = 0.05


@dataclass(frozen=True)
class Case:
    """One key with one message: OpenSSL's signature, and one that may or may not hold."""

    key: ec.EllipticCurvePrivateKey
    digest: bytes
    extra: bytes
    theirs: bytes
    doubtful: bytes

    def question(self) -> str:
        private = self.key.private_numbers().private_value.to_bytes(32, "big")
        fields = (private, self.digest, self.extra, self.theirs, self.doubtful)
        return " ".join(field.hex() or "-" for field in fields)


def _case() -> Case:
    key = ec.generate_private_key(ec.SECP256R1())
    digest = secrets.token_bytes(32)
    r, s = utils.decode_dss_signature(key.sign(digest, _ECDSA))
    theirs = _raw(r, s)
    # Hedged in half of the cases, as on the device; the other half is RFC 6979 alone.
    extra = secrets.choice((b"", secrets.token_bytes(32)))
    return Case(key, digest, extra, theirs, _doubtful(theirs, r, s))


def _doubtful(theirs: bytes, r: int, s: int) -> bytes:
    """Often invalid, sometimes the other form of s: OpenSSL decides."""
    flipped = bytearray(theirs)
    bit = secrets.randbelow(512)
    flipped[bit >> 3] ^= 1 << (bit & 7)
    choices = (bytes(flipped), _raw(r, p256.N - s), _raw(s, r), _raw(0, s), _raw(r, p256.N))
    return secrets.choice(choices)


def _raw(r: int, s: int) -> bytes:
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def _holds(case: Case, signature: bytes) -> bool:
    r = int.from_bytes(signature[:32], "big")
    s = int.from_bytes(signature[32:], "big")
    try:
        case.key.public_key().verify(utils.encode_dss_signature(r, s), case.digest, _ECDSA)
    except InvalidSignature:
        return False
    return True


def _answers(cases: list[Case]) -> Iterator[list[str]]:
    path = os.pathsep.join([str(_ROOT), str(_ROOT / "firmware"), ".frozen"])
    done = subprocess.run(
        [*micropython.find_or_unpack(), str(_ANSWERS)],
        input="".join(f"{case.question()}\n" for case in cases),
        env={**os.environ, "MICROPYPATH": path},
        capture_output=True,
        text=True,
        timeout=_BATCH_TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    for line in done.stdout.splitlines():
        yield line.split()


def _check(case: Case, answer: list[str]) -> None:
    public, ours, theirs_hold, doubtful_holds = answer
    point = case.key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    assert bytes.fromhex(public) == point[1:]
    signature = bytes.fromhex(ours)
    assert _holds(case, signature)
    assert p256.is_low_s(signature)
    if not case.extra:
        r, s = utils.decode_dss_signature(case.key.sign(case.digest, _RFC_6979))
        assert signature == _raw(r, min(s, p256.N - s))
    assert theirs_hold == "1"
    assert doubtful_holds == str(int(_holds(case, case.doubtful)))


@pytest.mark.skipif(
    platform.machine() not in {"x86_64", "AMD64"},
    reason="MicroPython makes no native code for this processor",
)
@pytest.mark.timeout(_CASE_S * _CASES + _BATCH_TIMEOUT_S)
def test_the_fast_signer_agrees_with_openssl() -> None:
    verdicts = set()
    for start in range(0, _CASES, _BATCH):
        cases = [_case() for _ in range(min(_BATCH, _CASES - start))]
        answers = list(_answers(cases))
        assert len(answers) == len(cases)
        for case, answer in zip(cases, answers, strict=True):
            _check(case, answer)
            verdicts.add(answer[3])
    # Positive control: among the doubtful ones were good and bad.
    assert verdicts == {"0", "1"}
