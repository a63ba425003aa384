"""The register of doors, and what the guard leaves at each for those behind it.

A door that is not in `DOORS` does not get a caller, and so reaches no record.
"""

from dataclasses import dataclass

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import Scope

from app.identity.signin import SignIn
from app.refusals import (
    Respond,
    respond_dicomweb,
    respond_fhir,
    respond_fhir_graphql,
    respond_graphql,
    respond_rest,
)
from fhir.guarded import GuardedRepository


@dataclass(frozen=True, slots=True)
class Door:
    """One way in.

    Attributes:
        prefix: Of the path.
        respond: How it says no.
        public: Paths that need no token and show no record.
        browsable: Whether a browser that goes to the prefix gets a page, without a token, as
            browsers have none; it shows no record either.
        personal: Public paths that tell the bearer of a token what is theirs; a token that is
            sent there has to hold.
        prompt: Whether a request that only reads begins while its session is still being looked
            up, and its accesses are on their way into the audit as soon as they are noted.
            Nothing leaves before either is done.
        suffix: Of the path, where the door is that of an operation.
        signed: Beginning of paths whose last part is a token of its own (`app.identity.signed`):
            who comes there is whoever had the address signed.
    """

    name: str
    prefix: str
    respond: Respond
    public: frozenset[str] = frozenset()
    browsable: bool = False
    personal: frozenset[str] = frozenset()
    prompt: bool = False
    suffix: str = ""
    signed: str | None = None

    def token_in(self, path: str) -> str | None:
        """Give what stands where a signed path has its token; None: it is not such a path."""
        if self.signed is None or not path.startswith(self.signed):
            return None
        return path.removeprefix(self.signed)

    def leads(self, path: str) -> bool:
        """Say whether a path leads through here."""
        below = path == self.prefix or path.startswith(f"{self.prefix}/")
        return below and path.endswith(self.suffix)

    def is_open(self, scope: Scope) -> bool:
        """Say whether a request needs no token."""
        headers = Headers(scope=scope)
        if scope["path"] in self.personal and "authorization" in headers:
            return False
        return scope["path"] in self.public or (
            self.browsable
            and scope["path"] == self.prefix
            and scope["method"] in {"GET", "HEAD"}
            and "text/html" in headers.get("accept", "")
        )


_FHIR_PUBLIC = frozenset({"/fhir/metadata", "/fhir/.well-known/smart-configuration"})
_DICOMWEB_PUBLIC = frozenset({"/dicomweb/", "/dicomweb/conformance"})
DOORS = (
    Door("graphql", "/graphql", respond_graphql, browsable=True),
    Door("fhir-graphql", "/fhir", respond_fhir_graphql, suffix="/$graphql"),
    Door("fhir", "/fhir", respond_fhir, _FHIR_PUBLIC, personal=frozenset({"/fhir/metadata"})),
    Door("dicomweb", "/dicomweb", respond_dicomweb, _DICOMWEB_PUBLIC, prompt=True),
    Door(
        "rest",
        "/postdicom",
        respond_rest,
        frozenset({"/postdicom/health"}),
        signed="/postdicom/signed/",
    ),
)


def door_of(path: str) -> Door | None:
    """Give the door that a path leads through."""
    return next((door for door in DOORS if door.leads(path)), None)


def sign_in(request: Request) -> SignIn:
    """Give from which sign-in a request comes; known wherever the door asked for a token."""
    found: SignIn = request.state.sign_in
    return found


def guarded(request: Request) -> GuardedRepository:
    """Give a request's repository; there is one wherever the door asked for a token."""
    repository: GuardedRepository = request.state.guarded
    return repository
