"""The query of a rendered resource (PS3.18 8.3.5): how a client writes what it wants to see."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Final

from fastapi import Query

from app.dicomweb.annotation import kinds_of
from app.imaging.profiles import PROFILES
from app.imaging.render import Rendering
from app.imaging.viewport import Viewport
from app.imaging.windows import Window
from fhir.errors import Invalid, NotSupported

DEFAULT_QUALITY: Final = 85

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_FUNCTIONS = {"linear": "LINEAR", "linear-exact": "LINEAR_EXACT", "sigmoid": "SIGMOID"}
_WINDOW = ("center", "width", "function")
_SIZE = ("width", "height")
_VIEWPORT = (*_SIZE, "source x", "source y", "source width", "source height")
_UNKNOWN_PROFILES = ("rommrgb", "displayp3")


@dataclass(frozen=True, slots=True)
class Asked:
    """The query, as the client wrote it."""

    window: Annotated[
        str | None, Query(description="center,width or center,width,linear|linear-exact|sigmoid")
    ] = None
    viewport: Annotated[
        str | None,
        Query(
            description="width,height in pixels that the picture has to fit; then the source "
            "x,y,width,height that is shown, less than 0 turns it"
        ),
    ] = None
    quality: Annotated[str | None, Query(description="1 to 100, JPEG only")] = None
    annotation: Annotated[str | None, Query(description="patient,technique or one of them")] = None
    iccprofile: Annotated[str | None, Query(description=", ".join(PROFILES))] = None

    @property
    def annotations(self) -> tuple[str, ...]:
        """What is to be written over the picture.

        Raises:
            Invalid: It is none of what can be.
        """
        return kinds_of(self.annotation) if self.annotation is not None else ()

    def rendering(self, media_type: str, most: int | None = None) -> Rendering:
        """Read it.

        Args:
            media_type: What was negotiated.
            most: Greatest width and height in any case; then nothing is enlarged either.

        Raises:
            Invalid: A value cannot be understood, or cannot be.
        """
        _ = self.annotations  # wrong ones are refused whatever else is
        viewport = _viewport(self.viewport, most) if self.viewport is not None else None
        if most is not None and viewport is None:
            viewport = Viewport(most, most, enlarges=False)
        window = _window(self.window) if self.window is not None else None
        quality = _quality(self.quality) if self.quality is not None else DEFAULT_QUALITY
        profile = _profile(self.iccprofile) if self.iccprofile is not None else "no"
        return Rendering(media_type, window, viewport, quality, profile)


def _window(text: str) -> Window:
    center, width, function = [*_split(text, _WINDOW, least=2), "linear"][:3]
    if not (_NUMBER.fullmatch(center) and _NUMBER.fullmatch(width)):
        raise Invalid("window is center,width or center,width,function, with decimal numbers")
    if function.lower() not in _FUNCTIONS:
        raise Invalid(f"the function of a window is {', '.join(_FUNCTIONS)}")
    return Window(float(center), float(width), _FUNCTIONS[function.lower()])


def _viewport(text: str, most: int | None) -> Viewport:
    parts = _split(text, _VIEWPORT, least=2)
    if not all(re.fullmatch(r"[1-9]\d{0,4}", part) for part in parts[:2]):
        raise Invalid("viewport is width,height in pixels, from 1 to 99999")
    region = parts[2:]
    if not all(_NUMBER.fullmatch(part) for part in region if part):
        raise Invalid("the part of the image in a viewport is x,y,width,height in decimal numbers")
    left, top, columns, rows = [float(one) if one else None for one in [*region, *[""] * 4]][:4]
    width, height = int(parts[0]), int(parts[1])
    if most is not None:
        width, height = min(width, most), min(height, most)
    return Viewport(width, height, left or 0.0, top or 0.0, columns, rows, enlarges=most is None)


def _quality(text: str) -> int:
    if not re.fullmatch(r"[1-9]\d?|100", text):
        raise Invalid("quality is a whole number from 1 to 100")
    return int(text)


def _profile(text: str) -> str:
    name = text.strip().lower()
    if name in _UNKNOWN_PROFILES:
        raise NotSupported(f"iccprofile takes {', '.join(PROFILES)} here; {name} is not made")
    if name not in PROFILES:
        raise Invalid(f"iccprofile is one of {', '.join(PROFILES)}")
    return name


def _split(text: str, names: Sequence[str], least: int) -> list[str]:
    parts = [part.strip() for part in text.split(",")]
    if not least <= len(parts) <= len(names):
        raise Invalid(f"expected {','.join(names[:least])}")
    return parts
