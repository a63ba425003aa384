"""Rendered resources and thumbnails (PS3.18 8.3.5 and 10.4.1.1.3)."""

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from dataclasses import replace
from typing import Final

from pydicom import uid
from starlette.requests import Request
from starlette.responses import Response

from app.dicomweb.annotation import lines_for
from app.dicomweb.answers import Form, in_parts, unchanged, whole
from app.dicomweb.document import document
from app.dicomweb.media_types import Offer, choose
from app.dicomweb.rendering import Asked
from app.dicomweb.retrieve import Address, accept, addressed, archive_of, frame_numbers
from app.doors import guarded
from app.imaging.picture_files import MEDIA_TYPES
from app.imaging.pictures import frame_table
from app.imaging.render import Rendering
from fhir.attributes import integer, text
from fhir.errors import NotAcceptable, NotFound
from fhir.images import Instance, instances
from fhir.repository import StoredImage
from fhir.study_files import study_files

THUMBNAIL_PIXELS: Final = 256

_DOCUMENTS = frozenset({uid.EncapsulatedPDFStorage})
_ELEMENTS = frozenset(
    {
        "ImagingStudy.id",
        "ImagingStudy.series.uid",
        "ImagingStudy.series.instance.uid",
        "Image.id",
        "Image.numberOfFrames",
    }
)


async def rendered(
    request: Request, address: Address, asked: Asked, listed: str | None = None
) -> Response:
    """Give pictures of the frames that are listed, of the first one if none is; or a document."""
    numbers = frame_numbers(listed) if listed is not None else [1]
    image = await addressed(request, address, "Image.pixels")
    if listed is None and text(image.attributes, "SOPClassUID") in _DOCUMENTS:
        return await document(request, address)
    _renderable(image, numbers, listed)
    offer = choose(accept(request), _offers(numbers))
    url = address.url(request)
    frames = f"/frames/{listed}" if listed is not None else ""
    rendering = await _annotated(request, image, asked, asked.rendering(offer.names[0]))
    form = Form.of(image, offer, f"{url}{frames}/rendered", rendering)
    if known := unchanged(request, form):
        return known
    pictures = archive_of(request).pictures
    if len(numbers) == 1 and not offer.multipart:
        return whole(form, await pictures.rendered(image, numbers[0], rendering))

    async def parts() -> AsyncIterator[tuple[str, bytes]]:
        for number in numbers:
            picture = await pictures.rendered(image, number, rendering)
            yield f"{url}/frames/{number}/rendered", picture

    return await in_parts(form, parts())


async def rendered_within(
    request: Request, study: str, series: str | None, asked: Asked
) -> Response:
    """Give a picture of the first frame of each instance of a study or series that has pixels.

    Whatever fails after the answer has begun breaks the connection off.
    """
    repository = guarded(request)
    files = await study_files(repository, study, series, "Image.pixels", headers=True)
    images = [image for image in files.images if image.frames is not None]
    if not images:
        raise NotAcceptable("Nothing there has pixel data, so no picture can be made of it.")
    for image in images:
        frame_table(image, (1,))
    offer = choose(accept(request), [one for one in _offers([1]) if one.multipart])
    rendering = asked.rendering(offer.names[0])
    within = f"/series/{series}" if series is not None else ""
    location = f"{archive_of(request).settings.base_url}/dicomweb/studies/{study}{within}/rendered"
    shown = [await _annotated(request, image, asked, rendering) for image in images[:1]]
    # what is open of a study is open of each of its images
    form = Form.among(files.state, offer, location, rendering, [one.lines for one in shown])
    if known := unchanged(request, form):
        return known

    async def parts() -> AsyncGenerator[tuple[str, bytes], None]:
        for image in images:
            own = await _annotated(request, image, asked, rendering)
            url = Address(study, image.series, image.id).url(request)
            yield f"{url}/rendered", await archive_of(request).pictures.rendered(image, 1, own)

    return await in_parts(form, parts())


async def thumbnail(
    request: Request, address: Address, asked: Asked, listed: str | None = None
) -> Response:
    """Give a small picture of a frame, of the one that stands for the instance if none is named."""
    numbers = frame_numbers(listed) if listed is not None else []
    image = await addressed(request, address, "Image.pixels")
    _renderable(image, numbers, listed)
    number = numbers[0] if numbers else _representative(image)
    offer = choose(accept(request), _offers([number])[: len(MEDIA_TYPES)])
    rendering = asked.rendering(offer.names[0], THUMBNAIL_PIXELS)
    rendering = await _annotated(request, image, asked, rendering)
    location = f"{address.url(request)}/frames/{number}/thumbnail"
    form = Form.of(image, offer, location, rendering)
    if known := unchanged(request, form):
        return known
    return whole(form, await archive_of(request).pictures.rendered(image, number, rendering))


async def thumbnail_within(
    request: Request, study: str, series: str | None, asked: Asked
) -> Response:
    """Give a small picture that stands for a series or, without one, for a study.

    It is the middle image of the series, or of the series with the most images.
    """
    repository = guarded(request)
    repository.access.require("Image.pixels", "read")
    row = await repository.read("ImagingStudy", study, _ELEMENTS)
    found = (await instances(repository, [row], _ELEMENTS)).get(study, [])
    within = [one for one in found if series in {None, one.series} and "uid" in one.element]
    by_series: dict[str, list[Instance]] = {}
    # Whoever may not know which images have pixels gets any.
    for one in [one for one in within if "numberOfFrames" in one.image] or within:
        by_series.setdefault(one.series, []).append(one)
    shown = max(by_series.values(), key=len, default=[])
    if not shown:
        raise NotFound("nothing there is open to you")
    middle = shown[len(shown) // 2]
    return await thumbnail(request, Address(study, middle.series, middle.element["uid"]), asked)


async def _annotated(
    request: Request, image: StoredImage, asked: Asked, rendering: Rendering
) -> Rendering:
    if not asked.annotations:
        return rendering
    lines = await lines_for(guarded(request), image, asked.annotations)
    return replace(rendering, lines=lines)


def _renderable(image: StoredImage, numbers: Sequence[int], listed: str | None) -> None:
    if image.frames is None and listed is None:
        raise NotAcceptable("This instance has no pixel data, so no picture can be made of it.")
    frame_table(image, numbers)


def _representative(image: StoredImage) -> int:
    count = frame_table(image).count
    number = integer(image.attributes, "RepresentativeFrameNumber")
    return number if number is not None and 1 <= number <= count else (count + 1) // 2


def _offers(numbers: Sequence[int]) -> list[Offer]:
    alone = [Offer((name,)) for name in MEDIA_TYPES] if len(numbers) == 1 else []
    return alone + [Offer((name,), multipart=True) for name in MEDIA_TYPES]
