"""README.md tells the truth about the settings."""

import pytest

from app.settings import Settings
from tests.readme import README, with_table


def test_the_settings_table_is_that_of_the_settings() -> None:
    text = README.read_text(encoding="utf-8")
    assert with_table(text) == text, "run `python -m tests.readme`"


@pytest.mark.parametrize("name", Settings.model_fields)
def test_every_setting_says_what_it_is(name: str) -> None:
    assert Settings.model_fields[name].description
