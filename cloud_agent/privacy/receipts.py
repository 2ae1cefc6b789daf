"""Receipts: signed statements of what was done for a request, in a log that only grows.

    log = ReceiptLog(folder.receipts, key)         # LedgerError when the chain is broken
    issued = log.issue({...})                       # durable on return
    document(issued, nonce)                         # the file for the person

A receipt is canonical JSON (RFC 8785: here ASCII keys, texts, whole numbers, lists and maps
only), signed with Ed25519 (RFC 8032). It holds the hash of the one before, so none can be taken
out or put in between; whoever keeps the hash of the last one can show it. It names nobody:
`about` is a hash that only somebody with the nonce and the address can make again.
"""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from cloud_agent.append_file import AppendFile
from cloud_agent.errors import LedgerError
from cloud_agent.files import write_private

NONCE_SIZE: Final = 32
VERSION: Final = 1
_NO_HASH: Final = "0" * 64


@dataclass(frozen=True, slots=True)
class Issued:
    """One receipt: its canonical bytes and its signature."""

    receipt: dict[str, Any]
    signed: bytes
    signature: bytes


def about(nonce: bytes, email: str) -> str:
    """Whom a receipt is about: nothing without the nonce, which only the person has."""
    return hashlib.sha256(nonce + email.encode()).hexdigest()


class ReceiptLog:
    """The open log. Use from any thread."""

    def __init__(self, path: Path, key: Ed25519PrivateKey) -> None:
        """Raises `LedgerError` for a file that is not an unbroken chain under this key."""
        self._key = key
        self._lock = threading.Lock()
        self._issued: list[Issued] = []
        self._last = _NO_HASH
        self._file = AppendFile(path)
        try:
            for number, line in enumerate(self._file.take_lines(), start=1):
                self._add(_read_line(line, self._last, number, key.public_key()))
        except BaseException:
            self._file.close()
            raise

    @property
    def public_key(self) -> bytes:
        """The 32 bytes that check its signatures."""
        return self._key.public_key().public_bytes_raw()

    @property
    def head(self) -> tuple[int, str]:
        """How many receipts there are, and the hash of the last: to be kept elsewhere."""
        return len(self._issued), self._last

    def issue(self, content: dict[str, Any]) -> Issued:
        """Adds one; the same request twice gives the receipt of the first time."""
        with self._lock:
            known = self._of(content["request"])
            if known is not None:
                return known
            receipt = content | {
                "version": VERSION,
                "index": len(self._issued) + 1,
                "previous": self._last,
                "key": key_id(self.public_key),
            }
            signed = canonical(receipt)
            issued = Issued(receipt, signed, self._key.sign(signed))
            self._file.append(_line(issued))
            self._add(issued)
            return issued

    def of(self, request: str) -> Issued | None:
        """The receipt of a request (hex)."""
        with self._lock:
            return self._of(request)

    def close(self) -> None:
        """Ends it."""
        self._file.close()

    def _add(self, issued: Issued) -> None:
        self._issued.append(issued)
        self._last = hashlib.sha256(issued.signed).hexdigest()

    def _of(self, request: str) -> Issued | None:
        return next((each for each in self._issued if each.receipt["request"] == request), None)


def document(issued: Issued, public_key: bytes, nonce: bytes | None) -> str:
    """The file for the person: receipt, signature, key, and the nonce that is theirs alone."""
    content: dict[str, Any] = {
        "receipt": issued.receipt,
        "signature": _base64(issued.signature),
        "public_key": public_key.hex(),
    }
    if nonce is not None:
        content["nonce"] = nonce.hex()
    return json.dumps(content, indent=2, sort_keys=True) + "\n"


def key_id(public_key: bytes) -> str:
    """The name of a signing key: the first 8 bytes of its SHA-256, in hex."""
    return hashlib.sha256(public_key).hexdigest()[:16]


def canonical(receipt: dict[str, Any]) -> bytes:
    """The one form of a receipt that is signed (RFC 8785 for what a receipt may hold).

    Raises `TypeError` for what has no such form here: fractions, keys that are not ASCII.
    """
    _check(receipt)
    text = json.dumps(receipt, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return text.encode()


def open_key(path: Path) -> Ed25519PrivateKey:
    """The signing key of an installation; made where there is none. Raises `LedgerError`."""
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), None)
    except FileNotFoundError:
        new = Ed25519PrivateKey.generate()
        write_private(path, _pem(new), replace=False)
        return new
    except ValueError as error:
        raise LedgerError("the key that signs receipts is damaged") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise LedgerError("the key that signs receipts is of another kind")
    return key


def _pem(key: Ed25519PrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def _check(value: object) -> None:
    if isinstance(value, dict):
        for key, each in value.items():
            if not isinstance(key, str) or not key.isascii():
                raise TypeError("a receipt has keys of ASCII letters")
            _check(each)
    elif isinstance(value, list):
        for each in value:
            _check(each)
    elif value is not None and not isinstance(value, str | int):
        raise TypeError("a receipt holds texts and whole numbers only")


def _line(issued: Issued) -> bytes:
    return _base64(issued.signature).encode() + b" " + issued.signed + b"\n"


def _read_line(line: bytes, previous: str, number: int, key: Ed25519PublicKey) -> Issued:
    signature, _, signed = line.partition(b" ")
    try:
        issued = Issued(json.loads(signed), signed, base64.urlsafe_b64decode(signature + b"=="))
        key.verify(issued.signature, signed)
    except (ValueError, InvalidSignature) as error:
        raise LedgerError(f"receipt {number} of the log was changed") from error
    receipt = issued.receipt
    if canonical(receipt) != signed or receipt.get("previous") != previous:
        raise LedgerError(f"receipt {number} of the log does not follow the one before")
    return issued


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
