"""A backup file: files packed and sealed under a passphrase, so that any change is noticed.

AES-256-GCM in pieces of 64 KiB. The nonce of each is a random prefix, its number, and whether it
is the last (the STREAM construction: Hoang, Reyhanitabar, Rogaway and Vizar, CRYPTO 2015), and
the header is bound into each: pieces cannot be reordered, left out, or moved to another file. The
key comes from the passphrase by scrypt (RFC 7914). Blocks; touches only the paths it is given.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import secrets
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from cloud_agent.config import PRIVATE_FILE_MODE
from cloud_agent.errors import TareError, UsageError
from cloud_agent.files import sync_folder

_MAGIC: Final = b"TARE BACKUP 1\n"
_PIECE: Final = 64 * 1024
_TAG: Final = 16
_PREFIX: Final = 7
_SALT: Final = 16
_MAX_HEADER: Final = 4_096
_MIN_PASSPHRASE: Final = 16
# About 130 MiB of memory and half a second: OWASP's advice for scrypt.
_COST: Final = {"n": 2**17, "r": 8, "p": 1, "maxmem": 256 * 1024 * 1024, "dklen": 32}


class BackupError(TareError):
    """A backup cannot be made or read; nothing was changed."""

    kind = "backup"


@dataclass(frozen=True, slots=True)
class Header:
    """What a backup says of itself in the clear. Times are Unix seconds; `until_s` None: for good.

    `installation`: the id of the ledger. `salt` and `prefix` are hex.
    """

    set: str
    made_s: int
    until_s: int | None
    installation: str
    salt: str
    prefix: str


def new_header(kind: str, made_s: int, until_s: int | None, installation: str) -> Header:
    """A header with fresh randomness."""
    salt, prefix = secrets.token_hex(_SALT), secrets.token_hex(_PREFIX)
    return Header(kind, made_s, until_s, installation, salt, prefix)


def check_passphrase(passphrase: str) -> None:
    """Raises `UsageError` for one that could be guessed from a stolen file."""
    if len(passphrase) < _MIN_PASSPHRASE:
        raise UsageError(f"a passphrase of a backup has at least {_MIN_PASSPHRASE} characters")


def write(path: Path, header: Header, files: Mapping[str, Path], passphrase: str) -> None:
    """Packs the files by name and writes them sealed: all of it under `path`, or nothing.

    Raises `BackupError`, also when `path` is there.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    try:
        with os.fdopen(os.open(temporary, flags, PRIVATE_FILE_MODE), "wb") as sink:
            sealing = _Sealing(sink, header, passphrase)
            with tarfile.open(fileobj=sealing, mode="w|") as archive:
                for name, source in files.items():
                    archive.add(source, name, recursive=False)
            sealing.finish()
            sink.flush()
            os.fsync(sink.fileno())
        os.link(temporary, path)
        sync_folder(path.parent)
    except OSError as error:
        raise BackupError(f"the backup cannot be written: {error.strerror or error}") from error
    finally:
        temporary.unlink(missing_ok=True)


def read_header(path: Path) -> Header:
    """What the file says of itself. Raises `BackupError` for what is no backup."""
    try:
        with path.open("rb") as source:
            return _header(source)[0]
    except OSError as error:
        raise BackupError(f"{path.name} cannot be read: {error.strerror}") from error


def unpack(path: Path, folder: Path, passphrase: str) -> Header:
    """Opens a backup into an empty folder, after every piece of it was found to be right.

    Raises `BackupError`: another passphrase, or a file that was cut or changed.
    """
    try:
        with path.open("rb") as source:
            header, line = _header(source)
            pieces = _opened(source, header, line, passphrase)
            packed = folder / ".packed"
            with packed.open("xb") as sink:
                for piece in pieces:
                    sink.write(piece)
            with tarfile.open(packed) as archive:
                archive.extractall(folder, filter="data")
            packed.unlink()
    except (OSError, tarfile.TarError) as error:
        raise BackupError(f"{path.name} cannot be read: {error}") from error
    return header


class _Sealing(io.RawIOBase):
    """Takes the bytes of the archive, writes pieces."""

    def __init__(self, sink: BinaryIO, header: Header, passphrase: str) -> None:
        super().__init__()
        line = json.dumps(asdict(header), sort_keys=True).encode() + b"\n"
        sink.write(_MAGIC + line)
        self._sink = sink
        self._cipher = AESGCM(_key(passphrase, header))
        self._prefix = bytes.fromhex(header.prefix)
        self._bound = _bound(line)
        self._waiting = bytearray()
        self._number = 0

    def writable(self) -> bool:
        return True

    def write(self, data: bytes | bytearray | memoryview) -> int:  # type: ignore[override] # what tarfile writes
        self._waiting += data
        # One piece is held back: whether it is the last is part of its nonce.
        while len(self._waiting) > _PIECE:
            self._seal(bytes(self._waiting[:_PIECE]), last=False)
            del self._waiting[:_PIECE]
        return len(data)

    def finish(self) -> None:
        """The last piece, which may be empty."""
        self._seal(bytes(self._waiting), last=True)
        self._waiting.clear()

    def _seal(self, piece: bytes, *, last: bool) -> None:
        nonce = _nonce(self._prefix, self._number, last=last)
        self._sink.write(self._cipher.encrypt(nonce, piece, self._bound))
        self._number += 1


def _opened(source: BinaryIO, header: Header, line: bytes, passphrase: str) -> Iterator[bytes]:
    cipher = AESGCM(_key(passphrase, header))
    prefix, bound = bytes.fromhex(header.prefix), _bound(line)
    number = 0
    sealed = source.read(_PIECE + _TAG)
    while True:
        following = source.read(_PIECE + _TAG)
        nonce = _nonce(prefix, number, last=not following)
        try:
            yield cipher.decrypt(nonce, sealed, bound)
        except (InvalidTag, ValueError) as error:
            what = "the passphrase is wrong, or the backup was changed or cut"
            raise BackupError(what) from error
        if not following:
            return
        sealed, number = following, number + 1


def _header(source: BinaryIO) -> tuple[Header, bytes]:
    if source.read(len(_MAGIC)) != _MAGIC:
        raise BackupError("this is no backup of Tare")
    line = source.readline(_MAX_HEADER)
    try:
        header = Header(**json.loads(line))
        if len(bytes.fromhex(header.prefix)) != _PREFIX or len(bytes.fromhex(header.salt)) != _SALT:
            raise ValueError  # noqa: TRY301 # the same answer as for no header
    except (ValueError, TypeError) as error:
        raise BackupError("the header of this backup is damaged") from error
    return header, line


def _key(passphrase: str, header: Header) -> bytes:
    return hashlib.scrypt(passphrase.encode(), salt=bytes.fromhex(header.salt), **_COST)


def _bound(line: bytes) -> bytes:
    return hashlib.sha256(_MAGIC + line).digest()


def _nonce(prefix: bytes, number: int, *, last: bool) -> bytes:
    return prefix + number.to_bytes(4, "big") + bytes([last])
