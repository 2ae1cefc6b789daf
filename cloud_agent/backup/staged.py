"""What a restore changes in the two databases that lie ready, before anybody uses them. Blocks."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final

from cloud_agent.accounts.tokens import Kind

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


def _column(connection: sqlite3.Connection, query: str) -> list[str]:
    return [row[0] for row in connection.execute(query)]
