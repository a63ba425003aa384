"""The DICOMweb door: addresses, and which transaction each leads to."""

from collections.abc import Awaitable, Callable
from inspect import signature
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from fastapi import Query as QueryParameter
from fastapi.responses import Response

from app.dicomweb.bulk_data import (
    BULK_DATA_AS,
    bulk_data,
    one_value,
    pixel_data,
    pixel_data_within,
)
from app.dicomweb.conformance import add_conformance
from app.dicomweb.media_types import DATA_SETS_AS, DICOM_JSON, DICOM_XML, JSON
from app.dicomweb.metadata import metadata
from app.dicomweb.rendered import rendered, rendered_within, thumbnail, thumbnail_within
from app.dicomweb.rendering import Asked
from app.dicomweb.retrieve import Address, frames, instance
from app.dicomweb.retrieve_study import study_instances
from app.dicomweb.search import PARAMETERS, search
from app.dicomweb.store import store
from app.imaging.picture_files import MEDIA_TYPES
from fhir.errors import Invalid
from fhir.headers import Place

_STUDY = "/studies/{study}"
_SERIES = f"{_STUDY}/series/{{series}}"
_INSTANCE = f"{_SERIES}/instances/{{instance}}"
_FRAMES = f"{_INSTANCE}/frames/{{listed}}"

_PROBLEM: dict[str, Any] = {
    "description": "What is wrong and what to do",
    "content": {"application/problem+json": {}},
}
_PICTURES = (*MEDIA_TYPES, "multipart/related")
_MANY_PICTURES = ("multipart/related",)
_FRAMES_AS = ("multipart/related", "application/octet-stream", "image/*")
_OBJECTS_AS = ("multipart/related", "application/dicom")
_UPLOAD = {"requestBody": {"content": {name: {} for name in _OBJECTS_AS}, "required": True}}


def _made(kind: Callable[..., Any]) -> Callable[..., Awaitable[Any]]:
    """Let FastAPI make something of a request at once: what is no coroutine it runs in a thread."""

    async def make(**given: Any) -> Any:
        return kind(**given)

    make.__signature__ = signature(kind)  # type: ignore[attr-defined]  # what FastAPI goes by
    return make


AddressOf = Annotated[Address, Depends(_made(Address))]
Query = Annotated[Asked, Depends(_made(Asked))]


def _answers(*media_types: str) -> dict[int | str, dict[str, Any]]:
    content: dict[str, Any] = {name: {} for name in media_types}
    return {200: {"description": "Done", "content": content}, "4XX": _PROBLEM}


def dicomweb_routes() -> APIRouter:
    """Give the routes below `/dicomweb`."""
    router = APIRouter(prefix="/dicomweb", tags=["DICOMweb"], default_response_class=Response)
    # A path is held against one after the other: what viewers ask for most stands first.
    _add_retrieve(router)
    _add_rendered(router)
    _add_metadata(router)
    _add_search(router)
    _add_bulk_data(router)
    _add_store(router)
    add_conformance(router)
    return router


def _add_store(router: APIRouter) -> None:
    told: dict[str, Any] = {name: {} for name in (DICOM_JSON, JSON, DICOM_XML)}
    failed = {"description": "What is wrong", "content": told | _PROBLEM["content"]}
    stored = _answers(*told) | {
        202: {"description": "Done with some objects", "content": told},
        "4XX": failed,
    }

    @router.post("/studies", responses=stored, openapi_extra=_UPLOAD)
    async def store_instances(request: Request) -> Response:
        """STOW-RS: multipart/related of application/dicom, or one application/dicom."""
        return await store(request)

    @router.post(_STUDY, responses=stored, openapi_extra=_UPLOAD)
    async def store_in_study(request: Request, study: str) -> Response:
        """STOW-RS into one study; objects of another one are refused."""
        return await store(request, study)


def _add_search(router: APIRouter) -> None:
    said: dict[str, Any] = {
        "responses": _answers(*DATA_SETS_AS) | {204: {"description": "Nothing matches"}},
        "openapi_extra": {"parameters": PARAMETERS},
    }

    @router.get("/studies", **said)
    async def search_studies(request: Request) -> Response:
        """QIDO-RS: studies."""
        return await search(request, "study")

    @router.get("/series", **said)
    async def search_series(request: Request) -> Response:
        """QIDO-RS: series of all studies."""
        return await search(request, "series")

    @router.get("/instances", **said)
    async def search_instances(request: Request) -> Response:
        """QIDO-RS: instances of all studies."""
        return await search(request, "instance")

    @router.get(f"{_STUDY}/series", **said)
    async def search_series_of_study(request: Request, study: str) -> Response:
        """QIDO-RS: series of a study."""
        return await search(request, "series", study)

    @router.get(f"{_STUDY}/instances", **said)
    async def search_instances_of_study(request: Request, study: str) -> Response:
        """QIDO-RS: instances of a study."""
        return await search(request, "instance", study)

    @router.get(f"{_SERIES}/instances", **said)
    async def search_instances_of_series(request: Request, study: str, series: str) -> Response:
        """QIDO-RS: instances of a series."""
        return await search(request, "instance", study, series)


