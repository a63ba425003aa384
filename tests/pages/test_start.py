"""The start page links the doors, needs nothing from elsewhere and has roles in development."""

import re
from collections.abc import AsyncIterator

import pytest
from httpx import ASGITransport, AsyncClient
from starlette.applications import Starlette

from app.pages import start_routes

TYPES = {
    "/": "text/html; charset=utf-8",
    "/start.css": "text/css; charset=utf-8",
    "/start.js": "text/javascript; charset=utf-8",
    "/start.svg": "image/svg+xml",
}


def client(development: bool) -> AsyncClient:
    app = Starlette(routes=start_routes(development))
    return AsyncClient(transport=ASGITransport(app=app), base_url="http://radiograph.test")


@pytest.fixture
async def development() -> AsyncIterator[AsyncClient]:
    async with client(development=True) as started:
        yield started


@pytest.fixture
async def production() -> AsyncIterator[AsyncClient]:
    async with client(development=False) as started:
        yield started


@pytest.mark.parametrize("path", TYPES)
async def test_each_file_has_its_type_and_strict_headers(
    development: AsyncClient, path: str
) -> None:
    answer = await development.get(path)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == TYPES[path]
    assert answer.headers["content-security-policy"] == (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "no-cache"


@pytest.mark.parametrize("path", TYPES)
async def test_a_known_file_is_not_sent_again(development: AsyncClient, path: str) -> None:
    tag = (await development.get(path)).headers["etag"]
    again = await development.get(path, headers={"If-None-Match": f'"other", W/{tag}'})
    changed = await development.get(path, headers={"If-None-Match": '"other"'})
    assert (again.status_code, again.content) == (304, b"")
    assert changed.status_code == 200


async def test_the_page_links_every_door(production: AsyncClient) -> None:
    page = (await production.get("/")).text
    links = re.findall(r'<a href="(/[^"]*)"', page)
    assert links == [
        "/graphql",
        "/fhir/metadata",
        "/docs#/DICOMweb",
        "/docs#/REST",
        "/docs",
        "/health",
        "/ready",
    ]


async def test_development_offers_each_role_once(development: AsyncClient) -> None:
    page = (await development.get("/")).text
    roles = re.findall(r'name="role" value="(\w+)"', page)
    assert len(roles) == len(set(roles)) == 13
    assert '<script src="/start.js" defer></script>' in page
    assert "<!--" not in page


async def test_production_has_no_roles_and_no_script(production: AsyncClient) -> None:
    page = (await production.get("/")).text
    assert "<script" not in page
    assert 'name="role"' not in page
    assert "<!--" not in page
    assert (await production.get("/start.js")).status_code == 404


async def test_nothing_is_inline_and_nothing_comes_from_elsewhere(
    development: AsyncClient,
) -> None:
    page = (await development.get("/")).text
    style = (await development.get("/start.css")).text
    script = (await development.get("/start.js")).text
    assert not re.search(r'\sstyle="|\son\w+="|<style|javascript:', page)
    assert not re.search(r"https?://|//[a-z]", page + style)
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", script)
    assert "url(" not in style


async def test_every_part_that_the_script_fills_is_in_the_page(development: AsyncClient) -> None:
    page = (await development.get("/")).text
    script = (await development.get("/start.js")).text
    wanted = set(re.findall(r'part\("(\w+)"\)', script))
    assert wanted == {
        "coordinates",
        "pictures",
        "question",
        "refused",
        "roles",
        "status",
        "studies",
    }
    assert all(f'id="{name}"' in page for name in wanted)
