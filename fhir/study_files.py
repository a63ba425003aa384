"""The DICOM objects of a whole study or series, as a caller may have them: all, or none."""

from collections.abc import Sequence
from dataclasses import dataclass

from fhir.access import MAX_IDS, Entry
from fhir.errors import NotFound, Withheld
from fhir.guarded import GuardedRepository, patients_of
from fhir.images import file_elements, opened, refuse_closed, study_record


@dataclass(frozen=True, slots=True)
class StudyFile:
    """One DICOM object of a study.

    Attributes:
        id: SOP Instance UID.
        series: Series Instance UID.
    """

    id: str
    series: str
    transfer_syntax: str


async def study_files(
    guarded: GuardedRepository, study: str, series: str | None = None
) -> list[StudyFile]:
    """List the DICOM objects of a study by series, number and UID, if the caller may have them all.

    It is one access, of as many images as there are.

    Args:
        guarded: Repository of the caller.
        study: Study Instance UID.
        series: Series Instance UID; None for the whole study.

    Raises:
        AccessDenied: They are closed to the caller. An image is open where its study is, so some
            cannot be closed while others are open; in the de-identified view one that may show
            who somebody is keeps all of them back.
        NotFound: There is no such study or series, or none the caller may know of.
        Withheld: The caller sees no identities, and one of the objects may not leave without.
    """
    guarded.access.require("Image.file", "read")
    needed = file_elements(guarded)
    plan = guarded.plan("ImagingStudy", needed)
    record = await study_record(guarded, study, plan)
    found = []
    if record:
        # before anything is said of what is in it: a study may be there of which no image is
        refuse_closed(guarded, needed - opened(guarded, record, plan))
        listed = await guarded.repository.images_of([study], frozenset({"transferSyntax"}))
        found = [
            StudyFile(one["id"], one["series"], one["transferSyntax"])
            for one in listed[study]
            if series in {None, one["series"]}
        ]
    if not record or not found:
        named = (study,) if series is None else (study, series)
        guarded.access.note(Entry("read", "Image", "failed", ids=named, total=0, query=_QUERY))
        raise NotFound("no study or series of this UID is open to you")
    stored = await _all_may_leave(guarded, found)
    guarded.access.note(
        Entry(
            "read",
            "Image",
            "allowed",
            ids=tuple(stored[:MAX_IDS]),
            patients=patients_of([record]),
            total=len(found),
            query=_QUERY,
        )
    )
    return found


async def _all_may_leave(guarded: GuardedRepository, found: Sequence[StudyFile]) -> list[str]:
    """List what the objects are stored under; make sure that none of them is withheld."""
    if guarded.access.view == "identified":
        return [one.id for one in found]
    stored = []
    for one in found:
        image = await guarded.repository.stored_image(one.id)
        if image is None:
            raise NotFound("an instance of this study is being deleted")
        if image.withheld is not None:
            entry = Entry("read", "Image", "refused", ids=(image.real_id,), query=_QUERY)
            guarded.access.note(entry)
            raise Withheld(image.withheld)
        stored.append(image.real_id)
    return stored


_QUERY = "Image.file"
