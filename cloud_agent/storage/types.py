"""The only source of column types. Three are enough, and each is the same on SQLite (STRICT)
and PostgreSQL: 64-bit integers, text, bytes. No floats (a weight is grams), no database dates
(a time is whole Unix seconds), no booleans (0 or 1, or a state with a name).
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import BigInteger, LargeBinary, Text
from sqlalchemy.dialects import sqlite

# SQLite makes a primary key its row number only when the type is spelt INTEGER.
INTEGER: Final = BigInteger().with_variant(sqlite.INTEGER(), "sqlite")
TEXT: Final = Text()
BLOB: Final = LargeBinary()
