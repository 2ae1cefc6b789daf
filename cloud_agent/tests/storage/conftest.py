"""An open main database."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from cloud_agent.storage.database import Database


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """A new, empty database."""
    opened = Database(tmp_path / "tare.db")
    yield opened
    opened.close()
