"""The page of GraphiQL subscribes over the socket of the door that serves it."""

import re
from collections.abc import Awaitable, Callable

import httpx

from tests.live.talking import PROTOCOL, STUDIES, talk
from tests.serving import Serving


async def test_the_page_subscribes_where_it_came_from_with_the_headers_that_are_typed(
    server: Serving, bearer: Callable[..., dict[str, str]], load: Callable[..., Awaitable[str]]
) -> None:
    async with httpx.AsyncClient(base_url=server.url) as browser:
        page = (await browser.get("/graphql", headers={"Accept": "text/html"})).text
    assert 'const fetchURL = window.location.href.split("?")[0];' in page
    assert "const subscriptionUrl = httpUrlToWebSockeUrl(fetchURL);" in page
    [fetcher] = re.findall(r"GraphiQL\.createFetcher\(\{(.*?)\}\)", page, re.DOTALL)
    assert " ".join(fetcher.split()) == "url: fetchURL, headers: defaultHeaders, subscriptionUrl,"
    assert "shouldPersistHeaders: false" in page
    # what its client does from there: the page's origin, this subprotocol, and the typed headers
    # in connection_init
    assert PROTOCOL == "graphql-transport-ws"
    study = await load("Page^Seen")
    async with talk(server.url, bearer("radiologist"), origin=server.url) as client:
        await client.ask(STUDIES, after=0)
        while (told := (await client.told())["data"]["studyChanged"])["id"] != study:
            pass
    assert told["kind"] == "CREATED"
