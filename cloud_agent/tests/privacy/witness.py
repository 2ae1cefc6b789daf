"""An independent witness of an erasure: notes what may not be left, and looks for it with
nothing of the eraser's own code, in every file of a folder.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path


def collect(root: Path, texts: list[str], ids: list[bytes]) -> dict[str, bytes]:
    """Patterns: texts, ids, and pieces of everything that lies in both databases under them."""
    patterns = {f"text {text}": text.encode() for text in texts}
    patterns |= {f"id {number}": one for number, one in enumerate(ids)}
    with closing(sqlite3.connect(f"file:{root / 'keys.db'}?mode=ro", uri=True)) as keys:
        for owner in ids:
            rows = keys.execute("SELECT id, wrapped FROM owner_key WHERE owner = ?", (owner,))
            for key_id, wrapped in rows:
                patterns[f"key id {key_id.hex()}"] = key_id
                patterns[f"wrapped key {key_id.hex()}"] = wrapped
            rows = keys.execute(
                "SELECT email_hmac, password_hash FROM credential WHERE subject = ?", (owner,)
            )
            for digest, password_hash in rows:
                patterns["e-mail digest"] = digest
                patterns["password hash"] = password_hash.encode()
    with closing(sqlite3.connect(f"file:{root / 'tare.db'}?mode=ro", uri=True)) as main:
        for owner in ids:
            for table, column, by in (
                ("reading", "ciphertext", "owner"),
                ("frame", "ciphertext", "owner"),
                ("ingest", "digest", "owner"),
                ("account", "contact", "subject"),
            ):
                query = f"SELECT {column} FROM {table} WHERE {by} = ?"  # noqa: S608 # fixed names
                for number, (data,) in enumerate(main.execute(query, (owner,))):
                    patterns[f"{table} {owner.hex()} {number}"] = data[-20:]
    return patterns


def found(root: Path, patterns: dict[str, bytes]) -> dict[str, list[str]]:
    """Label -> files in which the pattern lies."""
    hits: dict[str, list[str]] = {}
    for path in root.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            for label, data in patterns.items():
                if data in content:
                    hits.setdefault(label, []).append(path.name)
    return hits
