"""The REST door: `/postdicom`, over the request's guarded repository."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Body, Depends, Path, Query, Request
from fastapi.responses import JSONResponse, Response
from fastapi.security import HTTPBearer
from pydantic import Field
from starlette.requests import ClientDisconnect

from app.archive import Archive
from app.doors import guarded, sign_in
from app.health import checks
from app.multipart import boundary
from app.rest.annotations import add_annotations
from app.rest.batch_delete import add_batch_delete
from app.rest.batch_download import add_batch_download
from app.rest.cache import add_cache
from app.rest.changes import add_changes
from app.rest.envelope import Described, Envelope, Failure, Metadata, PageMetadata, Shape
from app.rest.files import DICOM, dicom_file
from app.rest.permissions import Permissions, permissions
from app.rest.receipt import Receipt, receipt
from app.rest.sessions import (
    End,
    EndedSessions,
    Session,
    SessionQuery,
    WhoseSessions,
    end_all,
    end_one,
    list_sessions,
)
from app.rest.signed import add_signing
from app.rest.studies import StudyQuery, checked_uid, list_studies, not_found, one_study
from app.rest.study import Study, StudyDetail
from app.rest.tickets import add_uploads
from app.rest.trail import Access, TrailQuery, list_accesses
from app.rest.uploads import Upload
from fhir.deleting import delete_study, restore_study
from fhir.errors import Invalid, NotFound, ResourceError, TooLarge, Unavailable
from fhir.images import stored_image

_FORM = "multipart/form-data"
_FILES = {"type": "array", "items": {"type": "string", "format": "binary"}}
_UPLOAD_BODY = {
    "required": True,
    "content": {
        _FORM: {
            "schema": {"type": "object", "required": ["files"], "properties": {"files": _FILES}}
        }
    },
}
_BINARY = {"schema": {"type": "string", "format": "binary"}}

Uid = Annotated[str, Path(description="DICOM UID", examples=["2.25.7"])]


class Health(Shape):
    """What the service stands on."""

    status: str = Field(examples=["ok"])
    checks: dict[str, str] = Field(examples=[{"database": "answers"}])


class Deletion(Shape):
    """Why a study is deleted."""

    reason: str = Field(description="1 to 500 characters", examples=["Wrong patient"])


class Deleted(Shape):
    """A study that is deleted."""

    study_instance_uid: str
    restorable_until: datetime | None = Field(
        description="until when it can be restored; null: it is gone for good",
        examples=["2024-03-07T10:15:00Z"],
    )


class Restored(Shape):
    """A study that is back."""

    study_instance_uid: str


def rest_routes() -> APIRouter:
    """Give the routes below `/postdicom`."""
    router = APIRouter(prefix="/postdicom", tags=["REST"])
    # `Guard` has checked the token by then; this tells the documentation that there is one
    bearer = HTTPBearer(
        bearerFormat="JWT",
        scheme_name="bearer",
        description="Token of a configured OpenID issuer",
        auto_error=False,
    )
    closed = APIRouter(dependencies=[Depends(bearer)])
    _add_studies(closed)
    _add_images(closed)
    _add_audit(closed)
    _add_sessions(closed)
    add_annotations(closed, _failures)
    add_cache(closed, _failures)
    add_changes(closed, _failures)
    add_uploads(closed, _failures)
    add_signing(closed, router, _failures)
    add_batch_download(closed, _failures)
    add_batch_delete(closed, _failures)
    _add_health(router)
    router.include_router(closed)
    return router


def _add_health(router: APIRouter) -> None:
    @router.get("/health", responses=_failures(503, public=True))
    async def health(request: Request) -> Envelope[Health]:
        """Try the database, the storage and the policy; needs no token."""
        found = await checks(_archive(request))
        # a refused edit leaves a policy in force
        if broken := [one.name for one in found if not one.ok and one.name != "policy"]:
            raise Unavailable(f"does not work: {', '.join(broken)}; /ready says more")
        said = {one.name: one.message for one in found}
        return Envelope[Health](data=Health(status="ok", checks=said))


def _add_studies(router: APIRouter) -> None:
    @router.get("/studies", responses=_failures(400, 403))
    async def search_studies(
        request: Request, query: Annotated[StudyQuery, Query()]
    ) -> Described[list[Study], PageMetadata]:
        """List the studies that you may see, page by page, in a stable order.

        Searching or sorting by an element needs the right to read it, else 403 names it. What is
        closed to you in the answer is null and named in `metadata.refused`.
        """
        settings = _archive(request).settings
        return await list_studies(guarded(request), query, settings, request.url.query)

    @router.get("/studies/{study_uid}", responses=_failures(403, 404))
    async def read_study(request: Request, study_uid: Uid) -> Described[StudyDetail, Metadata]:
        """Give one study with its series."""
        return await one_study(guarded(request), study_uid)

    @router.post(
        "/studies",
        status_code=201,
        response_model=Receipt,
        responses={
            207: {"model": Receipt, "description": "Some files are in the archive, some are not"},
            400: {"model": Receipt, "description": "None is: INVALID_DICOM_FILE, or the form"},
            409: {"model": Receipt, "description": "None is: others are under these UIDs"},
            413: {"model": Receipt, "description": "None is: too large"},
            **_failures(403, 415, 507),
        },
        openapi_extra={"requestBody": _UPLOAD_BODY},
    )
    async def store_studies(request: Request) -> Response:
        """Store DICOM files, and what zip files hold; they are streamed, however large.

        UIDs come from the files. Each file succeeds or fails alone, and once the answer is there,
        what it calls stored or duplicate is in the archive.
        """
        return await _store(request)

    @router.delete("/studies/{study_uid}", responses=_failures(400, 403, 404, 409))
    async def remove_study(
        request: Request, study_uid: Uid, deletion: Annotated[Deletion | None, Body()] = None
    ) -> Envelope[Deleted]:
        """Delete a study with its images: nobody finds it any more, and it can be restored.

        A study on which a legal hold is in force is not deleted.
        """
        reason = deletion.reason if deletion else None
        custody = _archive(request).custody
        with _missing_studies():
            until = await delete_study(guarded(request), custody, checked_uid(study_uid), reason)
        return Envelope[Deleted](data=Deleted(study_instance_uid=study_uid, restorable_until=until))

    @router.post("/studies/{study_uid}/restore", responses=_failures(403, 404))
    async def bring_back_study(request: Request, study_uid: Uid) -> Envelope[Restored]:
        """Bring a deleted study back, as it was, while it is kept."""
        custody = _archive(request).custody
        with _missing_studies():
            await restore_study(guarded(request), custody, checked_uid(study_uid))
        return Envelope[Restored](data=Restored(study_instance_uid=study_uid))


def _add_images(router: APIRouter) -> None:
    for path in ("/images/{image_uid}", "/images/{image_uid}/data"):

        @router.get(
            path,
            name=f"read_image{'_data' if path.endswith('/data') else ''}",
            response_class=Response,
            responses={
                200: {"content": {DICOM: _BINARY}, "description": "The object as it was stored"},
                206: {"content": {DICOM: _BINARY}, "description": "The range that was asked for"},
                304: {"description": "Not changed"},
                **_failures(403, 404, 416),
            },
        )
        async def read_image(request: Request, image_uid: Uid) -> Response:
            """Stream a DICOM object; `Range`, `If-Range` and `If-None-Match` are honoured."""
            image = await stored_image(guarded(request), image_uid, "Image.file")
            archive = _archive(request)
            zeroed = archive.settings.zero_preamble
            return await dicom_file(request, image, archive.objects, zero_preamble=zeroed)


def _add_audit(router: APIRouter) -> None:
    @router.get("/audit/logs", responses=_failures(400, 403))
    async def search_audit(
        request: Request, query: Annotated[TrailQuery, Query()]
    ) -> Described[list[Access], PageMetadata]:
        """List who did what, and what was refused, the latest first. Is itself recorded."""
        settings = _archive(request).settings
        return await list_accesses(guarded(request), query, settings, request.url.query)


def _add_sessions(router: APIRouter) -> None:
    @router.get("/sessions", responses=_failures(400, 403))
    async def search_sessions(
        request: Request, query: Annotated[SessionQuery, Query()]
    ) -> Described[list[Session], PageMetadata]:
        """List the sessions that you may see, the latest sign-in first."""
        return await list_sessions(guarded(request), query, sign_in(request).id, request.url.query)

    @router.delete("/sessions/{session_id}", responses=_failures(403, 404))
    async def end_session(
        request: Request,
        session_id: Annotated[str, Path(description="`id` of the list", max_length=64)],
    ) -> Envelope[End]:
        """End a session, also this one: from its next request on it is refused, everywhere."""
        return await end_one(guarded(request), _archive(request).sessions, session_id)

    @router.delete("/sessions", responses=_failures(400, 403))
    async def end_sessions(
        request: Request, whose: Annotated[WhoseSessions, Query()]
    ) -> Envelope[EndedSessions]:
        """End all sessions of somebody, or none if one of them is not yours to end."""
        return await end_all(guarded(request), _archive(request).sessions, whose)

    @router.get("/permissions", responses=_failures(403))
    async def read_permissions(request: Request) -> Envelope[Permissions]:
        """Tell what you may do: elements by policy coordinate, and on which rows."""
        return permissions(guarded(request).access)


async def _store(request: Request) -> Response:
    repository = guarded(request)
    repository.access.require("Image.file", "create")
    archive = _archive(request)
    limit = archive.settings.max_request_bytes
    mark = boundary(request.headers.get("content-type", ""), _FORM)
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced) > limit:
        raise TooLarge(f"a request may have {limit:,} bytes; send several")
    upload = Upload(archive.ingest, limit)
    problem: ResourceError | None = None
    try:
        await upload.receive(request.stream(), mark)
    except (Invalid, TooLarge) as error:
        problem = error
    except ClientDisconnect:
        problem = Invalid("the upload was broken off")  # for the audit; nobody reads the answer
    finally:
        await upload.settle()
        await upload.note(repository)
    status, answer = receipt(upload, problem)
    return JSONResponse(answer.model_dump(mode="json", by_alias=True), status_code=status)


@contextmanager
def _missing_studies() -> Iterator[None]:
    """Say of a study that is not found what every route of studies says."""
    try:
        yield
    except NotFound as error:
        raise not_found() from error


def _archive(request: Request) -> Archive:
    archive: Archive = request.app.state.archive
    return archive


_SAID = {
    400: "INVALID_REQUEST: the message says what to write instead",
    401: "INVALID_CREDENTIALS: no token, or one that does not hold",
    403: "ACCESS_DENIED: `details.coordinates` names what the policy closes",
    404: "STUDY_NOT_FOUND or NOT_FOUND: not there, or not for you",
    410: "CHANGES_LOST: what changed since `after` is not known any more; begin anew",
    409: "COMPLIANCE_VIOLATION: a legal hold is in force; the message says who may lift it",
    413: "TOO_LARGE: more than a limit allows; the message names it",
    415: "UNSUPPORTED_MEDIA_TYPE: not multipart/form-data",
    416: "RANGE_NOT_SATISFIABLE: the object ends before",
    503: "NETWORK_ERROR: a store does not answer; try again later",
    507: "STORAGE_QUOTA_EXCEEDED: there is no room",
}


def _failures(*statuses: int, public: bool = False) -> dict[int | str, dict[str, Any]]:
    """Document how a route fails; naming a default keeps FastAPI's own 422 out."""
    everywhere = () if public else (401, 503)
    found: dict[int | str, dict[str, Any]] = {
        status: {"model": Failure, "description": _SAID[status]}
        for status in sorted({*statuses, *everywhere})
    }
    return found | {"default": {"model": Failure, "description": "Any other failure"}}
