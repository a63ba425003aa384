"""The FHIR REST door: read and search, over the request's guarded repository."""

from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import parse_qsl

import orjson
from fastapi import APIRouter, Request
from fastapi.responses import Response

from fhir.answering import read, search
from fhir.batch import MAX_BATCH_BYTES, answer_batch, read_batch
from fhir.capability import capability_statement
from fhir.errors import (
    Invalid,
    NotFound,
    ResourceError,
    TooLarge,
    Unavailable,
    UnsupportedMedia,
)
from fhir.guarded import GuardedRepository
from fhir.negotiation import is_current, is_strict, negotiate, validators
from fhir.outcomes import FHIR_JSON, outcome_response
from fhir.queries import Pairs
from fhir.referring import TYPES
from fhir.sight import sight
from fhir.smart_configuration import Discovery, smart_configuration

Json = Any

MAX_FORM_BYTES = 65_536
_FORM = frozenset({"application/x-www-form-urlencoded"})
_JSON = frozenset({"application/fhir+json", "application/json"})

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
    _add_statements(router, base_url, version, authorization_server)
    _add_interactions(router, base_url)
    return router


def _add_statements(
    router: APIRouter, base_url: str, version: str, authorization_server: AuthorizationServer
) -> None:
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


def _add_interactions(router: APIRouter, base_url: str) -> None:
    @router.post("")
    async def batch(request: Request) -> Response:
        """Several reads and searches at once: a Bundle of type batch with GET entries."""
        pairs = request.query_params.multi_items()
        negotiate(request.headers, pairs)
        found = await read_batch(await _body(request, _JSON, MAX_BATCH_BYTES))
        strict = is_strict(request.headers)
        return _answer(
            request, await answer_batch(_guarded(request), base_url, found, strict=strict)
        )

    @router.head("/{resource_type}/{resource_id}", include_in_schema=False)
    @router.get("/{resource_type}/{resource_id}")
    async def read_one(request: Request, resource_type: str, resource_id: str) -> Response:
        """Read one resource by id, or a part of it."""
        pairs = request.query_params.multi_items()
        negotiate(request.headers, pairs)
        reading = await read(_guarded(request), resource_type, resource_id, pairs)
        headers = {} if reading.record is None else validators(reading.record)
        if reading.record is not None and is_current(request.headers, reading.record):
            return Response(status_code=304, headers=headers)
        return _answer(request, await reading.resource(), headers)

    @router.head("/{resource_type}", include_in_schema=False)
    @router.get("/{resource_type}")
    async def search_by_get(request: Request, resource_type: str) -> Response:
        """Search a type; the parameters are in the CapabilityStatement."""
        return await _search(request, base_url, resource_type, request.query_params.multi_items())

    @router.post("/{resource_type}/_search")
    async def search_by_post(request: Request, resource_type: str) -> Response:
        """Search a type with the parameters in a form body, which stay out of logs."""
        pairs = [*request.query_params.multi_items(), *await _form(request)]
        return await _search(request, base_url, resource_type, pairs)


async def _form(request: Request) -> Pairs:
    body = await _body(request, _FORM, MAX_FORM_BYTES)
    try:
        return parse_qsl(body.decode(), keep_blank_values=True)
    except UnicodeDecodeError as error:
        raise Invalid("the form is not UTF-8") from error


async def _body(request: Request, kinds: frozenset[str], most_bytes: int) -> bytes:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in kinds:
        raise UnsupportedMedia(f"send {' or '.join(sorted(kinds))}")
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > most_bytes:
            raise TooLarge(f"a body has up to {most_bytes:,} bytes here")
    return body


async def _search(request: Request, base_url: str, resource: str, pairs: Pairs) -> Response:
    negotiate(request.headers, pairs)
    strict = is_strict(request.headers)
    return _answer(
        request, await search(_guarded(request), base_url, resource, pairs, strict=strict)
    )


def _guarded(request: Request) -> GuardedRepository:
    repository: GuardedRepository = request.state.guarded
    return repository


def _answer(
    request: Request, resource: dict[str, Json], headers: dict[str, str] | None = None
) -> Response:
    option = orjson.OPT_INDENT_2 if request.query_params.get("_pretty") == "true" else 0
    return Response(orjson.dumps(resource, option=option), media_type=FHIR_JSON, headers=headers)
