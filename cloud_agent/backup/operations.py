"""Named operations for backups of a running installation. JSON in, JSON out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from cloud_agent.arguments import Arguments, text
from cloud_agent.backup import make
from cloud_agent.errors import UsageError
from cloud_agent.operation import in_thread, of_technician

if TYPE_CHECKING:
    from cloud_agent.control import Operation
    from cloud_agent.service import Service


def make_backup(service: Service, arguments: Arguments) -> Arguments:
    """One set (`kind`) into a folder of this machine."""
    kind, folder = text(arguments, "kind"), Path(text(arguments, "folder"))
    passphrase = text(arguments, "passphrase")
    if kind not in {make.DATA, make.KEYS}:
        raise UsageError("a backup is of data or of keys")
    return {"path": str(make.make(service, kind, folder, passphrase))}


def list_backups(service: Service, _arguments: Arguments) -> Arguments:
    """What was made."""
    return {"backups": make.list_backups(service)}


OPERATIONS: Final[dict[str, Operation]] = {
    "backup.make": of_technician(in_thread(make_backup)),
    "backup.list": of_technician(in_thread(list_backups)),
}
