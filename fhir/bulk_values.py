"""Bulk data as a caller may have it: what their metadata has a URI for, and no other bytes."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from fhir.access import Entry
from fhir.attributes import Attributes
from fhir.dicom_redaction import HEADER_COORDINATES, element_of
from fhir.errors import NotFound
from fhir.guarded import GuardedRepository
from fhir.images import image_and_study, note_read, opened, refuse_closed
from fhir.repository import StoredImage

_URI: Final = re.compile(r"\?offset=(\d+)&length=(\d+)")
_IMAGE: Final = frozenset({"Image.id"})


@dataclass(frozen=True, slots=True)
class BulkValue:
    """A value that lies in the stored object alone.

    Attributes:
        path: Keys of DICOM JSON, of the sequences around it first.
        offset: In the object, inflated if its syntax deflates.
        length: In bytes.
    """

    path: tuple[str, ...]
    vr: str
    offset: int
    length: int

    @property
    def coordinates(self) -> frozenset[str]:
        """What has to be open for it to leave."""
        return frozenset(map(element_of, self.path))


def bulk_values(attributes: Attributes, around: tuple[str, ...] = ()) -> Iterator[BulkValue]:
    """List the bulk data of a header as stored, whose URIs are relative, at every depth."""
    for key, element in attributes.items():
        path = (*around, key)
        if element["vr"] == "SQ":
            for item in element.get("Value", ()):
                yield from bulk_values(item or {}, path)
        elif found := _URI.fullmatch(element.get("BulkDataURI", "")):
            yield BulkValue(path, element["vr"], int(found[1]), int(found[2]))


async def bulk_value(
    guarded: GuardedRepository, address: tuple[str, str, str], offset: int, length: int
) -> tuple[StoredImage, BulkValue]:
    """Find a value by its place in the object of an instance.

    Args:
        guarded: Repository of the caller.
        address: UIDs of study, series and instance.
        offset: Exactly where the value begins.
        length: Exactly how long it is.

    Raises:
        AccessDenied: Images are closed to the caller.
        NotFound: There is no such value, or none the caller may know of: who may not read a
            private attribute does not learn here that there is one.
    """
    study, series, instance = address
    guarded.access.require("Image.id", "read")
    plan = guarded.plan("ImagingStudy", HEADER_COORDINATES | _IMAGE)
    stored, record = await image_and_study(guarded, instance, study, plan)
    if stored is not None and stored.series != series:
        record = None
    found, closed = None, frozenset[str]()
    if stored is not None and record is not None:
        readable = opened(guarded, record, plan)
        refuse_closed(guarded, _IMAGE - readable)
        if stored.disguise is None:  # without identity, bulk data stays behind
            values = bulk_values(stored.attributes)
            found = next(
                (one for one in values if (one.offset, one.length) == (offset, length)), None
            )
            closed = found.coordinates - readable if found else closed
    if stored is None or record is None or found is None or closed:
        guarded.refused |= closed
        guarded.access.note(
            Entry(
                "read",
                "Image",
                "refused" if closed else "failed",
                ids=(stored.real_id if stored else instance,),
                total=0,
                query=_QUERY,
                refused=tuple(sorted(closed)),
            )
        )
        raise NotFound("no bulk data of this place is open to you")
    note_read(guarded, stored, record, _QUERY)
    return stored, found


_QUERY: Final = "bulkdata"
