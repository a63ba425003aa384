"""One instance of a series, from its header."""

from pydicom.config import IGNORE
from pydicom.uid import UID

from fhir.attributes import Attributes, items
from fhir.from_dicom.coding_schemes import URIS
from fhir.from_dicom.series import unsigned
from fhir.from_dicom.shapes import Element, present
from fhir.from_dicom.texts import line, lines
from fhir.from_dicom.uids import uid, urn

_STRUCTURED_REPORTS = "1.2.840.10008.5.1.4.1.1.88."
_PRESENTATION_STATES = "1.2.840.10008.5.1.4.1.1.11."
_ENCAPSULATED = "1.2.840.10008.5.1.4.1.1.104."


def instance(attributes: Attributes) -> Element:
    """Map a header to one element of ImagingStudy.series.instance.

    Raises:
        Invalid: SOPInstanceUID or SOPClassUID is no UID.
    """
    sop_class = uid(attributes, "SOPClassUID")
    return present(
        uid=uid(attributes, "SOPInstanceUID"),
        sopClass=_sop_class(sop_class),
        number=unsigned(attributes, "InstanceNumber"),
        title=_title(attributes, sop_class),
    )


def _sop_class(found: str) -> Element:
    uri = urn(found)
    name = UID(found, validation_mode=IGNORE).name
    # a malformed UID is no URI, so it cannot claim to be one
    return present(
        system=URIS if uri else None, code=uri or found, display=name if name != found else None
    )


def _title(attributes: Attributes, sop_class: str) -> str | None:
    title = None
    if sop_class.startswith(_STRUCTURED_REPORTS):
        concept = next(iter(items(attributes, "ConceptNameCodeSequence")), {})
        title = line(concept, "CodeMeaning")
    elif sop_class.startswith(_PRESENTATION_STATES):
        title = line(attributes, "ContentLabel")
    elif sop_class.startswith(_ENCAPSULATED):
        title = line(attributes, "DocumentTitle")
    return title or "\\".join(lines(attributes, "ImageType")) or None
