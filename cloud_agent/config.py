"""Where one installation keeps its files: names, permissions, and the lock that says who
may open them. Reads TARE_DATA; touches nothing but the data folder.
"""

from __future__ import annotations

import fcntl
import os
import stat
from pathlib import Path
from typing import Final

import platformdirs

from cloud_agent.errors import BusyError, UsageError

PRIVATE_FOLDER_MODE: Final = 0o700
PRIVATE_FILE_MODE: Final = 0o600


class DataFolder:
    """The paths of one installation below `root`. Making it touches no file; `create` does."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @classmethod
    def choose(cls, given: Path | None) -> DataFolder:
        """The folder from `--data`, else TARE_DATA, else the platform's place for user data."""
        if given is None:
            from_environment = os.environ.get("TARE_DATA", "")
            default = platformdirs.user_data_path("tare", appauthor=False)
            given = Path(from_environment) if from_environment else default
        return cls(given.expanduser().absolute())

    def create(self) -> None:
        """Makes the folder and its sub-folders, 0700.

        Raises `UsageError` where it cannot be, and for somebody else's folder: a home folder or
        /tmp that is given by mistake must neither be filled nor closed to others.
        """
        try:
            self._refuse_others()
            folders = (
                self.root,
                self.ca,
                self.broker,
                self.exports,
                self.erasures,
                self.mail,
                self.staging,
            )
            for folder in folders:
                folder.mkdir(mode=PRIVATE_FOLDER_MODE, parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(
                f"cannot make the data folder {self.root}: {error.strerror}"
            ) from error
        if stat.S_IMODE(self.root.stat().st_mode) & 0o077:
            # Made by hand, or by a careless copy: what is in it is for this user only.
            self.root.chmod(PRIVATE_FOLDER_MODE)

    def _refuse_others(self) -> None:
        ours = (self.lock, self.database, self.keys, self.ledger, self.kek, self.ca)
        try:
            shared = bool(stat.S_IMODE(self.root.stat().st_mode) & 0o077)
            if shared and any(self.root.iterdir()) and not any(path.exists() for path in ours):
                raise UsageError(f"{self.root} holds other files: choose a folder for Tare alone")
        except FileNotFoundError:
            return

    def holds_data(self) -> bool:
        """Whether an installation was made here: an empty or missing folder is none."""
        return any(path.exists() for path in (self.database, self.keys, self.ledger, self.kek))

    @property
    def database(self) -> Path:
        """Readings and everything else that is not a key (SQLite, WAL)."""
        return self.root / "tare.db"

    @property
    def keys(self) -> Path:
        """Wrapped keys, credentials, e-mail lookup (SQLite, rollback journal)."""
        return self.root / "keys.db"

    @property
    def ledger(self) -> Path:
        """The append-only record of erasures."""
        return self.root / "ledger"

    @property
    def receipts(self) -> Path:
        """The signed receipts of privacy requests, a log that only grows."""
        return self.root / "receipts"

    @property
    def receipt_key(self) -> Path:
        """The key that signs them."""
        return self.root / "receipt.key"

    @property
    def kek(self) -> Path:
        """The key-encryption key, 0600. It belongs in no backup of this folder."""
        return self.root / "kek.key"

    @property
    def next_kek(self) -> Path:
        """The one that takes its place, while everything is wrapped anew."""
        return self.root / "kek.key.next"

    @property
    def ca(self) -> Path:
        """The certificate authority, the command key, and what they issued to the cloud."""
        return self.root / "ca"

    @property
    def broker(self) -> Path:
        """What the broker child process reads and writes."""
        return self.root / "broker"

    @property
    def controller(self) -> Path:
        """Who runs this installation, for the register of processing; written by them."""
        return self.root / "controller.toml"

    @property
    def web(self) -> Path:
        """Where the pages listen."""
        return self.root / "web"

    @property
    def mail(self) -> Path:
        """Letters as files, where no mail server is configured."""
        return self.root / "mail"

    @property
    def exports(self) -> Path:
        """Exports that were made and not yet removed (after a day, or by erasure)."""
        return self.root / "exports"

    @property
    def staging(self) -> Path:
        """Copies that a backup packs, and files that a restore puts in their places."""
        return self.root / "staging"

    @property
    def erasures(self) -> Path:
        """Scan sets of erasures that are not proven yet, each under a key of its own."""
        return self.root / "erasures"

    @property
    def control_socket(self) -> Path:
        """The socket on which a running server takes orders from `tare`."""
        return self.root / "control.sock"

    @property
    def lock(self) -> Path:
        """Whoever holds this file's lock may open the databases."""
        return self.root / "lock"


class FolderLock:
    """The one lock of a data folder: flock, so that it goes with the process that holds it."""

    def __init__(self, folder: DataFolder) -> None:
        """Takes the lock at once; raises `BusyError` when another process has it."""
        self._descriptor = os.open(
            folder.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, PRIVATE_FILE_MODE
        )
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._descriptor)
            raise BusyError(
                f"the data folder {folder.root} is in use by another process"
            ) from error

    def release(self) -> None:
        """Gives the lock back; a second call does nothing."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
