"""Many studies and images in one zip file: all that is named, or what of it is open."""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Final, Literal, Self

import orjson
from fastapi import APIRouter, Request
from fastapi.responses import Response, StreamingResponse
from pydantic import BaseModel, ConfigDict, Field, model_validator

from app.archive import Archive
from app.chunks import resumed
from app.doors import guarded
from app.imaging.deidentify import Outgoing, outgoing
from app.imaging.zipped import ZIP, zipped
from app.refusals import respond_rest
from app.rest.vocabulary import Uid
from app.store.ports import ObjectMissing, ObjectStore
from fhir.access import Entry, Outcome
from fhir.errors import AccessDenied, NotFound, ResourceError, TooLarge, Withheld
from fhir.guarded import GuardedRepository
from fhir.images import stored_image
from fhir.repository import StoredImage
from fhir.study_files import study_files

Json = Any
Failures = Callable[..., dict[int | str, dict[str, Any]]]


MOST_STUDIES: Final = 100
MOST_IMAGES: Final = 500
MANIFEST: Final = "manifest.json"
_ASKED: Final = "batch/download"
_AT_ONCE: Final = {"identified": 16, "deidentified": 2}  # whole headers are read of the latter
_BINARY: Final = {"schema": {"type": "string", "format": "binary"}}


