"""Fixtures for commands."""

from pathlib import Path

import pytest

from tests.command import Installation


@pytest.fixture
def fresh(tmp_path: Path) -> Installation:
    """An installation that nothing was done with, with the embedded database."""
    return Installation(tmp_path / "data")
