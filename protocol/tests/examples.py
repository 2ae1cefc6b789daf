"""The worked examples of SPEC 20, made by the second implementation: `render` is their text.

`python -m protocol.tests.examples` prints the section, to be put at the end of SPEC.md after a
change; a test holds the page to it, and `protocol` to the same bytes.
"""

import hashlib
import textwrap
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec

from protocol.tests import second

NOW_S = 1_795_000_000
NONCE = bytes(range(16))
CODE = bytes(range(0xA0, 0xAA))
GENERATION = 1
#: Stands for a certificate: its bytes are not looked at here.
_DER = bytes.fromhex("3003020100")
_WIDTH = 96


class Key:
    """A private key that is the digest of its name."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.seed = hashlib.sha256(f"tare example {name}".encode()).digest()
        self.private = ec.derive_private_key(int.from_bytes(self.seed, "big"), ec.SECP256R1())
        self.raw = second.raw_key(self.private.public_key())
        self.kid = second.kid_of(self.raw)


IDENTITY, TLS, COMMAND = Key("identity"), Key("tls"), Key("command")
DEVICE_EPHEMERAL, CLOUD_EPHEMERAL = Key("device ephemeral"), Key("cloud ephemeral")
SHARED_X = DEVICE_EPHEMERAL.private.exchange(ec.ECDH(), CLOUD_EPHEMERAL.private.public_key())
MAC_KEY = second.mac_key(SHARED_X, NONCE, IDENTITY.kid, GENERATION)


@dataclass(frozen=True)
class Example:
    """One message: its title, its payload as an item, and the whole of it."""

    title: str
    item: list[Any]

    @property
    def data(self) -> bytes:
        """The sealed message."""
        if self.item[0] in {16, 17, 49}:
            return second.seal_maced(self.item, IDENTITY.kid, MAC_KEY, GENERATION)
        signer = COMMAND if self.item[0] == 32 else IDENTITY
        return second.seal_signed(self.item, IDENTITY.kid, signer.private, signer.kid)


def claim_proof() -> bytes:
    """SPEC 4.2."""
    return hashlib.sha256(second.encode(["tare/1/claim-code", IDENTITY.kid, CODE])).digest()


def _readings(record: list[Any], clock: Any = 7, first: int = 42) -> list[Any]:
    return [3, 40, first, 1, 1, clock, [record]]


EXAMPLES = (
    Example(
        "Hello of a device that was claimed and keeps two records",
        [1, NONCE, "tare-scale-1", "1.0.0", [17, 2], [7, 3600, None], [42, 44], 1, 3],
    ),
    Example("Claim window of 10 minutes for the code below", [2, NONCE, claim_proof(), 600]),
    Example("One weigh-in, 72.5 kg and 500.0 ohm", _readings([NOW_S, 0x22, [72_500, 5_000]])),
    Example(
        "One blood-pressure reading, 123.4 / 80.1 (mean 95.5) mmHg, pulse 65.2, dated by its epoch",
        _readings([90, 0x33, [1_234, 801, 955, 652]], [7, NOW_S], 43),
    ),
    Example(
        "Two weigh-ins of somebody unknown, from a clock epoch that began somewhere in an hour",
        [3, 44, 44, 1, 0, [6, NOW_S, NOW_S + 3600],
         [[60, 0x11, [81_200]], [120, 0x91, [81_150]]]],
    ),
    Example(
        "Receipts: command 4 done, 5 of a verb not known, 6 done and with a key in return",
        [4, 46, 46, [[4, 2, 0], [5, 3, 2], [6, 6, 0, DEVICE_EPHEMERAL.raw]]],
    ),
    Example("Voids: three records were erased", [5, 48, 48, 3]),
    Example("Welcome", [16, NONCE, NOW_S, 41, 1]),
    Example(
        "Ack: all up to 42 settled, 42 dropped (erased), 44 held",
        [17, 42, [[42, 1], [44, 16]]],
    ),
    Example(
        "Command: claim 1, with one person in slot 1",
        [32, NOW_S << 10, NOW_S, NOW_S + 3600, 1, [1, [[1, 1, 72_500]]]],
    ),
    Example(
        "Command: trust, a MAC key of generation 2",
        [32, (NOW_S << 10) + 1, NOW_S, NOW_S + 3600, 6, [4, 2, CLOUD_EPHEMERAL.raw]],
    ),
    Example(
        "Command: settings, weights in stone, results shown for 10 s",
        [32, (NOW_S << 10) + 2, NOW_S, NOW_S + 3600, 3, [[[1, 2], [3, 10]]]],
    ),
    Example(
        "Enrolment request",
        [48, NONCE, IDENTITY.raw, TLS.raw, DEVICE_EPHEMERAL.raw, "tare-scale-1", "1.0.0"],
    ),
    Example(
        "Enrolment answer (its certificates are not certificates)",
        [49, NONCE, _DER, _DER, COMMAND.raw, ["192.0.2.1", 8883], "broker.tare.internal", NOW_S],
    ),
)  # fmt: skip


def code_text() -> str:
    """The code as the display shows it."""
    number, digits = int.from_bytes(CODE, "big"), ""
    for _ in range(16):
        number, digit = divmod(number, 32)
        digits = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"[digit] + digits
    return "-".join(textwrap.wrap(digits, 4))


def render() -> str:
    """Return the section as it stands in SPEC.md."""
    lines = ["| key | private | public (x, then y) | kid |", "|---|---|---|---|"]
    for key in (IDENTITY, TLS, COMMAND, DEVICE_EPHEMERAL, CLOUD_EPHEMERAL):
        public = f"`{key.raw[:32].hex()}` `{key.raw[32:].hex()}`"
        lines.append(f"| {key.name} | `{key.seed.hex()}` | {public} | `{key.kid.hex()}` |")
    first = EXAMPLES[0]
    header, load = second.signed_header(IDENTITY.kid), second.encode(first.item)
    covered = second.structure("Signature1", header, 1, IDENTITY.kid, load)
    values = (
        ("ECDH of the two ephemeral keys, x", SHARED_X),
        ("MAC key of generation 1, challenge as below", MAC_KEY),
        ("external_aad of a hello", second.encode([second.PURPOSES[1], IDENTITY.kid])),
        ("Sig_structure of the first example", covered),
        ("its SHA-256, which is signed", hashlib.sha256(covered).digest()),
        (f"claim code {code_text()}", CODE),
        ("enrolment reply around the last example", _reply()),
    )
    for title, value in values:
        lines += ["", f"{title}:", "```", *_wrapped(value), "```"]
    for example in EXAMPLES:
        data = example.data
        lines += ["", f"**{example.title}** ({len(data)} bytes)", "```"]
        lines += textwrap.wrap(_diagnostic(example.item), _WIDTH)
        lines += [*_wrapped(data), "```"]
    return "\n".join(lines) + "\n"


def _reply() -> bytes:
    return second.encode([CLOUD_EPHEMERAL.raw, EXAMPLES[-1].data])


def _wrapped(data: bytes) -> list[str]:
    return textwrap.wrap(data.hex(), _WIDTH)


def _diagnostic(item: Any) -> str:
    """Diagnostic notation (RFC 8949 section 8)."""
    if isinstance(item, list):
        return "[" + ", ".join(map(_diagnostic, item)) + "]"
    if isinstance(item, bytes):
        return f"h'{item.hex()}'"
    if isinstance(item, str):
        return f'"{item}"'
    return "null" if item is None else str(item)


if __name__ == "__main__":
    print(render(), end="")  # noqa: T201 - a tool
