"""Policies of a few lines, and the doors under them."""

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import httpx

from app.archive import Archive, scope_problem
from app.main import create_app
from fhir.elements import COORDINATES
from policies.book import Book

# Stands last, so that the lines before it keep their numbers.
ADMINISTERING = "p, admin, Policy.text, update, any, allow"
SHIPPED = Path(__file__).parents[1] / "policies"


def book(folder: Path, rules: str, scopes: str = "") -> Book:
    """Open a policy of these rules and scopes, with the shipped model and no tests.

    An administrator is added who may save it: without one a policy is refused.

    Args:
        folder: Is made, or written over.
        rules: Lines of `rules.csv`, indented as one likes.
        scopes: `scopes.toml`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(SHIPPED / "model.conf", folder)
    lines = "\n".join(line.strip() for line in rules.strip().splitlines())
    (folder / "rules.csv").write_text(f"{lines}\n{ADMINISTERING}\n", encoding="utf-8")
    (folder / "scopes.toml").write_text(scopes, encoding="utf-8")
    (folder / "tests.toml").write_text("", encoding="utf-8")
    return Book(folder, COORDINATES, scope_problem)


@asynccontextmanager
async def doors(archive: Archive, policy: Book) -> AsyncIterator[httpx.AsyncClient]:
    """Call the archive's doors under another policy."""
    app = create_app(archive.settings, replace(archive, book=policy))
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url=archive.settings.base_url) as http:
        yield http
