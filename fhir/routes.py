"""The FHIR REST door: read and search, over the request's guarded repository."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, urlencode

import orjson
from fastapi import APIRouter, Request
from fastapi.responses import Response

from fhir.bundle import searchset
from fhir.capability import TYPES, capability_statement
from fhir.elements import COORDINATES
from fhir.errors import (
    Invalid,
    NotFound,
    ResourceError,
    TooLarge,
    Unavailable,
    UnsupportedMedia,
)
from fhir.guarded import GuardedRepository, Page, Row
from fhir.images import instances
from fhir.includes import include
from fhir.negotiation import is_current, is_strict, negotiate, validators
from fhir.outcomes import FHIR_JSON, outcome_response
from fhir.paging import encode
from fhir.queries import Pairs, read_query
from fhir.redaction import masked
from fhir.search import criteria
from fhir.sight import sight
from fhir.smart_configuration import Discovery, smart_configuration

Json = Any

MAX_FORM_BYTES = 65_536
_INSTANCE_ELEMENTS = frozenset(
    one for one in COORDINATES if one.startswith("ImagingStudy.series.instance")
)


AuthorizationServer = Callable[[Request], Awaitable[Discovery | None]]
_ANYBODY = {"Access-Control-Allow-Origin": "*"}  # apps in browsers begin here, from anywhere


def fhir_routes(
    server_url: str, version: str, authorization_server: AuthorizationServer
) -> APIRouter:
    """Give the routes below `/fhir`.

    Args:
        server_url: What clients call this server.
        version: Of the software.
        authorization_server: Gives the discovery document of whoever signs our tokens, or None;
            raises `Unavailable` if that one does not answer.
    """
    base_url = f"{server_url}/fhir"
    router = APIRouter(prefix="/fhir", tags=["fhir"], default_response_class=Response)

    @router.head("/metadata", include_in_schema=False)
    @router.get("/metadata")
    async def metadata(request: Request) -> Response:
        """CapabilityStatement; with a token, of what is open to its bearer."""
        negotiate(request.headers, request.query_params.multi_items())
        try:
            server = await authorization_server(request)
        except Unavailable:
            server = None
        guarded: GuardedRepository | None = getattr(request.state, "guarded", None)
        seen = sight(guarded.access) if guarded else None
        told = capability_statement(base_url, version, server, seen)
        return _answer(request, told, {"Vary": "Authorization"})

    @router.head("/.well-known/smart-configuration", include_in_schema=False)
    @router.get("/.well-known/smart-configuration")
    async def smart(request: Request) -> Response:
        """Where and how SMART apps get tokens; JSON whatever `Accept` says."""
        try:
            server = await authorization_server(request)
            if server is None:
                raise NotFound("no authorization server is configured here")
        except ResourceError as error:
            refusal = outcome_response(error)
            refusal.headers.update(_ANYBODY)
            return refusal
        told = smart_configuration(server, TYPES)
        return Response(orjson.dumps(told), media_type="application/json", headers=_ANYBODY)

    @router.head("/{resource_type}/{resource_id}", include_in_schema=False)
    @router.get("/{resource_type}/{resource_id}")
    async def read(request: Request, resource_type: str, resource_id: str) -> Response:
        """Read one resource by id."""
        negotiate(request.headers, request.query_params.multi_items())
        row = await _guarded(request).read(_known(resource_type), resource_id)
        # whoever may not read `meta` does not learn of versions either
        headers = {} if f"{resource_type}.meta" in row.refused else validators(row.record)
        if headers and is_current(request.headers, row.record):
            return Response(status_code=304, headers=headers)
        [resource] = await _complete(_guarded(request), [row])
        return _answer(request, resource, headers)

    @router.head("/{resource_type}", include_in_schema=False)
    @router.get("/{resource_type}")
    async def search(request: Request, resource_type: str) -> Response:
        """Search a type; the parameters are in the CapabilityStatement."""
        return await _search(request, base_url, resource_type, request.query_params.multi_items())

    @router.post("/{resource_type}/_search")
    async def search_by_post(request: Request, resource_type: str) -> Response:
        """Search a type with the parameters in a form body, which stay out of logs."""
        pairs = [*request.query_params.multi_items(), *await _form(request)]
        return await _search(request, base_url, resource_type, pairs)

    return router


async def _form(request: Request) -> Pairs:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/x-www-form-urlencoded":
        raise UnsupportedMedia("_search takes application/x-www-form-urlencoded")
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_FORM_BYTES:
            raise TooLarge(f"_search takes up to {MAX_FORM_BYTES:,} bytes")
    try:
        return parse_qsl(body.decode(), keep_blank_values=True)
    except UnicodeDecodeError as error:
        raise Invalid("the form is not UTF-8") from error


async def _search(request: Request, base_url: str, resource: str, pairs: Pairs) -> Response:
    negotiate(request.headers, pairs)
    guarded = _guarded(request)
    query = read_query(_known(resource), pairs, strict=is_strict(request.headers))
    found = await guarded.search(
        criteria(resource, query.criteria, base_url=base_url),
        Page(query.count, query.after, query.sort, query.counted),
        query=urlencode(query.honoured),
    )
    included = await include(guarded, found.rows, query.include)
    more = found.more and query.count > 0
    bundle = searchset(
        base_url,
        resource,
        matches=await _complete(guarded, found.rows),
        included=[masked(row.resource, row.refused) for row in included],
        total=found.total,
        honoured=query.honoured,
        cursor=encode(found.rows[-1].record.position, query.sort) if more else None,
        moment=datetime.now(UTC),
    )
    return _answer(request, bundle)


async def _complete(guarded: GuardedRepository, rows: Sequence[Row]) -> list[dict[str, Json]]:
    """Put instances into their studies, and mark what is refused."""
    studies = [row for row in rows if "series" in row.resource]
    by_study = await instances(guarded, studies, _INSTANCE_ELEMENTS) if studies else {}
    complete = []
    for row in rows:
        by_series: dict[str, list[Json]] = {}
        for instance in by_study.get(row.id, ()):
            by_series.setdefault(instance.series, []).append(instance.element)
        resource = _with_instances(row, by_series) if by_series else row.resource
        complete.append(masked(resource, row.refused))
    return complete


def _with_instances(row: Row, by_series: dict[str, list[Json]]) -> dict[str, Json]:
    # the record knows every series' UID, even if the caller may not
    uids = [one["uid"] for one in row.record.resource["series"]]
    series = [
        {**part, "instance": by_series[uid]} if uid in by_series else part
        for part, uid in zip(row.resource["series"], uids, strict=True)
    ]
    return {**row.resource, "series": series}


def _known(resource: str) -> str:
    if resource not in TYPES:
        raise NotFound(f"this server has {', '.join(TYPES)}")
    return resource


def _guarded(request: Request) -> GuardedRepository:
    repository: GuardedRepository = request.state.guarded
    return repository


def _answer(
    request: Request, resource: dict[str, Json], headers: dict[str, str] | None = None
) -> Response:
    option = orjson.OPT_INDENT_2 if request.query_params.get("_pretty") == "true" else 0
    return Response(orjson.dumps(resource, option=option), media_type=FHIR_JSON, headers=headers)
