"""The rig image, built once; tests that need it skip with the line that gets it."""

from __future__ import annotations

import pytest

from hil_tests.board import image
from hil_tests.board.errors import BoardMissingError


@pytest.fixture(scope="session")
def rig_image() -> image.Image:
    try:
        return image.find_or_build()
    except BoardMissingError as missing:
        pytest.skip(f"no emulated board: {missing}")
