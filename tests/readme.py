"""The tables of README.md that are written from what they describe: settings, costs, codes.

`python -m tests.readme` puts them in their places.
"""

import re
import sys
from pathlib import Path
from typing import Any

from pydantic.fields import FieldInfo

from app.settings import Settings
from tests import catalogue, costs

README = Path(__file__).parents[1] / "README.md"
PLACE = re.compile(r"(<!-- (settings|cost|codes) -->\n).*?(<!-- /\2 -->)", re.DOTALL)


def settings() -> str:
    rows = ["| variable | default | what |", "|---|---|---|"]
    for name, field in Settings.model_fields.items():
        shown = _default(field.get_default(call_default_factory=True, validated_data={}))
        rows.append(f"| `{name.upper()}` | {shown} | {_about(field)} |")
    return "\n".join(rows) + "\n"


def _default(value: Any) -> str:
    if value in (None, (), {}, "", frozenset()):
        return ""
    text = f"{value.total_seconds():.0f} s" if hasattr(value, "total_seconds") else str(value)
    return f"`{text.lower() if isinstance(value, bool) else text}`"


def _about(field: FieldInfo) -> str:
    return (field.description or "").replace("|", "\\|")


def with_tables(text: str) -> str:
    written = {"settings": settings(), "cost": costs.table(), "codes": catalogue.table()}
    return PLACE.sub(lambda found: found[1] + written[found[2]] + found[3], text)


if __name__ == "__main__":
    README.write_text(with_tables(README.read_text(encoding="utf-8")), encoding="utf-8")
    sys.exit(0)
