"""Annotations as DICOM objects: `/postdicom/studies/{study_uid}/annotations`."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import UTC
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field

from app.archive import Archive
from app.doors import guarded
from app.imaging.annotation_object import Kind, annotation_object
from app.rest.envelope import Envelope, Shape
from app.rest.files import DICOM
from app.rest.studies import checked_uid
from fhir.access import Entry
from fhir.annotation_files import annotated
from fhir.errors import Conflict
from fhir.guarded import GuardedRepository, patients_by_study

Failures = Callable[..., dict[int | str, dict[str, Any]]]
Uid = Annotated[str, Path(description="DICOM UID", examples=["2.25.7"])]
_BINARY = {"schema": {"type": "string", "format": "binary"}}
_UID = r"[0-9]+(\.[0-9]+)*"


class ExportQuery(BaseModel):
    """Which annotations, as which object."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Kind = Field(
        description="sr: Comprehensive SR, a measurement report (TID 1500); gsps: Grayscale "
        "Softcopy Presentation State, of annotations of monochrome images"
    )
    series: str | None = Field(
        None, pattern=f"^{_UID}$", max_length=64, description="only of this SeriesInstanceUID"
    )
    image: str | None = Field(
        None, pattern=f"^{_UID}$", max_length=64, description="only of this SOPInstanceUID"
    )


class StoredAnnotations(Shape):
    """An object that is in the archive now."""

    study_instance_uid: str
    series_instance_uid: str
    sop_instance_uid: str = Field(description="the same one for the same annotations")
    status: str = Field(description="stored, or duplicate: it was there already")


def add_annotations(router: APIRouter, failures: Failures) -> None:
    """Add the routes."""

    @router.get(
        "/studies/{study_uid}/annotations/export",
        response_class=Response,
        responses={
            200: {"content": {DICOM: _BINARY}, "description": "The object"},
            **failures(400, 403, 404),
        },
    )
    async def export_annotations(
        request: Request, study_uid: Uid, query: Annotated[ExportQuery, Query()]
    ) -> Response:
        """Write the annotations of a study that are active as one DICOM object.

        Whoever may not have the files of the study, or not read all of the annotations, gets 403.
        The same annotations always make the same object.
        """
        uid, data = await _object(request, study_uid, query)
        headers = {"Content-Disposition": f'attachment; filename="{uid}.dcm"'}
        return Response(data, media_type=DICOM, headers=headers)

    @router.post(
        "/studies/{study_uid}/annotations/store",
        status_code=201,
        responses=failures(400, 403, 404, 409),
    )
    async def store_annotations(
        request: Request, study_uid: Uid, query: Annotated[ExportQuery, Query()]
    ) -> Envelope[StoredAnnotations]:
        """Store the object that `export` gives in its study, for viewers that know DICOM alone."""
        guarded(request).access.require("Image.file", "create")
        _, data = await _object(request, study_uid, query)
        return Envelope[StoredAnnotations](data=await _stored(request, study_uid, data))


async def _object(request: Request, study: str, query: ExportQuery) -> tuple[str, bytes]:
    export = await annotated(
        guarded(request),
        checked_uid(study),
        series=query.series,
        image=query.image,
        images_only=query.format == "gsps",
    )
    name = _archive(request).settings.time_zone
    zone = ZoneInfo(name) if name else UTC
    return await asyncio.to_thread(annotation_object, export, query.format, zone)


async def _stored(request: Request, study: str, data: bytes) -> StoredAnnotations:
    async def pieces() -> AsyncIterator[bytes]:
        yield data

    outcome = await _archive(request).ingest.store(pieces(), study=study)
    await _note(guarded(request), study, outcome.instance, kept=outcome.kept)
    if not outcome.kept:
        raise Conflict(f"not stored: {outcome.message}")
    return StoredAnnotations(
        study_instance_uid=study,
        series_instance_uid=outcome.series or "",
        sop_instance_uid=outcome.instance or "",
        status=outcome.status,
    )


async def _note(
    repository: GuardedRepository, study: str, instance: str | None, *, kept: bool
) -> None:
    by_study = await patients_by_study(repository.repository, [study])
    repository.access.note(
        Entry(
            "create",
            "Image",
            "allowed" if kept else "failed",
            ids=(instance,) if instance else (),
            patients=by_study.get(study, ()),
            total=1,
        )
    )


def _archive(request: Request) -> Archive:
    archive: Archive = request.app.state.archive
    return archive
