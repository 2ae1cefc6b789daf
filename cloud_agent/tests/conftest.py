"""Fixtures for all tests of the cloud agent."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from cloud_agent.tests.household import Household
from cloud_agent.tests.privacy.home import Home

# A sync of a busy disk takes as long as it takes.
hypothesis.settings.register_profile("tare", deadline=None)
hypothesis.settings.load_profile("tare")


@pytest.fixture
def household(tmp_path: Path) -> Iterator[Household]:
    """An open, empty installation in a folder of its own."""
    opened = Household(tmp_path / "data")
    yield opened
    opened.close()


@pytest.fixture
def home(household: Household) -> Home:
    """Ann and Bob, with a scale and readings each."""
    return Home(household)
