"""The DICOMweb door: addresses, and which transaction each leads to."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response

from app.dicomweb.rendered import Asked, rendered, thumbnail, thumbnail_within
from app.dicomweb.retrieve import Address, frames, instance
from app.dicomweb.retrieve_study import study_instances
from app.dicomweb.store import DICOM_JSON, store

_STUDY = "/studies/{study}"
_SERIES = f"{_STUDY}/series/{{series}}"
_INSTANCE = f"{_SERIES}/instances/{{instance}}"
_FRAMES = f"{_INSTANCE}/frames/{{listed}}"

_PROBLEM = {
    "description": "What is wrong and what to do",
    "content": {"application/problem+json": {}},
}
_PICTURES = ("image/jpeg", "image/png")
_FRAMES_AS = ("multipart/related", "application/octet-stream", "image/*")
_OBJECTS_AS = ("multipart/related", "application/dicom")
_UPLOAD = {"requestBody": {"content": {name: {} for name in _OBJECTS_AS}, "required": True}}

AddressOf = Annotated[Address, Depends()]
Query = Annotated[Asked, Depends()]


def _answers(*media_types: str) -> dict[int | str, dict[str, Any]]:
    content: dict[str, Any] = {name: {} for name in media_types}
    return {200: {"description": "Done", "content": content}, "4XX": _PROBLEM}


def dicomweb_routes() -> APIRouter:
    """Give the routes below `/dicomweb`."""
    router = APIRouter(prefix="/dicomweb", tags=["DICOMweb"], default_response_class=Response)
    _add_store(router)
    _add_retrieve(router)
    _add_rendered(router)
    return router


def _add_store(router: APIRouter) -> None:
    @router.post("/studies", responses=_answers(DICOM_JSON), openapi_extra=_UPLOAD)
    async def store_instances(request: Request) -> Response:
        """STOW-RS: multipart/related of application/dicom, or one application/dicom."""
        return await store(request)

    @router.post(_STUDY, responses=_answers(DICOM_JSON), openapi_extra=_UPLOAD)
    async def store_in_study(request: Request, study: str) -> Response:
        """STOW-RS into one study; objects of another one are refused."""
        return await store(request, study)


def _add_retrieve(router: APIRouter) -> None:
    @router.get(_STUDY, responses=_answers("multipart/related"))
    async def retrieve_study(request: Request, study: str) -> Response:
        """WADO-RS: every instance of a study as stored."""
        return await study_instances(request, study)

    @router.get(_SERIES, responses=_answers("multipart/related"))
    async def retrieve_series(request: Request, study: str, series: str) -> Response:
        """WADO-RS: every instance of a series as stored."""
        return await study_instances(request, study, series)

    @router.get(_INSTANCE, responses=_answers(*_OBJECTS_AS))
    async def retrieve_instance(request: Request, address: AddressOf) -> Response:
        """WADO-RS: the DICOM object as stored."""
        return await instance(request, address)

    @router.get(_FRAMES, responses=_answers(*_FRAMES_AS))
    async def retrieve_frames(request: Request, address: AddressOf, listed: str) -> Response:
        """WADO-RS: frames by number, uncompressed or, with transfer-syntax=*, as stored."""
        return await frames(request, address, listed)


def _add_rendered(router: APIRouter) -> None:
    @router.get(f"{_INSTANCE}/rendered", responses=_answers(*_PICTURES))
    async def rendered_instance(request: Request, address: AddressOf, asked: Query) -> Response:
        """WADO-RS: the first frame as image/jpeg or image/png."""
        return await rendered(request, address, asked)

    @router.get(f"{_FRAMES}/rendered", responses=_answers(*_PICTURES))
    async def rendered_frames(
        request: Request, address: AddressOf, listed: str, asked: Query
    ) -> Response:
        """WADO-RS: frames by number as image/jpeg or image/png."""
        return await rendered(request, address, asked, listed)

    @router.get(f"{_INSTANCE}/thumbnail", responses=_answers(*_PICTURES))
    async def instance_thumbnail(request: Request, address: AddressOf, asked: Query) -> Response:
        """A picture of at most 256 by 256 pixels that stands for an instance."""
        return await thumbnail(request, address, asked)

    @router.get(f"{_FRAMES}/thumbnail", responses=_answers(*_PICTURES))
    async def frame_thumbnail(
        request: Request, address: AddressOf, listed: str, asked: Query
    ) -> Response:
        """A picture of at most 256 by 256 pixels of one frame."""
        return await thumbnail(request, address, asked, listed)

    @router.get(f"{_SERIES}/thumbnail", responses=_answers(*_PICTURES))
    async def series_thumbnail(request: Request, study: str, series: str, asked: Query) -> Response:
        """A picture of at most 256 by 256 pixels that stands for a series."""
        return await thumbnail_within(request, study, series, asked)

    @router.get(f"{_STUDY}/thumbnail", responses=_answers(*_PICTURES))
    async def study_thumbnail(request: Request, study: str, asked: Query) -> Response:
        """A picture of at most 256 by 256 pixels that stands for a study."""
        return await thumbnail_within(request, study, None, asked)
