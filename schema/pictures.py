"""Instances and their images in the shape that the fields read: sliced, and with addresses."""

from collections.abc import Sequence
from typing import Any

from fhir.errors import Invalid
from fhir.images import Instance
from schema.image import MOST_FRAMES
from schema.selection import Place, Slot

Json = Any
INSTANCE = "ImagingStudy.series.instance"
_PIXELS = "Image.pixels"


def check_slices(place: Place) -> None:
    """Look at `first` and `offset` before anything is read.

    Raises:
        Invalid: They are out of bounds.
    """
    for slot in place.slots:
        first, offset = slot.arguments.get("first"), slot.arguments["offset"]
        if first is not None and first < 0:
            raise Invalid("first: not below 0 here")
        if offset < 0:
            raise Invalid("offset: not below 0")
        if slot.coordinate == _PIXELS and (first is None or first > MOST_FRAMES):
            raise Invalid(f"first: at most {MOST_FRAMES:,} frames")


def slots(place: Place, coordinate: str) -> list[Slot]:
    """List where one element with arguments is asked for."""
    return [slot for slot in place.slots if slot.coordinate == coordinate]


def with_instances(
    series: Sequence[tuple[str, dict[str, Json]]],
    instances: Sequence[Instance],
    place: Place,
    base_url: str,
) -> tuple[list[dict[str, Json]], int]:
    """Put the instances of one study into its series.

    Args:
        series: UID and element of each.
        instances: Of the study, in order; their images are put into their elements.
        place: What is asked for.
        base_url: Of the server.

    Returns:
        The series, and how many records were put into them.
    """
    by_series: dict[str, list[dict[str, Json]]] = {uid: [] for uid, _ in series}
    count = 0
    pictured = "Image.id" in place.asked
    for uid, element, image, granted in instances:
        if pictured and "Image.id" in granted:
            if "study" in image:  # there are addresses to tell, or frames
                element["image"], frames = illustrated(image, granted, place, base_url)
                count += 1 + frames
            else:
                element["image"] = image
                count += 1
        members = by_series.get(uid)
        if members is not None:
            members.append(element)
    complete = []
    for uid, element in series:
        members = by_series.get(uid, [])
        complete.append(
            element | {slot.path: sliced(members, slot) for slot in slots(place, INSTANCE)}
        )
    return complete, count


def illustrated(
    image: dict[str, Json], granted: frozenset[str], place: Place, base_url: str
) -> tuple[dict[str, Json], int]:
    """Add the addresses that are asked for and open to an Image, and count its frames."""
    if "study" not in image or "series" not in image:
        return image, 0
    shown = dict(image)
    at = (
        f"{base_url}/dicomweb/studies/{image['study']}/series/{image['series']}"
        f"/instances/{image['id']}"
    )
    if "Image.file" in granted:
        shown["file"] = at
    count = 0
    if _PIXELS in granted and "Image.numberOfFrames" in granted:
        numbers = range(1, image.get("numberOfFrames", 0) + 1)
        if numbers:
            shown |= {"rendered": f"{at}/rendered", "thumbnail": f"{at}/thumbnail"}
        for slot in slots(place, _PIXELS):
            frames = [
                {"number": number, "url": f"{at}/frames/{number}"}
                for number in sliced(numbers, slot)
            ]
            shown[slot.path] = frames
            count += len(frames)
    return shown, count


def sliced(members: Sequence[Json], slot: Slot) -> Sequence[Json]:
    """Give the part of a list that an element's own arguments ask for."""
    first, offset = slot.arguments.get("first"), slot.arguments["offset"]
    return members[offset : None if first is None else offset + first]
