"""Text that people write for people: how long it may be, and what must not be in it."""

import re

from fhir.errors import Invalid

# What could make a text look like another one: control characters, and those that turn its
# direction; joiners stay, for some scripts need them.
_CONTROL = re.compile(
    "[\\x00-\\x08\\x0b\\x0c\\x0e-\\x1f\\x7f-\\x9f\\u202a-\\u202e\\u2066-\\u2069\\ud800-\\udfff]"
)


def check_text(name: str, text: str, least: int, most: int) -> str:
    """Give a text without the white space around it.

    Args:
        name: Of the argument, for the refusal.
        text: As it was written; tabs and line breaks may be in it.
        least: Characters.
        most: Characters.

    Raises:
        Invalid: It is too short or too long, or has control characters.
    """
    kept = text.strip()
    if not least <= len(kept) <= most or _CONTROL.search(kept):
        raise Invalid(f"{name}: {least} to {most} characters, without control characters")
    return kept
