"""The settings table of README.md, written from the settings themselves.

`python -m tests.readme` puts it in its place.
"""

import re
import sys
from pathlib import Path
from typing import Any

from pydantic.fields import FieldInfo

from app.settings import Settings

README = Path(__file__).parents[1] / "README.md"
PLACE = re.compile(r"(<!-- settings -->\n).*?(<!-- /settings -->)", re.DOTALL)


def table() -> str:
    rows = ["| variable | default | what |", "|---|---|---|"]
    for name, field in Settings.model_fields.items():
        shown = _default(field.get_default(call_default_factory=True, validated_data={}))
        rows.append(f"| `{name.upper()}` | {shown} | {_about(field)} |")
    return "\n".join(rows) + "\n"


def _default(value: Any) -> str:
    if value in (None, (), {}, ""):
        return ""
    text = f"{value.total_seconds():.0f} s" if hasattr(value, "total_seconds") else str(value)
    return f"`{text.lower() if isinstance(value, bool) else text}`"


def _about(field: FieldInfo) -> str:
    return (field.description or "").replace("|", "\\|")


def with_table(text: str) -> str:
    return PLACE.sub(lambda found: found[1] + table() + found[2], text)


if __name__ == "__main__":
    README.write_text(with_table(README.read_text(encoding="utf-8")), encoding="utf-8")
    sys.exit(0)
