"""A cut while the key-encryption key is written leaves no second copy of it."""

from __future__ import annotations

import os
from pathlib import Path

from cloud_agent.privacy import kek


def test_copy_that_a_cut_left_behind_goes(tmp_path: Path) -> None:
    path = tmp_path / "kek.key"
    key = kek.load_or_create(path, may_create=True)
    os.link(path, tmp_path / ".kek.key.0011223344556677")  # kill -9 before the first name went
    assert kek.load_or_create(path, may_create=False) == key
    assert [one.name for one in tmp_path.iterdir()] == ["kek.key"]
