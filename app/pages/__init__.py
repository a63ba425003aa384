"""The start page: static files, and with the development issuer a look through each role's eyes."""

from collections.abc import Awaitable, Callable
from hashlib import sha256
from importlib.resources import files

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

HEADERS = {
    "Cache-Control": "no-cache",
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
ROLES = "<!--roles-->"
SCRIPT = "<!--script-->"


def start_routes(development: bool) -> list[Route]:
    """Serve `/` and its style and icon.

    Args:
        development: The development issuer is on: the page lets a visitor choose a role. It then
            needs `POST /development/token`, `/graphql` and `/dicomweb` beside it. Otherwise no
            script is served at all.
    """
    page = _text("start.html")
    if development:
        page = page.replace(ROLES, _text("roles.html"))
        page = page.replace(SCRIPT, '<script src="/start.js" defer></script>')
    else:
        page = page.replace(ROLES, "").replace(SCRIPT, "")
    contents = {
        "/": (page, "text/html"),
        "/start.css": (_text("start.css"), "text/css"),
        "/start.svg": (_text("start.svg"), "image/svg+xml"),
    }
    if development:
        contents["/start.js"] = (_text("start.js"), "text/javascript")
    return [
        Route(path, _serve(content.encode(), media_type), methods=["GET"])
        for path, (content, media_type) in contents.items()
    ]


def _text(name: str) -> str:
    return files(__name__).joinpath(name).read_text(encoding="utf-8")


def _serve(content: bytes, media_type: str) -> Callable[[Request], Awaitable[Response]]:
    tag = f'"{sha256(content).hexdigest()[:32]}"'
    headers = {**HEADERS, "ETag": tag}

    async def endpoint(request: Request) -> Response:
        known = {part.strip() for part in request.headers.get("if-none-match", "").split(",")}
        if tag in known or f"W/{tag}" in known:
            return Response(status_code=304, headers=headers)
        return Response(content, media_type=media_type, headers=headers)

    return endpoint