def _add_retrieve(router: APIRouter) -> None:
    @router.get(_FRAMES, responses=_answers(*_FRAMES_AS))
    async def retrieve_frames(request: Request, address: AddressOf, listed: str) -> Response:
        """WADO-RS: frames by number, uncompressed, as stored, or encoded as is asked for."""
        return await frames(request, address, listed)

    @router.get(_STUDY, responses=_answers("multipart/related", "application/zip"))
    async def retrieve_study(request: Request, study: str) -> Response:
        """WADO-RS: every instance of a study; as stored with transfer-syntax=*."""
        return await study_instances(request, study)

    @router.get(_SERIES, responses=_answers("multipart/related", "application/zip"))
    async def retrieve_series(request: Request, study: str, series: str) -> Response:
        """WADO-RS: every instance of a series; as stored with transfer-syntax=*."""
        return await study_instances(request, study, series)

    @router.get(_INSTANCE, responses=_answers(*_OBJECTS_AS))
    async def retrieve_instance(request: Request, address: AddressOf) -> Response:
        """WADO-RS: the DICOM object; as stored with transfer-syntax=*."""
        return await instance(request, address)


def _add_rendered(router: APIRouter) -> None:
    @router.get(f"{_INSTANCE}/rendered", responses=_answers(*_PICTURES))
    async def rendered_instance(request: Request, address: AddressOf, asked: Query) -> Response:
        """WADO-RS: the first frame as a picture; of an encapsulated PDF, the document."""
        return await rendered(request, address, asked)

    @router.get(f"{_FRAMES}/rendered", responses=_answers(*_PICTURES))
    async def rendered_frames(
        request: Request, address: AddressOf, listed: str, asked: Query
    ) -> Response:
        """WADO-RS: frames by number as pictures."""
        return await rendered(request, address, asked, listed)

    @router.get(f"{_SERIES}/rendered", responses=_answers(*_MANY_PICTURES))
    async def rendered_series(request: Request, study: str, series: str, asked: Query) -> Response:
        """WADO-RS: the first frame of each instance of a series as a picture."""
        return await rendered_within(request, study, series, asked)

    @router.get(f"{_STUDY}/rendered", responses=_answers(*_MANY_PICTURES))
    async def rendered_study(request: Request, study: str, asked: Query) -> Response:
        """WADO-RS: the first frame of each instance of a study as a picture."""
        return await rendered_within(request, study, None, asked)

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


def _add_metadata(router: APIRouter) -> None:
    answers = _answers(*DATA_SETS_AS)

    @router.get(f"{_STUDY}/metadata", responses=answers)
    async def study_metadata(request: Request, study: str) -> Response:
        """WADO-RS: the headers of every instance of a study."""
        return await metadata(request, Place(study))

    @router.get(f"{_SERIES}/metadata", responses=answers)
    async def series_metadata(request: Request, study: str, series: str) -> Response:
        """WADO-RS: the headers of every instance of a series."""
        return await metadata(request, Place(study, series))

    @router.get(f"{_INSTANCE}/metadata", responses=answers)
    async def instance_metadata(request: Request, address: AddressOf) -> Response:
        """WADO-RS: the header of an instance."""
        return await metadata(request, Place(address.study, address.series, address.instance))


def _add_bulk_data(router: APIRouter) -> None:
    in_parts = _answers("multipart/related")
    ranges = _answers(*BULK_DATA_AS) | {206: {"description": "The bytes of a Range"}}

    @router.get(f"{_STUDY}/bulkdata", responses=in_parts)
    async def study_bulk_data(request: Request, study: str) -> Response:
        """WADO-RS: every value that the metadata of a study names by URI."""
        return await bulk_data(request, Place(study))

    @router.get(f"{_SERIES}/bulkdata", responses=in_parts)
    async def series_bulk_data(request: Request, study: str, series: str) -> Response:
        """WADO-RS: every value that the metadata of a series names by URI."""
        return await bulk_data(request, Place(study, series))

    @router.get(f"{_INSTANCE}/bulkdata", responses=ranges)
    async def instance_bulk_data(
        request: Request,
        address: AddressOf,
        offset: Annotated[int | None, QueryParameter(ge=0, description="Of one value")] = None,
        length: Annotated[int | None, QueryParameter(ge=0, description="Of one value")] = None,
    ) -> Response:
        """WADO-RS: the value that a URI of the metadata names; without a place, all of them."""
        if offset is None and length is None:
            return await bulk_data(request, Place(address.study, address.series, address.instance))
        if offset is None or length is None:
            raise Invalid("a value is named by offset and length together")
        return await one_value(request, address, offset, length)

    @router.get(f"{_STUDY}/pixeldata", responses=in_parts)
    async def study_pixel_data(request: Request, study: str) -> Response:
        """WADO-RS: the pixel data of every image of a study."""
        return await pixel_data_within(request, Place(study))

    @router.get(f"{_SERIES}/pixeldata", responses=in_parts)
    async def series_pixel_data(request: Request, study: str, series: str) -> Response:
        """WADO-RS: the pixel data of every image of a series."""
        return await pixel_data_within(request, Place(study, series))

    @router.get(f"{_INSTANCE}/pixeldata", responses=ranges)
    async def instance_pixel_data(request: Request, address: AddressOf) -> Response:
        """WADO-RS: the pixel data of an instance, uncompressed or as stored."""
        return await pixel_data(request, address)
