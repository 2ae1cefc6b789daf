"""Checks a receipt of Tare without Tare, without a network, with nothing but Python 3.

    python3 verify_receipt.py RECEIPT.json [--public-key HEX] [--email ADDRESS] [--log FILE]

It shares no code with the program that makes receipts. The signature is Ed25519, written out
from RFC 8032, section 5.1; the hash that says whom a receipt is about is
SHA-256(nonce, address). Exit code 0: everything that was asked holds; 1: something does not;
2: the file cannot be read.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# The curve of RFC 8032, section 5.1.
P = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
ROOT_OF_MINUS_ONE = pow(2, (P - 1) // 4, P)
BASE_X = 15112221349535400772501151409588531511454012693041857206046113283949847762202
BASE_Y = 4 * pow(5, P - 2, P) % P
BASE = (BASE_X, BASE_Y, 1, BASE_X * BASE_Y % P)


Point = tuple[int, int, int, int]
Log = list[tuple[bytes, bytes]]  # signature, signed bytes


class BadError(Exception):
    """Something does not hold; the text says what."""


@dataclass(frozen=True)
class Document:
    """The file that a person was given."""

    receipt: dict[str, Any]
    signature: bytes
    public_key: bytes
    nonce: bytes | None


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the checks; returns the exit code."""
    parser = argparse.ArgumentParser(description="Checks a receipt of Tare.")
    parser.add_argument("receipt", type=Path, help="the file that you were given")
    parser.add_argument("--public-key", help="the key that the service publishes, in hex")
    parser.add_argument("--email", help="your address: is this receipt about you?")
    parser.add_argument("--log", type=Path, help="the service's log of receipts: is yours in it?")
    given = parser.parse_args(arguments)
    try:
        document = read_document(given.receipt)
        log = read_log(given.log) if given.log else None
    except (OSError, ValueError, KeyError, TypeError) as error:
        print("cannot be read:", error)
        return 2
    try:
        for line in check(document, given.public_key, given.email, log):
            print("holds:", line)
    except BadError as bad:
        print("DOES NOT HOLD:", bad)
        return 1
    print(summary(document.receipt))
    return 0


def read_document(path: Path) -> Document:
    """The file; ValueError, KeyError or TypeError for anything else."""
    document = json.loads(path.read_bytes().decode())
    if not isinstance(document["receipt"], dict):
        raise TypeError("there is no receipt in it")
    return Document(
        receipt=document["receipt"],
        signature=unbase64(document["signature"]),
        public_key=bytes.fromhex(document["public_key"]),
        nonce=bytes.fromhex(document["nonce"]) if "nonce" in document else None,
    )


def read_log(path: Path) -> Log:
    """The log's lines: pairs of signature and signed bytes."""
    pairs = [line.partition(b" ")[::2] for line in path.read_bytes().split(b"\n") if line]
    return [(unbase64(signature.decode()), signed) for signature, signed in pairs]


def check(
    document: Document, public_key: str | None, email: str | None, log: Log | None
) -> Iterator[str]:
    """Yields what holds; raises BadError at what does not."""
    receipt, key = document.receipt, document.public_key
    signed = canonical(receipt)
    if public_key is not None and public_key.strip().lower() != key.hex():
        raise BadError("it was signed by another key than the one that you gave")
    if receipt.get("key") != hashlib.sha256(key).hexdigest()[:16]:
        raise BadError("it names another key than the one that is in the file")
    if not verify(key, signed, document.signature):
        raise BadError("the signature: it was not made for these words by this key")
    yield "the signature of key " + receipt["key"]
    if email is not None:
        if document.nonce is None:
            raise BadError("there is no nonce in the file: nobody can tell whom it is about")
        address = email.strip().lower().encode()
        about = hashlib.sha256(document.nonce + address).hexdigest()
        if about != receipt.get("about"):
            raise BadError("it is not about this address")
        yield "it is about " + email.strip()
    if log is not None:
        yield from check_log(receipt, signed, key, log)


