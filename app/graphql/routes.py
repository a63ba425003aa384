"""Where the GraphQL door is, and the short way to it."""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from app.archive import Archive
from app.graphql.budget import Budgets
from app.graphql.context import Contexts
from app.graphql.door import GraphQLDoor
from app.graphql.fhir_door import FhirGraphQLDoor
from app.graphql.operating import Operator
from app.graphql.persisted import Operations, read_manifest
from app.settings import Settings
from schema.build import build_schema

_NONE: Mapping[str, str] = MappingProxyType({})


def graphql_operator(settings: Settings, archive: Callable[[], Archive]) -> Operator:
    """Give what runs operations, however they come in; the schema is built here, once.

    Args:
        settings: Say what is allowed.
        archive: Gives what is served.

    Raises:
        Invalid: The manifest of trusted documents cannot be used.
    """
    trusted = read_manifest(settings.graphql_operations) if settings.graphql_operations else _NONE
    return Operator(
        build_schema(),
        Contexts(archive),
        Operations(trusted, settings.graphql_persisted_only),
        Budgets(
            max(settings.graphql_cost_per_minute // settings.workers, 1),
            settings.graphql_concurrent,
        ),
        base_url=settings.base_url,
        timeout=settings.graphql_timeout.total_seconds(),
    )


def graphql_routes(settings: Settings, operator: Operator) -> list[Route]:
    """Give `/graphql` and FHIR's `$graphql`.

    Args:
        settings: Say what is shown.
        operator: Runs what comes in.
    """
    door = GraphQLDoor(operator, page=settings.mode == "development")
    fhir = FhirGraphQLDoor(operator, base_url=settings.base_url)
    return [Route("/graphql", door, methods=["GET", "POST"], name="graphql"), *fhir.routes()]


class Shortcut:
    """ASGI middleware: takes routes of one exact path by themselves, before any router looks.

    They stand among the application's routes as well, where whoever lists these finds them.
    """

    def __init__(self, app: ASGIApp, routes: Sequence[Route]) -> None:
        self._app = app
        self._direct = {route.path: route.app for route in routes}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let one request through, the short way if there is one."""
        direct = self._direct.get(scope["path"]) if scope["type"] == "http" else None
        await (direct or self._app)(scope, receive, send)