class Download(BaseModel):
    """What is to be downloaded."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    studies: tuple[Uid, ...] = Field(
        (), max_length=MOST_STUDIES, description="StudyInstanceUIDs", examples=[["2.25.7"]]
    )
    images: tuple[Uid, ...] = Field(
        (), max_length=MOST_IMAGES, description="SOPInstanceUIDs", examples=[["2.25.7.1.1"]]
    )
    partial: bool = Field(
        False,
        strict=True,
        description=f"true: leave out what is closed, and say in `{MANIFEST}` what and why; "
        "false: then give nothing",
    )

    @model_validator(mode="after")
    def _something(self) -> Self:
        if not self.studies and not self.images:
            raise ValueError("name at least one study or image")
        return self


@dataclass(frozen=True, slots=True)
class Left:
    """What was named, or is in what was named, and does not leave."""

    kind: Literal["study", "image"]
    uid: str
    why: ResourceError

    def told(self) -> dict[str, Json]:
        """Say it as JSON."""
        said = {self.kind: self.uid, "code": self.why.code, "message": self.why.message}
        closed = self.why.coordinates if isinstance(self.why, AccessDenied) else ()
        return said | ({"coordinates": sorted(closed)} if closed else {})


@dataclass(slots=True)
class Chosen:
    """What leaves, by UID, and what does not."""

    images: dict[str, StoredImage] = field(default_factory=dict)
    left: list[Left] = field(default_factory=list)


def add_batch_download(router: APIRouter, failures: Failures) -> None:
    """Add the route.

    Args:
        router: Behind the guard.
        failures: Documents how a route fails.
    """

    @router.post(
        "/batch/download",
        response_class=Response,
        responses={
            200: {"content": {ZIP: _BINARY}, "description": "`study/series/image.dcm`, streamed"},
            **failures(400, 403, 404, 413),
        },
    )
    async def download_batch(request: Request, wanted: Download) -> Response:
        """Stream DICOM objects of many studies in one zip file, not compressed.

        Each study is decided by itself. If anything that is named is closed or not there,
        everything is refused before the first byte, and `details.refused` says what and why. With
        `"partial": true` the rest is given, and `manifest.json` says what was left out.
        """
        return await _download(request, wanted)


async def _download(request: Request, wanted: Download) -> Response:
    archive: Archive = request.app.state.archive
    repository = guarded(request)
    repository.access.require("Image.file", "read")
    noted: list[Entry] = []
    chosen = Chosen()
    try:
        await _choose(repository, archive, wanted, noted, chosen)
        whole = not chosen.left or (wanted.partial and bool(chosen.images))
    except BaseException as error:
        _note(repository, noted, "refused" if isinstance(error, TooLarge) else "failed")
        raise
    _note(repository, noted, "allowed" if whole else "refused")
    if not whole:
        return _refusal(chosen, wanted)
    chunks = zipped(_entries(archive, chosen, wanted))
    # the first piece before the status: an object may be gone
    first = await anext(chunks, b"")
    headers = {"Content-Disposition": 'attachment; filename="images.zip"'}
    return StreamingResponse(resumed((first,), chunks), media_type=ZIP, headers=headers)


async def _choose(
    repository: GuardedRepository,
    archive: Archive,
    wanted: Download,
    noted: list[Entry],
    chosen: Chosen,
) -> None:
    """Decide about everything that is named; what is noted meanwhile is held back.

    Raises:
        TooLarge: It is more than one download may have.
    """
    before, repository.access.noted = repository.access.noted, noted.append
    try:
        for study in dict.fromkeys(wanted.studies):
            await _choose_study(repository, study, chosen)
            _limit(archive, chosen)
        known = {*chosen.images, *(one.uid for one in chosen.left if one.kind == "image")}
        for image in dict.fromkeys(wanted.images):
            if image not in known:
                await _choose_image(repository, image, chosen)
        _limit(archive, chosen)
    finally:
        repository.access.noted = before
    await _leave_out_faulty(archive.objects, chosen, _AT_ONCE[repository.access.view])


async def _choose_study(repository: GuardedRepository, study: str, chosen: Chosen) -> None:
    try:
        files = await study_files(repository, study, partial=True, asked=_ASKED)
    except (AccessDenied, NotFound) as error:
        chosen.left.append(Left("study", study, error))
        return
    chosen.images |= {one.id: one for one in files.images}
    chosen.left += (Left("image", one.id, Withheld(one.withheld or "")) for one in files.withheld)


async def _choose_image(repository: GuardedRepository, image: str, chosen: Chosen) -> None:
    try:
        chosen.images[image] = await stored_image(repository, image, "Image.file", asked=_ASKED)
    except (AccessDenied, NotFound) as error:
        chosen.left.append(Left("image", image, error))


def _limit(archive: Archive, chosen: Chosen) -> None:
    most = archive.settings.download_images
    if len(chosen.images) > most:
        raise TooLarge(f"a download has at most {most:,} images; name fewer studies")


async def _leave_out_faulty(objects: ObjectStore, chosen: Chosen, at_once: int) -> None:
    """Leave out objects that are not there as a whole, or cannot be de-identified."""
    images = list(chosen.images.values())

    async def check(some: Iterable[StoredImage]) -> list[Left]:
        found = [(one, await _fault(one, objects)) for one in some]
        return [Left("image", one.id, fault) for one, fault in found if fault is not None]

    for left in await asyncio.gather(*(check(images[first::at_once]) for first in range(at_once))):
        chosen.left += left
        for one in left:
            del chosen.images[one.uid]


async def _fault(image: StoredImage, objects: ObjectStore) -> ResourceError | None:
    try:
        if image.disguise is not None:
            await outgoing(image, objects)
        elif await objects.size(image.object_key) != image.size:
            return NotFound("the bytes of this image are not there as a whole")
    except ObjectMissing:
        return NotFound("the bytes of this image are gone: it is being deleted")
    except (NotFound, Withheld) as error:
        return error
    return None


def _note(repository: GuardedRepository, noted: Iterable[Entry], came: Outcome) -> None:
    """Note what was decided, and what came of it: where nothing is given, nothing was allowed."""
    for entry in noted:
        if entry.outcome == "allowed" and came != "allowed":
            repository.access.note(replace(entry, outcome=came, total=0))
        else:
            repository.access.note(entry)


def _refusal(chosen: Chosen, wanted: Download) -> Response:
    closed = [one.why for one in chosen.left if isinstance(one.why, AccessDenied)]
    many = len(chosen.left)
    message = f"{many} of what you named {'is' if many == 1 else 'are'} closed to you, or not there"
    message += "; details.refused says which and why."
    if chosen.images and not wanted.partial:
        message += ' With "partial": true you get the others.'
    coordinates = frozenset[str]().union(*(one.coordinates for one in closed))
    error = AccessDenied(message, coordinates) if closed else NotFound(message)
    return respond_rest(error, {"refused": [one.told() for one in chosen.left]})


def _entries(
    archive: Archive, chosen: Chosen, wanted: Download
) -> Iterable[tuple[str, Callable[[], Any]]]:
    if wanted.partial:
        yield MANIFEST, partial(_manifest, chosen)
    zeroed = archive.settings.zero_preamble
    for one in chosen.images.values():
        given = partial(outgoing, one, archive.objects, zero_preamble=zeroed)
        yield f"{one.study}/{one.series}/{one.id}.dcm", given


async def _manifest(chosen: Chosen) -> Outgoing:
    told = {"images": len(chosen.images), "leftOut": [one.told() for one in chosen.left]}
    return Outgoing.of(orjson.dumps(told, option=orjson.OPT_INDENT_2))
