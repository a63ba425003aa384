"""What goes into a DICOM object that is made of annotations: closed unless all of it is open."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from fhir.annotating import KIND
from fhir.elements import COORDINATES
from fhir.errors import Invalid, NotFound
from fhir.guarded import GuardedRepository, Page, Row
from fhir.images import file_elements, opened, refuse_closed, stored_image
from fhir.repository import Sort, StoredImage
from fhir.search import Has, Search, all_of

Json = Any
MOST_EXPORTED = 1_000  # annotations
ANNOTATION_ELEMENTS = frozenset(one for one in COORDINATES if one.startswith(f"{KIND}."))


@dataclass(frozen=True, slots=True)
class Annotated:
    """Annotations with the images that they are about.

    Attributes:
        study: Study Instance UID.
        annotations: As stored, the first written first; at least one.
        images: By SOP Instance UID. Where nothing is about an image there is one of the study
            all the same, which says whose it is.
    """

    study: str
    annotations: Sequence[dict[str, Json]]
    images: dict[str, StoredImage]

    @property
    def host(self) -> StoredImage:
        """Image whose header says whose study it is."""
        return next(iter(self.images.values()))

    @property
    def latest(self) -> datetime:
        """When the last of it was written."""
        times = (one["note"]["time"] for one in self.annotations)
        return max(datetime.fromisoformat(one).astimezone(UTC) for one in times)

    @property
    def authors(self) -> list[dict[str, Json]]:
        """One annotation of each author, in their order."""
        found: dict[str, dict[str, Json]] = {}
        for one in self.annotations:
            found.setdefault(one["author"], one)
        return list(found.values())


async def annotated(
    guarded: GuardedRepository,
    study: str,
    *,
    series: str | None = None,
    image: str | None = None,
    images_only: bool = False,
) -> Annotated:
    """Give what is written in a study and was not taken back, to be exported.

    Args:
        guarded: Repository of the caller.
        study: Study Instance UID.
        series: Only of this series.
        image: Only of this image.
        images_only: Whether to leave out what is about the study as a whole.

    Raises:
        AccessDenied: Something that the object would hold is closed to the caller.
        NotFound: There is no such study or nothing is written in it, or nothing the caller may
            know of.
        Invalid: There are so many that an image or a series has to be named.
    """
    if guarded.access.view != "identified":
        guarded.access.refuse("read", KIND, {f"{KIND}.id"})
    await _let_leave(guarded, study)
    rows = await _rows(guarded, study, series, image)
    written = [row.resource for row in rows if not images_only or "image" in row.resource]
    if not written:
        raise NotFound("nothing is written on these images, or nothing that is open to you")
    uids = list(dict.fromkeys(one["image"] for one in written if "image" in one))
    if not uids:
        found = await guarded.repository.images_of([study], frozenset({"id"}), 1)
        uids = [str(one["id"]) for one in found[study]]
    images = {uid: await stored_image(guarded, uid, "Image.file", study) for uid in uids}
    if not images:
        raise NotFound("the study has no image")
    return Annotated(study, written, images)


async def _let_leave(guarded: GuardedRepository, study: str) -> None:
    """Refuse, and record, a study whose files may not leave."""
    guarded.access.require(f"{KIND}.id", "read")
    guarded.access.require("Image.file", "read")
    row = await guarded.read("ImagingStudy", study, frozenset({"ImagingStudy.id"}))
    needed = file_elements(guarded)
    refuse_closed(
        guarded, needed - opened(guarded, row.record, guarded.plan("ImagingStudy", needed))
    )


async def _rows(
    guarded: GuardedRepository, study: str, series: str | None, image: str | None
) -> list[Row]:
    named = {"study": study, "status": "active", "series": series, "image": image}
    given = {name: value for name, value in named.items() if value is not None}
    search = Search(
        KIND,
        all_of(Has(name, value) for name, value in given.items()),
        frozenset(f"{KIND}.{name}" for name in given),
    )
    page = Page(MOST_EXPORTED, sort=(Sort("date"),))
    found = await guarded.search(search, page, elements=ANNOTATION_ELEMENTS, action="read")
    if found.more:
        raise Invalid(f"more than {MOST_EXPORTED:,} annotations: name a series or an image")
    closed = found.refused.union(*(row.refused for row in found.rows))
    if closed:
        guarded.refused |= closed
        guarded.access.refuse("read", KIND, closed)
    return found.rows
