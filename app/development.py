"""`POST /development/token`: lets the start page look at the archive through each role's eyes."""

from typing import Annotated

from fastapi import APIRouter, Body, Request
from pydantic import BaseModel, ConfigDict

from app.archive import Archive
from app.demo import a_patient, project_of
from app.identity.development import DevelopmentIssuer
from app.settings import Settings, loopback
from fhir.errors import AccessDenied

TOKEN_MINUTES = 15


class Wanted(BaseModel):
    """Whose eyes."""

    model_config = ConfigDict(extra="forbid")

    role: str


class Signed(BaseModel):
    """A short-lived token, and the Patient it is for if the role needs one."""

    token: str
    patient: str | None = None


def development_routes(settings: Settings) -> APIRouter:
    """Give the route, to be mounted only where development tokens are believed.

    It answers pages of this server on this machine only: any other site that a browser shows
    would send another Origin, or another Host if it points its own name at this address.
    """
    router = APIRouter(prefix="/development", tags=["development"])

    @router.post("/token")
    async def token(request: Request, wanted: Annotated[Wanted, Body()]) -> Signed:
        """Sign a token for a role."""
        if not _from_here(request):
            raise AccessDenied("development tokens are for pages of this server on this machine")
        archive: Archive = request.app.state.archive
        patient = await a_patient(archive) if wanted.role in {"patient", "proxy"} else None
        issuer = DevelopmentIssuer(settings.data_dir)
        project = project_of(wanted.role)
        signed = issuer.token(wanted.role, patient=patient, project=project, minutes=TOKEN_MINUTES)
        return Signed(token=signed, patient=patient)

    return router


def _from_here(request: Request) -> bool:
    host = request.url.hostname or ""
    origin = request.headers.get("origin")
    same = origin is None or origin == f"{request.url.scheme}://{request.url.netloc}"
    return loopback(host) and same
