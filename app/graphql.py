"""The GraphQL door: GraphQL over HTTP, POST only, and GraphiQL for browsers in development."""

from datetime import timedelta
from typing import Any

import orjson
import structlog
from graphql import GraphQLSchema
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route
from strawberry.http.ides import get_graphql_ide_html

from app.archive import Archive
from app.doors import guarded
from app.identity.sessions import end_session
from app.logs import place
from app.settings import Settings
from fhir.errors import Invalid, NotAcceptable, TooLarge, UnsupportedMedia
from fhir.guarded import GuardedRepository
from schema.build import build_schema
from schema.context import Context
from schema.execution import Answer, Query, run
from schema.limits import Limits

log = structlog.get_logger()

MAX_BODY_BYTES = 256 * 1024
_JSON = "application/json"
_GRAPHQL_JSON = "application/graphql-response+json"


def graphql_routes(settings: Settings) -> list[Route]:
    """Give `/graphql`; the schema is built here, once."""
    door = _Door(settings, build_schema())
    return [Route("/graphql", door.answer, methods=["GET", "POST"], name="graphql")]


class _Door:
    def __init__(self, settings: Settings, schema: GraphQLSchema) -> None:
        self._base_url = settings.base_url
        self._schema = schema
        self._limits = Limits()
        self._page = get_graphql_ide_html() if settings.mode == "development" else None

    async def answer(self, request: Request) -> Response:
        """Run one operation, or show GraphiQL."""
        if request.method != "POST":
            return self._show(request)
        media_type = _negotiated(request.headers.get("accept", ""))
        query = _query(await _body(request))
        context = _context(request.app.state.archive)
        answer = await run(
            self._schema, guarded(request), self._base_url, query, self._limits, context
        )
        for failure in answer.failures:
            log.error(
                "GraphQL value broken",
                path=[one for one in failure.path or () if isinstance(one, str)],
                **place(failure.original_error or failure),
            )
        return Response(
            orjson.dumps(answer.body),
            status_code=_status(answer, media_type),
            media_type=media_type,
        )

    def _show(self, request: Request) -> Response:
        if self._page is None or "text/html" not in request.headers.get("accept", ""):
            raise HTTPException(405, "send queries with POST", {"Allow": "POST"})
        return HTMLResponse(self._page)


def _context(archive: Archive) -> Context:
    async def end(repository: GuardedRepository, identifier: str) -> None:
        await end_session(repository, archive.sessions, identifier)

    return Context(
        longest_break_glass=timedelta(minutes=archive.settings.break_glass_minutes),
        opened=archive.alerts.opened,
        end_session=end,
        desk=archive.desk,
    )


def _status(answer: Answer, media_type: str) -> int:
    # GraphQL over HTTP 6.4: older clients take anything but 200 for a broken server
    return 200 if answer.ran or media_type == _JSON else 400


def _negotiated(accept: str) -> str:
    wanted = {
        kind.strip().lower()
        for kind, _, parameters in (one.partition(";") for one in accept.split(","))
        if parameters.replace(" ", "") not in {"q=0", "q=0.0"}
    }
    if _GRAPHQL_JSON in wanted:
        return _GRAPHQL_JSON
    if wanted & {"", "*/*", "application/*", _JSON}:
        return _JSON
    raise NotAcceptable(f"answers are {_JSON} or {_GRAPHQL_JSON}")


async def _body(request: Request) -> bytes:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    # no browser sends this type to another site unasked, so no form can forge a query
    if kind != _JSON:
        raise UnsupportedMedia(f"send {_JSON}: {{query, variables, operationName}}")
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            raise TooLarge(f"a request has at most {MAX_BODY_BYTES:,} bytes")
    return bytes(body)


def _query(body: bytes) -> Query:
    try:
        sent: Any = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Invalid(
            f"the body is not JSON, at line {error.lineno}, column {error.colno}"
        ) from None
    if not isinstance(sent, dict):
        raise Invalid("send one object: {query, variables, operationName}")
    text, variables, name = sent.get("query"), sent.get("variables"), sent.get("operationName")
    if not isinstance(text, str) or not text.strip():
        raise Invalid("query: write the GraphQL document as a string")
    if variables is not None and not isinstance(variables, dict):
        raise Invalid("variables: write an object, or leave it out")
    if name is not None and not isinstance(name, str):
        raise Invalid("operationName: write a string, or leave it out")
    return Query(text, variables or {}, name)
