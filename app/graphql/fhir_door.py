"""FHIR's `$graphql` operation over HTTP, of the system and of one resource."""

from typing import Final

import orjson
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from app.graphql.asked import Asked
from app.graphql.door import asked_by, headers_of, how_else
from app.graphql.exchange import Reply, body_of
from app.graphql.media_types import JSON
from app.graphql.operating import Operator, note_failures
from app.refusals import respond_fhir_graphql
from fhir.errors import Invalid, NotFound, ResourceError
from fhir.guarded import GuardedRepository
from fhir.referring import TYPES
from schema.execution import Query
from schema.fhir_execution import FhirAnswer, FhirOperations, Focus

SYSTEM_PATH: Final = "/fhir/$graphql"
INSTANCE_PATH: Final = "/fhir/{resource_type}/{resource_id}/$graphql"
_GRAPHQL: Final = "application/graphql"


class FhirGraphQLDoor:
    """ASGI application; what stands before it has left a guarded repository."""

    def __init__(self, operator: Operator, *, base_url: str) -> None:
        """Build the schemas.

        Args:
            operator: Knows trusted documents, and what callers may ask for, here and at
                `/graphql` together.
            base_url: What clients call this server.
        """
        self._operator = operator
        self._fhir = FhirOperations(operator.limits)
        self._base_url = base_url

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; the media type is always `application/json`."""
        try:
            focus = _focus(scope["path"])
            asked = await _asked(scope, receive)
            if asked is None:
                return
            reply = await self._answer(scope["state"]["guarded"], asked, focus)
        except ResourceError as error:
            reply = _refusal(error)
        await reply.send(send, scope["method"])

    def routes(self) -> list[Route]:
        """Say where it stands."""
        return [
            Route(path, self, methods=["GET", "POST"], name=f"fhir {name}")
            for path, name in ((SYSTEM_PATH, "$graphql"), (INSTANCE_PATH, "instance $graphql"))
        ]

    async def _answer(self, guarded: GuardedRepository, asked: Asked, focus: Focus | None) -> Reply:
        caller = guarded.access.caller
        found = self._operator.operations.find(asked, caller.roles)
        query = Query(found.text, asked.variables, asked.operation_name)

        async def run() -> FhirAnswer:
            return await self._fhir.run(guarded, self._base_url, query, focus)

        answer = await self._operator.counted(caller.subject, run)
        note_failures(answer.failures)
        if answer.ran:
            self._operator.operations.ran(found)
        return Reply(answer.status, orjson.dumps(answer.body), JSON)


def _focus(path: str) -> Focus | None:
    """Read which resource a path is about.

    Raises:
        NotFound: Of a type that is not here.
    """
    if path == SYSTEM_PATH:
        return None
    _, _, resource, identifier, _ = path.split("/")
    if resource not in TYPES:
        raise NotFound(f"this server has {', '.join(TYPES)}")
    return Focus(resource, identifier)


async def _asked(scope: Scope, receive: Receive) -> Asked | None:
    headers = headers_of(scope)
    kind = headers.get(b"content-type", b"").decode("latin-1").partition(";")[0].strip().lower()
    if scope["method"] != "POST" or kind != _GRAPHQL:
        return await asked_by(scope, receive)
    body = await body_of(receive, headers.get(b"content-length", b"").decode("latin-1"))
    return None if body is None else _document(body)


def _document(body: bytes) -> Asked:
    try:
        text = body.decode()
    except UnicodeDecodeError:
        raise Invalid("the body is not UTF-8") from None
    if not text.strip():
        raise Invalid("send the GraphQL document as the body")
    return Asked(text, {}, None, None, None)


def _refusal(error: ResourceError) -> Reply:
    response = respond_fhir_graphql(error)
    # a success is an answer with data
    status = max(error.status, Invalid.status)
    return Reply(status, bytes(response.body), JSON, how_else(error))