def check_log(receipt: dict[str, Any], signed: bytes, key: bytes, log: Log) -> Iterator[str]:
    """The chain of the whole log, and the receipt's place in it."""
    previous = "0" * 64
    for number, (signature, entry) in enumerate(log, start=1):
        parsed = json.loads(entry.decode())
        if parsed.get("previous") != previous or parsed.get("index") != number:
            raise BadError(f"line {number} of the log does not follow the one before")
        if not verify(key, entry, signature):
            raise BadError(f"line {number} of the log: its signature")
        previous = hashlib.sha256(entry).hexdigest()
    index = receipt.get("index", 0)
    if not 0 < index <= len(log) or log[index - 1][1] != signed:
        raise BadError("it is not in the log")
    yield f"it is line {index} of {len(log)} of the log, which is unbroken"


def summary(receipt: dict[str, Any]) -> str:
    """The receipt in a few words."""
    words = ["", f"request   {receipt.get('request')}", f"what      {receipt.get('kind')}"]
    dates = ("received", "finished", "unreadable", "compacted", "backup_horizon")
    words += [f"{name:9} {receipt[name]}" for name in dates if receipt.get(name)]
    for name in ("retained", "not_verified"):
        words.extend(f"{name.replace('_', ' ')}: {each}" for each in receipt.get(name, []))
    return "\n".join(words)


def canonical(value: object) -> bytes:
    """RFC 8785 for what a receipt holds: texts, whole numbers, lists, maps with ASCII keys."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return text.encode()


def unbase64(text: str) -> bytes:
    """URL-safe base64 without padding, in its one form; ValueError for anything else."""
    data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    if base64.urlsafe_b64encode(data).rstrip(b"=").decode() != text:
        raise ValueError("the base64 of a signature")
    return data


def verify(public_key: bytes, message: bytes, signature: bytes) -> bool:
    """Ed25519 (RFC 8032, section 5.1.7); strict: one signature has one form."""
    if len(public_key) != 32 or len(signature) != 64:
        return False
    key, nonce_point = decompress(public_key), decompress(signature[:32])
    scalar = int.from_bytes(signature[32:], "little")
    if key is None or nonce_point is None or scalar >= ORDER:
        return False
    digest = hashlib.sha512(signature[:32] + public_key + message).digest()
    challenge = int.from_bytes(digest, "little") % ORDER
    return equal(multiply(scalar, BASE), add(nonce_point, multiply(challenge, key)))


def add(p: Point, q: Point) -> Point:
    """The sum of two points in extended coordinates (RFC 8032, section 5.1.4)."""
    a, b = (p[1] - p[0]) * (q[1] - q[0]) % P, (p[1] + p[0]) * (q[1] + q[0]) % P
    c, d = 2 * p[3] * q[3] * D % P, 2 * p[2] * q[2] % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % P, g * h % P, f * g % P, e * h % P


def multiply(scalar: int, point: Point) -> Point:
    """The point added to itself so many times."""
    result = (0, 1, 1, 0)
    while scalar:
        if scalar & 1:
            result = add(result, point)
        point = add(point, point)
        scalar >>= 1
    return result


def equal(p: Point, q: Point) -> bool:
    """Whether two points are the same."""
    return (p[0] * q[2] - q[0] * p[2]) % P == 0 and (p[1] * q[2] - q[1] * p[2]) % P == 0


def decompress(data: bytes) -> Point | None:
    """The point of 32 bytes, or None (RFC 8032, section 5.1.3)."""
    y = int.from_bytes(data, "little")
    sign, y = y >> 255, y & (2**255 - 1)
    if y >= P:
        return None
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * ROOT_OF_MINUS_ONE % P
    if (x * x - square) % P or (x == 0 and sign):
        return None
    if x & 1 != sign:
        x = P - x
    return x, y, 1, x * y % P


if __name__ == "__main__":
    sys.exit(main())
