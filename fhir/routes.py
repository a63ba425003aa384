"""The FHIR REST door: read and search, over the request's guarded repository."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from typing import Any
from urllib.parse import parse_qsl, urlencode

import orjson
from fastapi import APIRouter, Request
from fastapi.responses import Response

from fhir.bundle import searchset
from fhir.capability import TYPES, capability_statement
from fhir.elements import COORDINATES
from fhir.errors import Invalid, NotAcceptable, NotFound, NotSupported, UnsupportedMedia
from fhir.guarded import GuardedRepository, Page, Row
from fhir.images import instances
from fhir.includes import include, included_parameters
from fhir.outcomes import FHIR_JSON
from fhir.paging import decode, encode
from fhir.parameters import PARAMETERS
from fhir.redaction import masked
from fhir.repository import Position, Sort
from fhir.search import criteria, parameter

Json = Any
Pairs = Sequence[tuple[str, str]]

DEFAULT_COUNT = 20
MAX_COUNT = 200
_ACCEPTED = {"*/*", "application/*", "application/fhir+json", "application/json", "text/json"}
_FORMATS = {"json", "application/json", "application/fhir+json", "text/json"}
# Parameters about the answer rather than about the resources.
_CONTROL = {"_format", "_pretty", "_cursor"}
_INSTANCE_ELEMENTS = frozenset(
    one for one in COORDINATES if one.startswith("ImagingStudy.series.instance")
)


@dataclass(frozen=True, slots=True)
class _Asked:
    """A search request, read."""

    criteria: Pairs
    sort: tuple[Sort, ...]
    count: int
    after: Position | None
    include: Sequence[str]
    counted: bool
    honoured: Pairs


def fhir_routes(server_url: str, version: str) -> APIRouter:
    """Give the routes below `/fhir` for a server that clients call `server_url`."""
    base_url = f"{server_url}/fhir"
    router = APIRouter(prefix="/fhir", tags=["fhir"], default_response_class=Response)

    @router.get("/metadata")
    async def metadata(request: Request) -> Response:
        """CapabilityStatement."""
        return _answer(request, capability_statement(base_url, version))

    @router.get("/{resource_type}/{resource_id}")
    async def read(request: Request, resource_type: str, resource_id: str) -> Response:
        """Read one resource by id."""
        _negotiate(request)
        row = await _guarded(request).read(_known(resource_type), resource_id)
        [resource] = await _complete(_guarded(request), [row])
        return _answer(request, resource, row)

    @router.get("/{resource_type}")
    async def search(request: Request, resource_type: str) -> Response:
        """Search a type; the parameters are in the CapabilityStatement."""
        return await _search(request, base_url, resource_type, request.query_params.multi_items())

    @router.post("/{resource_type}/_search")
    async def search_by_post(request: Request, resource_type: str) -> Response:
        """Search a type with the parameters in a form body, which stay out of logs."""
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "application/x-www-form-urlencoded":
            raise UnsupportedMedia("_search takes application/x-www-form-urlencoded")
        try:
            body = parse_qsl((await request.body()).decode(), keep_blank_values=True)
        except UnicodeDecodeError as error:
            raise Invalid("the form is not UTF-8") from error
        pairs = [*request.query_params.multi_items(), *body]
        return await _search(request, base_url, resource_type, pairs)

    return router


async def _search(request: Request, base_url: str, resource: str, pairs: Pairs) -> Response:
    _negotiate(request)
    guarded = _guarded(request)
    asked = _read(_known(resource), pairs, strict="handling=strict" in _prefer(request))
    search = criteria(resource, asked.criteria, base_url=base_url)
    page = Page(asked.count, asked.after, asked.sort, asked.counted or asked.count == 0)
    found = await guarded.search(search, page, query=urlencode(asked.honoured))
    included = await include(guarded, found.rows, included_parameters(resource, asked.include))
    more = found.more and asked.count > 0
    cursor = encode(found.rows[-1].record.position, asked.sort) if more else None
    bundle = searchset(
        base_url,
        resource,
        matches=await _complete(guarded, found.rows),
        included=[masked(row.resource, row.refused) for row in included],
        total=found.total,
        honoured=asked.honoured,
        cursor=cursor,
        moment=datetime.now(UTC),
    )
    return _answer(request, bundle)


async def _complete(guarded: GuardedRepository, rows: Sequence[Row]) -> list[dict[str, Json]]:
    """Put instances into their studies, and mark what is refused."""
    studies = [row for row in rows if row.resource["resourceType"] == "ImagingStudy"]
    by_study = await instances(guarded, studies, _INSTANCE_ELEMENTS) if studies else {}
    complete = []
    for row in rows:
        resource = row.resource
        if row.id in by_study and "series" in resource:
            by_series: dict[str, list[Json]] = {}
            for instance in by_study[row.id]:
                by_series.setdefault(instance.series, []).append(instance.element)
            uids = [one["uid"] for one in row.record.resource.get("series", ()) if "uid" in one]
            parts = zip(resource["series"], uids, strict=False)
            resource = {
                **resource,
                "series": [
                    {**part, "instance": by_series[uid]} if by_series.get(uid) else part
                    for part, uid in parts
                ],
            }
        complete.append(masked(resource, row.refused))
    return complete


def _read(resource: str, pairs: Pairs, *, strict: bool) -> _Asked:
    """Read a search; unknown parameters are left out of it, or refused if so preferred."""
    honoured, searched, sort, includes = [], [], "", []
    count, total, cursor = DEFAULT_COUNT, "accurate", None
    for name, value in pairs:
        match name:
            case "_count":
                count = _count(value)
            case "_sort":
                sort = value
            case "_include":
                includes.append(value)
            case "_total":
                total = _total(value)
            case "_cursor":
                cursor = value
            case _ if name in _CONTROL:
                continue
            case _ if name.partition(":")[0] in PARAMETERS[resource]:
                if not value and not strict:
                    continue  # an empty value asks for nothing
                searched.append((name, value))
            case _ if strict:
                raise NotSupported(
                    f"unknown parameter; {resource} takes {', '.join(PARAMETERS[resource])}"
                )
            case _:
                continue
        if name != "_cursor":
            honoured.append((name, value))
    order = _sort(resource, sort)
    after = decode(cursor, order) if cursor else None
    return _Asked(searched, order, count, after, includes, total != "none", honoured)


def _count(value: str) -> int:
    if not re.fullmatch(r"\d{1,9}", value):
        raise Invalid("_count takes a whole number, 0 or more")
    return min(int(value), MAX_COUNT)


def _total(value: str) -> str:
    if value not in {"none", "estimate", "accurate"}:
        raise Invalid("_total takes none, estimate or accurate")
    return value


def _sort(resource: str, value: str) -> tuple[Sort, ...]:
    order: dict[str, Sort] = {}
    for name in filter(None, value.split(",")):
        row = parameter(resource, name.removeprefix("-"))
        if not row.sortable:
            able = ", ".join(one.name for one in PARAMETERS[resource].values() if one.sortable)
            raise NotSupported(f"_sort takes {able} here, with a hyphen before it to descend")
        order.setdefault(row.name, Sort(row.name, descending=name.startswith("-")))
    return tuple(order.values())


def _known(resource: str) -> str:
    if resource not in TYPES:
        raise NotFound(f"this server has {', '.join(TYPES)}")
    return resource


def _guarded(request: Request) -> GuardedRepository:
    repository: GuardedRepository = request.state.guarded
    return repository


def _prefer(request: Request) -> set[str]:
    return {one.strip() for one in request.headers.get("prefer", "").split(",")}


def _negotiate(request: Request) -> None:
    wanted = request.query_params.get("_format")
    if wanted is not None:
        if wanted.partition(";")[0].strip().replace(" ", "+") not in _FORMATS:
            raise NotAcceptable("this server writes application/fhir+json")
        return
    accept = request.headers.get("accept") or "*/*"
    for option in accept.split(","):
        kind, *parameters = (part.strip().lower() for part in option.split(";"))
        versions = [one.partition("=")[2] for one in parameters if one.startswith("fhirversion=")]
        if kind in _ACCEPTED and all(one in {"4.0", "4.0.1"} for one in versions):
            return
    raise NotAcceptable("this server writes application/fhir+json, of FHIR version 4.0")


def _answer(request: Request, resource: dict[str, Json], row: Row | None = None) -> Response:
    headers = {}
    if row is not None and f"{resource['resourceType']}.meta" not in row.refused:
        headers["ETag"] = f'W/"{row.record.version}"'
        headers["Last-Modified"] = format_datetime(row.record.last_updated, usegmt=True)
        if _unchanged(request, row):
            return Response(status_code=304, headers=headers)
    option = orjson.OPT_INDENT_2 if request.query_params.get("_pretty") == "true" else 0
    return Response(orjson.dumps(resource, option=option), media_type=FHIR_JSON, headers=headers)


def _unchanged(request: Request, row: Row) -> bool:
    tags = request.headers.get("if-none-match")
    if tags is not None:
        known = f'"{row.record.version}"'
        return any(tag.strip().removeprefix("W/") in {known, "*"} for tag in tags.split(","))
    since = request.headers.get("if-modified-since")
    if since is None:
        return False
    try:
        return row.record.last_updated.replace(microsecond=0) <= parsedate_to_datetime(since)
    except (TypeError, ValueError):
        return False
