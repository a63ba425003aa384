"""The application: every door, in front of one archive."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from app import __version__
from app.archive import Archive, open_archive
from app.development import development_routes
from app.dicomweb.routes import dicomweb_routes
from app.doors import door_of
from app.graphql.live import Live
from app.graphql.routes import Shortcut, graphql_operator, graphql_routes
from app.guard import Guard
from app.health import health_routes
from app.pages import start_routes
from app.prefetch.watching import Watch
from app.refusals import respond_rest
from app.rest.routes import rest_routes
from app.settings import Settings
from fhir.errors import (
    Broken,
    Invalid,
    NotAcceptable,
    NotFound,
    NotSupported,
    ResourceError,
    TooLarge,
    UnsupportedMedia,
)
from fhir.routes import AuthorizationServer, fhir_routes
from fhir.smart_configuration import Discovery


def create_app(settings: Settings, archive: Archive | None = None) -> FastAPI:
    """Build the application.

    Args:
        settings: Where everything is.
        archive: Opened by the caller, who also closes it; absent: opened and closed with the app.
    """
    app = FastAPI(
        title="Radiograph",
        version=__version__,
        lifespan=_lifespan(settings, archive),
        docs_url="/docs",
        redoc_url=None,
        redirect_slashes=False,
    )
    operator = graphql_operator(settings, lambda: app.state.archive)
    graphql = graphql_routes(settings, operator)
    app.add_middleware(Shortcut, routes=graphql)
    app.add_middleware(Live, settings=settings, operator=operator)
    app.add_middleware(Watch, prefetch=lambda: app.state.archive.prefetch)
    app.add_middleware(Guard, archive=lambda: app.state.archive)
    app.add_exception_handler(ResourceError, _refused)
    app.add_exception_handler(HTTPException, _refused_by_framework)
    app.add_exception_handler(RequestValidationError, _misunderstood)
    _add_routes(app, settings)
    app.router.routes.extend(graphql)
    if archive is not None:
        app.state.archive = archive
    return app


def _lifespan(settings: Settings, archive: Archive | None) -> Any:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        if archive is not None:
            yield
            return
        async with open_archive(settings) as opened:
            app.state.archive = opened
            yield

    return lifespan


def _add_routes(app: FastAPI, settings: Settings) -> None:
    app.include_router(dicomweb_routes())  # asked most, and so first
    app.include_router(health_routes())
    app.router.routes.extend(start_routes(settings.development_issuer))
    if settings.development_issuer:
        app.include_router(development_routes(settings))
    app.include_router(fhir_routes(settings.base_url, __version__, _authorization_server(settings)))
    app.include_router(rest_routes())


def _authorization_server(settings: Settings) -> AuthorizationServer:
    async def discovered(request: Request) -> Discovery | None:
        archive: Archive = request.app.state.archive
        found = await archive.identity.discovery()
        if found is None and settings.development_issuer:
            # no OAuth: it takes a role, and signs
            return {"token_endpoint": f"{settings.base_url}/development/token"}
        return found

    return discovered


def _refuse(request: Request, error: ResourceError) -> Response:
    door = door_of(request.url.path)
    return (door.respond if door else respond_rest)(error)


async def _refused(request: Request, error: Exception) -> Response:
    return _refuse(request, error if isinstance(error, ResourceError) else Broken())


async def _refused_by_framework(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    detail = str(error.detail) if isinstance(error, HTTPException) else ""
    known = {400: Invalid, 404: NotFound, 406: NotAcceptable, 413: TooLarge, 415: UnsupportedMedia}
    if status in known:
        return _refuse(request, known[status](detail))
    response = _refuse(request, NotSupported(detail))
    response.status_code = status
    response.headers.update(getattr(error, "headers", None) or {})
    return response


async def _misunderstood(request: Request, error: Exception) -> Response:
    # the values stay out of the text: they may be patient data
    problems = error.errors() if isinstance(error, RequestValidationError) else []
    said = "; ".join(
        f"{'.'.join(str(part) for part in one['loc'])}: {one['msg']}" for one in problems
    )
    return _refuse(request, Invalid(said or "the request cannot be understood"))
