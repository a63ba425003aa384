"""The GraphQL door over HTTP: what a request has to be, and what it is answered."""

from typing import Final

import orjson
from starlette.types import Receive, Scope, Send
from strawberry.http.ides import get_graphql_ide_html

from app.graphql.asked import Asked, in_address, in_body
from app.graphql.exchange import Reply, body_of
from app.graphql.media_types import GRAPHQL_JSON, HTML, JSON, answered_in, require_json
from app.graphql.operating import Operator
from app.graphql.operating import body_of as told
from app.graphql.refused import CrossSite, Later, WrongMethod
from app.refusals import respond_graphql
from fhir.errors import NotAcceptable, ResourceError
from fhir.guarded import GuardedRepository

# A query is sent by GET with a token in its Authorization header, which browsers add to nothing
# by themselves: there are no cookies here, and so nothing that a foreign page could ride on.
# Whatever a page loads without a script asking (a link, an image, a form) is refused all the same.
_FETCHED: Final = frozenset({"", "cors", "same-origin"})
_READING: Final = frozenset({"GET", "HEAD"})
_ALLOWED: Final = "GET, HEAD, POST"
_OK: Final = 200


class GraphQLDoor:
    """ASGI application of `/graphql`; what stands before it has left a guarded repository."""

    def __init__(self, operator: Operator, *, page: bool) -> None:
        """Set who runs operations.

        Args:
            operator: Runs them, within what callers may ask for.
            page: Whether browsers are shown GraphiQL.
        """
        self._operator = operator
        self._page = _page() if page else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        accept = headers_of(scope).get(b"accept", b"").decode("latin-1")
        media_type = JSON
        try:
            if scope["method"] in _READING and HTML in accept:
                reply = self._shown()
            else:
                media_type = answered_in(accept)
                asked = await asked_by(scope, receive)
                if asked is None:
                    return
                reply = await self._answer(scope, asked, media_type)
        except ResourceError as error:
            reply = _refusal(error, media_type)
        await reply.send(send, scope["method"])

    def _shown(self) -> Reply:
        if self._page is None:
            raise NotAcceptable(f"answers are {JSON} or {GRAPHQL_JSON}; there is no page here")
        return Reply(_OK, self._page, f"{HTML}; charset=utf-8")

    async def _answer(self, scope: Scope, asked: Asked, media_type: str) -> Reply:
        guarded: GuardedRepository = scope["state"]["guarded"]
        reading = scope["method"] in _READING
        answer = await self._operator.run(guarded, asked, queries_only=reading)
        # GraphQL over HTTP 6.4: older clients take anything but 200 for a broken server
        status = _OK if answer.ran or media_type == JSON else 400
        return Reply(status, orjson.dumps(told(answer, self._operator.limits)), media_type)


def _page() -> bytes:
    """Give GraphiQL; it forgets the headers that are typed, for there is a token in them."""
    keeping, forgetting = (f"shouldPersistHeaders: {kept}" for kept in ("true", "false"))
    return get_graphql_ide_html().replace(keeping, forgetting).encode()


def headers_of(scope: Scope) -> dict[bytes, bytes]:
    """Give the headers of a request: the first of each name, as the guard reads them."""
    return dict(reversed(scope["headers"]))


async def asked_by(scope: Scope, receive: Receive) -> Asked | None:
    """Read a request; None if the client has gone meanwhile.

    Raises:
        ResourceError: It is none that can be understood, or comes by a way that is not taken.
    """
    headers = headers_of(scope)

    def header(name: bytes) -> str:
        return headers.get(name, b"").decode("latin-1")

    if scope["method"] == "POST":
        require_json(header(b"content-type"), header(b"content-encoding"))
        body = await body_of(receive, header(b"content-length"))
        return None if body is None else in_body(body)
    if scope["method"] not in _READING:
        raise WrongMethod("send operations with POST, or queries with GET", _ALLOWED)
    if header(b"sec-fetch-mode").lower() not in _FETCHED:
        raise CrossSite
    return in_address(scope["query_string"])


def _refusal(error: ResourceError, media_type: str) -> Reply:
    response = respond_graphql(error)
    # only an answer with data is a success where GraphQL's own media type is spoken
    status = 400 if error.status == _OK and media_type == GRAPHQL_JSON else error.status
    return Reply(status, bytes(response.body), media_type, how_else(error))


def how_else(error: ResourceError) -> dict[str, str]:
    """Say in headers by which method, or when, what is refused may be had."""
    if isinstance(error, WrongMethod):
        return {"allow": error.allow}
    if isinstance(error, Later):
        return {"retry-after": str(error.seconds)}
    return {}
