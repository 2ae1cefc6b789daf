"""How fast the cloud verifies uplink messages, beside OpenSSL alone on the same signatures.

Both are timed in turns in one run, and the best turn of each counts: a ratio of two figures of one
machine says more than either. Run as `python -m tools.bench.verify`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from rich.console import Console
from rich.table import Table

from cloud_agent.devices.signing import CommandSigner
from cloud_agent.ingest.verify import KnownDevice, Verified, verify
from protocol import cose, envelope, frame, reading, topics
from tools.errors import ToolError

FRAMES = 300
_TURNS = 7
_NOW_S = 1_795_000_000
_ALGORITHM = ec.ECDSA(hashes.SHA256())


@dataclass(frozen=True)
class Rates:
    """Messages a second. `records`: how many readings each has."""

    records: int
    tare: float
    openssl: float

    @property
    def ratio(self) -> float:
        """What of OpenSSL's bare rate is left when everything else of SPEC 13 is done."""
        return self.tare / self.openssl


def measure(records: int = 1, frames: int = FRAMES) -> Rates:
    """Verifies that many frames of that many readings, with all rules and with OpenSSL alone."""
    private = ec.generate_private_key(ec.SECP256R1())
    signer = CommandSigner(private)
    public = private.public_key()
    messages = [_message(signer, number, records) for number in range(frames)]
    bare = [_parts(data) for data in messages]
    device = topics.device_id(signer.kid)
    known = {signer.kid: KnownDevice(device, public, enrolled=True, revoked=False)}
    topic = topics.up(device)

    def all_rules() -> None:
        for data in messages:
            if not isinstance(verify(topic, data, known.get), Verified):
                raise ToolError("a good message was refused")

    def openssl() -> None:
        for signature, covered in bare:
            public.verify(signature, covered, _ALGORITHM)

    tare_s, openssl_s = _best_of_turns(all_rules, openssl)
    return Rates(records, frames / tare_s, frames / openssl_s)


def table(rates: list[Rates]) -> Table:
    """The rates side by side."""
    shown = Table(
        "readings in a frame", "all rules", "OpenSSL alone", "ratio",
        title="messages verified a second, one core",
    )  # fmt: skip
    for rate in rates:
        cells = (f"{rate.tare:,.0f}", f"{rate.openssl:,.0f}", f"{rate.ratio:.2f}")
        shown.add_row(str(rate.records), *cells)
    for column in shown.columns:
        column.justify = "right"
    return shown


def _message(signer: CommandSigner, number: int, records: int) -> bytes:
    weights = [
        reading.weight(_NOW_S + at, 70_000 + number, 5_000, since_epoch=False, attribution=1)
        for at in range(records)
    ]
    message = frame.Readings(
        oldest=1, first=1 + number, claim_epoch=1, handle=1, clock=frame.Clock(1), records=weights
    )
    return envelope.seal_sign1(message.TYPE, signer.kid, message.encode(), signer)


def _parts(data: bytes) -> tuple[bytes, bytes]:
    """The signature as OpenSSL takes it, and what it covers."""
    message = envelope.parse_sign1(data)
    aad = envelope.external_aad(frame.Readings.TYPE, message.protected_raw[-cose.KID_SIZE :])
    r, s = int.from_bytes(message.seal[:32], "big"), int.from_bytes(message.seal[32:], "big")
    covered = cose.sig_structure(message.protected_raw, aad, message.payload)
    return encode_dss_signature(r, s), covered


def _best_of_turns(*works: Callable[[], None]) -> list[float]:
    best = [float("inf")] * len(works)
    for _ in range(_TURNS):
        for at, work in enumerate(works):
            # Time of this thread, so that other programs count as little as possible.
            started_s = time.thread_time()
            work()
            best[at] = min(best[at], time.thread_time() - started_s)
    return best


def main() -> int:
    """Prints the table."""
    Console().print(table([measure(1), measure(8), measure(32)]))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
