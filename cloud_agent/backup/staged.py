"""What a restore changes in the two databases that lie ready, before anybody uses them. Blocks."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final

from cloud_agent.accounts.tokens import Kind
from cloud_agent.backup.make import KEYS, KEYS_LIVE_S
from cloud_agent.backup.sealed_file import Header

# A code for a privacy request stays good: it does again only what its person asked for.
_ENDED: Final = (Kind.SESSION, Kind.RECOVERY, Kind.ADDRESS)


def end_access(keys: Path) -> list[str]:
    """Ends what may have been ended since the backup: sessions, links that open an account, and
    the operators; returns the names of these. Whoever restores has everything as it is, and
    says anew who works here.
    """
    with closing(sqlite3.connect(keys)) as connection, connection:
        known = set(_column(connection, "SELECT name FROM sqlite_schema WHERE type = 'table'"))
        if "token" in known:  # else of a version that had none
            connection.executemany("DELETE FROM token WHERE kind = ?", [(k.value,) for k in _ENDED])
        if "operator" not in known:
            return []
        names = _column(connection, "SELECT name FROM operator ORDER BY name")
        connection.execute("DELETE FROM operator")
        return names


def note_keys(tare: Path, used: Path, header: Header, now_s: int) -> None:
    """Writes down the backup of keys that is restored from, and that others may have been made
    until now (`now_s`, Unix seconds): the restored database is older than they are, and a
    receipt must not name an earlier end than that of a file that exists.
    """
    latest_s = now_s + KEYS_LIVE_S
    rows = (
        (header.made_s, header.until_s or latest_s, used.name),
        (now_s, latest_s, "any that the restored database does not know of"),
    )
    with closing(sqlite3.connect(tare)) as connection, connection:
        for made_s, until_s, name in rows:
            connection.execute(
                "INSERT INTO backup (kind, made_s, until_s, name) SELECT ?1, ?2, ?3, ?4 WHERE "
                "NOT EXISTS (SELECT 1 FROM backup WHERE kind = ?1 AND made_s = ?2 AND name = ?4)",
                (KEYS, made_s, until_s, name),
            )


def _column(connection: sqlite3.Connection, query: str) -> list[str]:
    return [row[0] for row in connection.execute(query)]
