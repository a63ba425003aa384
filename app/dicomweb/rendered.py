"""Rendered resources and thumbnails (PS3.18 8.3.5 and 10.4.1.1.3)."""

import re
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Final

from fastapi import Query
from starlette.requests import Request
from starlette.responses import Response

from app.dicomweb.answers import Form, in_parts, unchanged, whole
from app.dicomweb.media_types import Offer, choose
from app.dicomweb.retrieve import Address, accept, addressed, archive_of, frame_numbers
from app.doors import guarded
from app.imaging.pictures import Rendering, frame_table
from app.imaging.render import MEDIA_TYPES
from app.imaging.windows import Window
from fhir.attributes import integer
from fhir.errors import Invalid, NotAcceptable, NotFound, NotSupported
from fhir.images import Instance, instances
from fhir.repository import StoredImage

THUMBNAIL_PIXELS: Final = 256
DEFAULT_QUALITY: Final = 85

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_FUNCTIONS = {"linear": "LINEAR", "linear-exact": "LINEAR_EXACT", "sigmoid": "SIGMOID"}
_WINDOW = ("center", "width", "function")
_SIZE = ("width", "height")
_VIEWPORT = (*_SIZE, "source x", "source y", "source width", "source height")
_ELEMENTS = frozenset(
    {
        "ImagingStudy.id",
        "ImagingStudy.series.uid",
        "ImagingStudy.series.instance.uid",
        "Image.id",
        "Image.numberOfFrames",
    }
)


@dataclass(frozen=True, slots=True)
class Asked:
    """The query of a rendered resource, as the client wrote it."""

    window: Annotated[
        str | None, Query(description="center,width or center,width,linear|linear-exact|sigmoid")
    ] = None
    viewport: Annotated[
        str | None, Query(description="width,height in pixels that the picture has to fit")
    ] = None
    quality: Annotated[str | None, Query(description="1 to 100, JPEG only")] = None

    def rendering(self, media_type: str, most: int | None = None) -> Rendering:
        """Read it.

        Args:
            media_type: What was negotiated.
            most: Greatest width and height in any case.

        Raises:
            Invalid: A value cannot be understood, or cannot be.
        """
        size = _viewport(self.viewport) if self.viewport is not None else None
        if most is not None:
            size = (min(size[0], most), min(size[1], most)) if size else (most, most)
        window = _window(self.window) if self.window is not None else None
        quality = _quality(self.quality) if self.quality is not None else DEFAULT_QUALITY
        return Rendering(media_type, window, size, quality)


def _window(text: str) -> Window:
    center, width, function = [*_split(text, _WINDOW, least=2), "linear"][:3]
    if not (_NUMBER.fullmatch(center) and _NUMBER.fullmatch(width)):
        raise Invalid("window is center,width or center,width,function, with decimal numbers")
    if function.lower() not in _FUNCTIONS:
        raise Invalid(f"the function of a window is {', '.join(_FUNCTIONS)}")
    return Window(float(center), float(width), _FUNCTIONS[function.lower()])


def _viewport(text: str) -> tuple[int, int]:
    parts = _split(text, _VIEWPORT, least=2)
    if len(parts) > len(_SIZE):
        raise NotSupported(
            "viewport takes width,height here; a part of the image cannot be cut out"
        )
    if not all(re.fullmatch(r"[1-9]\d{0,4}", part) for part in parts):
        raise Invalid("viewport is width,height in pixels, from 1 to 99999")
    return int(parts[0]), int(parts[1])


def _quality(text: str) -> int:
    if not re.fullmatch(r"[1-9]\d?|100", text):
        raise Invalid("quality is a whole number from 1 to 100")
    return int(text)


def _split(text: str, names: Sequence[str], least: int) -> list[str]:
    parts = [part.strip() for part in text.split(",")]
    if not least <= len(parts) <= len(names):
        raise Invalid(f"expected {','.join(names[:least])}")
    return parts


async def rendered(
    request: Request, address: Address, asked: Asked, listed: str | None = None
) -> Response:
    """Give pictures of the frames that are listed, of the first one if none is."""
    numbers = frame_numbers(listed) if listed is not None else [1]
    image = await addressed(request, address, "Image.pixels")
    _renderable(image, numbers, listed)
    offer = choose(accept(request), _offers(numbers))
    url = address.url(request)
    frames = f"/frames/{listed}" if listed is not None else ""
    rendering = asked.rendering(offer.names[0])
    form = Form.of(image, offer, f"{url}{frames}/rendered", rendering)
    if known := unchanged(request, form):
        return known
    pictures = archive_of(request).pictures
    if not offer.multipart:
        return whole(form, await pictures.rendered(image, numbers[0], rendering))

    async def parts() -> AsyncIterator[tuple[str, bytes]]:
        for number in numbers:
            picture = await pictures.rendered(image, number, rendering)
            yield f"{url}/frames/{number}/rendered", picture

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
