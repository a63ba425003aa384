"""The DICOM objects of a whole study or series, as a caller may have them: all, or none."""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

from fhir.access import MAX_IDS, Entry
from fhir.errors import NotFound, Withheld
from fhir.guarded import GuardedRepository, patients_of
from fhir.images import file_elements, let_leave, opened, refuse_closed, study_record
from fhir.repository import Record, StoredImage


@dataclass(frozen=True, slots=True)
class StudyFiles:
    """The DICOM objects of a study or series.

    Attributes:
        images: By series, number and UID; there is at least one, or all are withheld.
        withheld: Images that may not leave without identity, where the others were asked for.
        state: Names exactly these objects, and the study record that they were decided by.
    """

    images: Sequence[StoredImage]
    state: str
    withheld: Sequence[StoredImage] = ()


async def study_files(
    guarded: GuardedRepository,
    study: str,
    series: str | None = None,
    coordinate: str = "Image.file",
    *,
    headers: bool = False,
    partial: bool = False,
    asked: str | None = None,
) -> StudyFiles:
    """List the DICOM objects of a study, if the caller may have them all.

    It is one access, of as many images as there are.

    Args:
        guarded: Repository of the caller.
        study: Study Instance UID.
        series: Series Instance UID; None for the whole study.
        coordinate: `Image.file` for the objects, `Image.pixels` for their pixels alone.
        headers: Whether attributes and frame tables are needed.
        partial: Whether the others are wanted where one may not leave without identity.
        asked: What the audit says was asked for; absent: the coordinate.

    Raises:
        AccessDenied: They are closed to the caller. An image is open where its study is, so some
            cannot be closed while others are open; in the de-identified view one that may show
            who somebody is keeps all of them back.
        NotFound: There is no such study or series, or none the caller may know of.
        Withheld: The caller sees no identities, and one of the objects may not leave without.
    """
    guarded.access.require(coordinate, "read")
    asked = asked or coordinate
    needed = (
        file_elements(guarded)
        if coordinate == "Image.file"
        else frozenset({"Image.id", coordinate})
    )
    plan = guarded.plan("ImagingStudy", needed)
    record = await study_record(guarded, study, plan)
    found: list[StoredImage] = []
    if record:
        # before anything is said of what is in it: a study may be there of which no image is
        refuse_closed(guarded, needed - opened(guarded, record, plan))
        found = await guarded.repository.stored_images(study, series, headers=headers)
    if not record or not found:
        named = (study,) if series is None else (study, series)
        guarded.access.note(Entry("read", "Image", "failed", ids=named, total=0, query=asked))
        raise NotFound("no study or series of this UID is open to you")
    withheld = []
    for image in found:
        try:
            let_leave(guarded, image, asked)
        except Withheld:
            if not partial:
                raise
            withheld.append(image)
    leaving = [one for one in found if one.withheld is None] if withheld else found
    if leaving:
        guarded.access.note(
            Entry(
                "read",
                "Image",
                "allowed",
                ids=tuple(one.real_id for one in leaving[:MAX_IDS]),
                patients=patients_of([record]),
                total=len(leaving),
                query=asked,
            )
        )
    return StudyFiles(leaving, _state(record, leaving), withheld)


def _state(record: Record, found: Sequence[StoredImage]) -> str:
    said = [record.life or "", str(record.version), *(f"{one.id} {one.sha256}" for one in found)]
    return sha256("\n".join(said).encode()).hexdigest()
