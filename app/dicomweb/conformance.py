"""What this service can do, for programs (PS3.18 8.9, annex H) and people; it shows no record."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from itertools import groupby
from operator import attrgetter
from types import MappingProxyType
from typing import Any, Final

import orjson
from fastapi import APIRouter, Request
from fastapi.routing import APIRoute
from starlette.responses import Response

from app import __version__
from app.dicomweb.media_types import JSON, Offer, choose
from app.dicomweb.retrieve import accept, archive_of
from app.dicomweb.standards import Clause, standards

Json = Any

WADL: Final = "application/vnd.sun.wadl+xml"
WADL_AS: Final = (WADL, "application/xml", "text/xml")
HTML: Final = "text/html"

_NAMESPACE: Final = "http://wadl.dev.java.net/2009/02"
_OFFERS: Final = (Offer(WADL_AS), Offer((JSON,)))
_HEADERS: Final = MappingProxyType({"Cache-Control": "no-cache", "Vary": "Accept"})
_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"
_STYLE: Final = (
    "body{font:16px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:60rem;padding:0 1rem}"
    "table{border-collapse:collapse;width:100%}td,th{border-bottom:1px solid;padding:.3rem;"
    "text-align:left;vertical-align:top}code{overflow-wrap:anywhere}"
)


@dataclass(slots=True)
class Resource:
    """A part of a path, with what can be done there and what is below it."""

    routes: list[APIRoute] = field(default_factory=list)
    below: dict[str, "Resource"] = field(default_factory=dict)


def add_conformance(router: APIRouter) -> None:
    """Add the addresses that tell what the other routes of a router can do."""
    routes = [one for one in router.routes if isinstance(one, APIRoute)]
    content: dict[str, Json] = {one: {} for one in (WADL, JSON)}
    said: Json = {"responses": {200: {"description": "Done", "content": content}}}

    @router.api_route("/", methods=["OPTIONS"], name="retrieve_capabilities", **said)
    async def retrieve_capabilities(request: Request) -> Response:
        """Capabilities: what can be asked for, and how, as WADL or JSON (PS3.18 8.9)."""
        return _capabilities(request, router.prefix, routes)

    @router.get("/", **said)
    async def read_capabilities(request: Request) -> Response:
        """The same for those who cannot send OPTIONS."""
        return _capabilities(request, router.prefix, routes)

    page: Json = {"responses": {200: {"description": "Done", "content": {HTML: {}, JSON: {}}}}}

    @router.get("/conformance", **page)
    async def conformance_statement(request: Request) -> Response:
        """The conformance statement: each clause that is claimed, and what is missing."""
        offer = choose(accept(request), [Offer((HTML,)), Offer((JSON,))])
        if offer.names[0] == JSON:
            return Response(orjson.dumps(_said()), headers=_HEADERS, media_type=JSON)
        headers = {**_HEADERS, "Content-Security-Policy": _POLICY}
        return Response(_page(), headers=headers, media_type=HTML)


def _capabilities(request: Request, prefix: str, routes: Sequence[APIRoute]) -> Response:
    offer = choose(accept(request), _OFFERS)
    base = f"{archive_of(request).settings.base_url}{prefix}"
    headers = {**_HEADERS, "Allow": "GET, OPTIONS"}
    if offer.names[0] == JSON:
        listed = [_operation(prefix, one) for one in routes]
        found = {"base": base, "version": __version__, "operations": listed} | _said()
        return Response(orjson.dumps(found), headers=headers, media_type=JSON)
    return Response(_wadl(base, prefix, routes), headers=headers, media_type=WADL)


def _said() -> dict[str, Json]:
    found = standards()
    return {
        "clauses": [
            {
                "standard": one.standard,
                "clause": one.number,
                "title": one.title,
                "says": one.says,
                "operations": list(one.routes),
            }
            for one in found.clauses
        ],
        "gaps": [
            {"standard": one.standard, "clause": one.number, "says": one.says} for one in found.gaps
        ],
    }


def _operation(prefix: str, route: APIRoute) -> dict[str, Json]:
    return {
        "id": _name(route),
        "methods": sorted(route.methods or ()),
        "path": route.path.removeprefix(prefix),
        "says": route.description,
        "accept": _representations(route),
        "parameters": [one["name"] for one in _parameters(route)],
    }


def _name(route: APIRoute) -> str:
    return "".join(word.capitalize() for word in route.name.split("_"))


def _representations(route: APIRoute) -> list[str]:
    return list(route.responses.get(200, {}).get("content", {}))


def _parameters(route: APIRoute) -> list[Mapping[str, Json]]:
    said = [
        {"name": one.alias, "description": one.field_info.description or ""}
        for one in route.dependant.query_params
    ]
    return [*said, *(route.openapi_extra or {}).get("parameters", ())]


def _wadl(base: str, prefix: str, routes: Sequence[APIRoute]) -> str:
    root = Resource()
    for route in routes:
        place = root
        for part in route.path.removeprefix(prefix).strip("/").split("/"):
            place = place.below.setdefault(part, Resource())
        place.routes.append(route)
    lines = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        f'<application xmlns="{_NAMESPACE}">',
        f'<resources base="{escape(base)}/">',
        *_resources(root),
        "</resources>",
        "</application>",
    ]
    return "\n".join(lines) + "\n"


def _resources(place: Resource) -> Iterator[str]:
    for part, resource in place.below.items():
        yield f'<resource path="{escape(part)}">'
        if part.startswith("{"):
            name = escape(part.strip("{}"))
            yield f'<param name="{name}" style="template" required="true"/>'
        for route in resource.routes:
            yield from _method(route)
        yield from _resources(resource)
        yield "</resource>"


def _method(route: APIRoute) -> Iterator[str]:
    for method in sorted(route.methods or ()):
        yield f'<method name="{method}" id="{_name(route)}">'
        yield f"<doc>{escape(route.description)}</doc>"
        yield "<request>"
        given = _representations(route)
        if given:
            yield f'<param name="Accept" style="header" default="{escape(given[0])}">'
            yield from (f'<option value="{escape(one)}"/>' for one in given)
            yield "</param>"
        for one in _parameters(route):
            yield f'<param name="{escape(one["name"])}" style="query"/>'
        sent = (route.openapi_extra or {}).get("requestBody", {}).get("content", {})
        yield from (f'<representation mediaType="{escape(one)}"/>' for one in sent)
        yield "</request>"
        yield '<response status="200">'
        yield from (f'<representation mediaType="{escape(one)}"/>' for one in given)
        yield "</response>"
        yield "</method>"


def _page() -> str:
    found = standards()
    parts = [
        "<!doctype html><html lang=en><meta charset=utf-8>",
        "<meta name=viewport content='width=device-width'>",
        f"<title>Radiograph {__version__}: DICOM conformance statement</title>",
        f"<style>{_STYLE}</style>",
        f"<h1>DICOM conformance statement</h1><p>Radiograph {__version__}. Each clause is "
        "proven by the tests named under it; what is known to be missing stands at the end. "
        "Programs read <code>OPTIONS /dicomweb/</code>.",
    ]
    for standard, clauses in groupby(found.clauses, key=attrgetter("standard")):
        parts.append(f"<h2>{escape(standard)}</h2><table><tr><th>Clause<th>Claim")
        parts += map(_row, clauses)
        parts.append("</table>")
    parts.append("<h2>What is missing</h2><ul>")
    parts += (
        f"<li>{escape(one.standard)} {escape(one.number)}: {escape(one.says)}" for one in found.gaps
    )
    parts.append("</ul></html>\n")
    return "\n".join(parts)


def _row(clause: Clause) -> str:
    routes = "".join(f"<br><code>{escape(one)}</code>" for one in clause.routes)
    proof = "".join(f"<li><code>{escape(one)}</code>" for one in clause.tests)
    return (
        f"<tr><td>{escape(clause.number)}<td><b>{escape(clause.title)}.</b> "
        f"{escape(clause.says)}{routes}"
        f"<details><summary>Proof: {len(clause.tests)}</summary><ul>{proof}</ul></details>"
    )
