"""What a C-GET or C-MOVE request asks for (PS3.4 C.4), as far as the caller may have it."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Final

from app.chunks import resumed
from app.dimse.contexts import Root
from app.dimse.finding import level_of, unique_keys
from app.dimse.implicit import implicit
from app.dimse.operation import Operation
from app.imaging.arriving import meta
from app.imaging.arriving.refused import Refused
from app.imaging.deidentify import outgoing
from app.imaging.transcode import EXPLICIT, syntaxes, transcoded
from fhir.attributes import Attributes, text
from fhir.dicom_search import Key, Query, search_dicom
from fhir.errors import Invalid, NotAcceptable, NotFound, ResourceError
from fhir.guarded import GuardedRepository
from fhir.images import stored_image
from fhir.study_files import study_files

MAX_OBJECTS: Final = 65_535
"""As many as can be counted in a response."""

IMPLICIT: Final = "1.2.840.10008.1.2"

_PATIENT_ID: Final = (0x00100020,)
_PAGE: Final = 500
_OID: Final = "urn:oid:"


@dataclass(frozen=True, slots=True)
class Wanted:
    """One object that is to be sent.

    Attributes:
        id: SOP Instance UID, as the caller knows it.
    """

    id: str
    study: str
    sop_class: str
    transfer_syntax: str


@dataclass(frozen=True, slots=True)
class Content:
    """An object on its way out.

    Attributes:
        data_set: Its bytes without preamble and file meta information.
    """

    transfer_syntax: str
    data_set: AsyncIterator[bytes]


async def wanted(operation: Operation, root: Root, identifier: Attributes) -> list[Wanted]:
    """List the objects that a request names; that they leave is in the access's entries.

    What is not there for the caller is left out.

    Raises:
        AccessDenied: Some of them are closed to the caller; then none is sent.
        Invalid: The request cannot be understood, or names more than can be counted.
    """
    level = level_of(root, identifier)
    names = unique_keys(identifier, level)
    if not names:
        raise Invalid(f"level {level} needs its unique key")
    guarded = operation.guarded
    found: list[Wanted] = []
    if level == "PATIENT":
        for study in await _studies_of(operation, names):
            found += await _of_study(guarded, study)
    elif level == "STUDY":
        for study in names:
            found += await _of_study(guarded, study)
    else:
        [study] = unique_keys(identifier, "STUDY")[:1] or [""]
        for name in names:
            if level == "SERIES":
                found += await _of_study(guarded, study, name)
            else:
                found += await _instance(guarded, study, name)
    if len(found) > MAX_OBJECTS:
        raise Invalid(f"more than {MAX_OBJECTS} objects; ask for fewer at a time")
    return found


async def content(operation: Operation, one: Wanted, accepted: Sequence[str]) -> Content:
    """Give the bytes of an object in the form in which they may leave.

    Args:
        operation: Who may have it was decided as it began.
        one: The object.
        accepted: Transfer syntaxes that the peer takes it in; best as it is stored.

    Raises:
        NotFound: It is gone.
        Withheld: It may show who somebody is, to a caller who sees no identities.
        NotAcceptable: It cannot be given in any of them.
        Undecodable: It could be, were its pixels what they should be.
    """
    image = await operation.guarded.repository.stored_image(one.id)
    if image is None or image.study != one.study:
        raise NotFound("an instance of this study is being deleted")
    stored, possible = image.transfer_syntax, syntaxes(image)
    target = next((it for it in (stored, *possible, IMPLICIT) if it in accepted), None)
    source = target
    if target == IMPLICIT != stored:
        source = EXPLICIT
    if source is None or source not in {stored, *possible}:
        raise NotAcceptable("the peer takes no encoding that it can be given in")
    archive = operation.archive
    if source == stored:
        sent = await outgoing(image, archive.objects)
    else:
        sent = await transcoded(image, source, archive.objects, archive.pictures)
    data_set = await _without_meta(sent.chunks)
    if source != target:
        return Content(IMPLICIT, implicit(data_set))
    return Content(source, data_set)


async def _studies_of(operation: Operation, patients: list[str]) -> list[str]:
    found: dict[str, None] = {}
    for patient in patients:
        offset, more = 0, True
        while more:
            keys = (Key(_PATIENT_ID, patient),)
            query = Query("study", keys=keys, limit=_PAGE, offset=offset, text="PatientID")
            answer = await search_dicom(operation.guarded, operation.archive.catalogue, query)
            named = (text(one, "StudyInstanceUID") for one in answer.items)
            found |= dict.fromkeys(one for one in named if one)
            more, offset = answer.more, offset + _PAGE
    return list(found)


async def _of_study(
    guarded: GuardedRepository, study: str, series: str | None = None
) -> list[Wanted]:
    try:
        files = await study_files(guarded, study, series)
    except NotFound:
        return []
    listed = await guarded.repository.images_of([study], frozenset({"sopClass"}))
    classes = {one["id"]: _class_of(one.get("sopClass")) for one in listed.get(study, ())}
    return [
        Wanted(one.id, study, classes.get(one.id, ""), one.transfer_syntax) for one in files.images
    ]


def _class_of(coding: object) -> str:
    code = coding.get("code") if isinstance(coding, dict) else None
    return str(code or "").removeprefix(_OID)


async def _instance(guarded: GuardedRepository, study: str, instance: str) -> list[Wanted]:
    try:
        image = await stored_image(guarded, instance, "Image.file", study or None)
    except NotFound:
        return []
    sop_class = text(image.attributes, "SOPClassUID") or ""
    return [Wanted(image.id, image.study, sop_class, image.transfer_syntax)]


async def _without_meta(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Cut off what precedes the data set; the first bytes are read, so that errors show."""
    head = b""
    need = meta.HEAD_BYTES
    while True:
        chunk = await anext(chunks, None)
        head += chunk or b""
        if chunk is not None and len(head) < need:
            continue
        try:
            found = meta.read(head, {}, whole=chunk is None)
        except Refused as error:
            raise ResourceError("a stored object cannot be read") from error
        if isinstance(found, meta.Meta):
            return resumed((head[found.end :],), chunks)
        need = found
