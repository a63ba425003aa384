"""The operations of the portal: the manifest that trusts them, and their types in TypeScript."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import orjson

from app.graphql.persisted import hash_of
from schema.build import build_schema
from schema.typescript import typescript

FOLDER: Final = Path(__file__).parent / "portal"
_HEAD: Final = """// Written by `python -m app types` from operations/*.graphql; edit those.
"""


def operations() -> dict[str, str]:
    """Read the operations: name to text."""
    found = sorted((FOLDER / "operations").glob("*.graphql"))
    return {path.stem: path.read_text(encoding="utf-8") for path in found}


def manifest(documents: Mapping[str, str]) -> bytes:
    """Write what the setting `graphql_operations` takes: SHA-256 to text."""
    trusted = {hash_of(text): text for text in documents.values()}
    return orjson.dumps(trusted, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS) + b"\n"


def types(documents: Mapping[str, str]) -> str:
    """Write the types, and by which `documentId` each operation is asked for.

    Raises:
        Invalid: A file does not hold one operation of its name.
    """
    ids = "".join(f'  {name}: "{hash_of(text)}",\n' for name, text in sorted(documents.items()))
    pairs = "".join(
        f"  {name}: {{ variables: {name}Variables; result: {name}Result }};\n"
        for name in sorted(documents)
    )
    return (
        f"{_HEAD}\n{typescript(build_schema(), documents)}\n"
        f"export type Operations = {{\n{pairs}}};\n\n"
        f"export const documentIds = {{\n{ids}}} as const;\n"
    )


def portal_files() -> dict[Path, bytes]:
    """Give the files that follow from the operations, by where they belong."""
    documents = operations()
    return {
        FOLDER / "operations.json": manifest(documents),
        FOLDER / "src" / "operations.ts": types(documents).encode(),
    }
