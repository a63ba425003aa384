"""One series of an ImagingStudy, from the header of an instance that stands for it."""

import re
from collections.abc import Iterable

from fhir.attributes import Attributes, integer, items
from fhir.from_dicom.body_parts import BODY_PARTS
from fhir.from_dicom.codes import Schemes, coding, schemes
from fhir.from_dicom.coding_schemes import SNOMED_CT
from fhir.from_dicom.identifiers import issuer_of
from fhir.from_dicom.modalities import modality
from fhir.from_dicom.people import equipment, institution, practitioners
from fhir.from_dicom.shapes import Element, distinct, present, reference
from fhir.from_dicom.site import Site
from fhir.from_dicom.texts import line
from fhir.from_dicom.times import date_time
from fhir.from_dicom.uids import uid

_LARGEST_INTEGER = 2**31 - 1
_SEPARATORS = re.compile(r"[^A-Z0-9]")
_PARTICIPATION = "http://terminology.hl7.org/CodeSystem/v3-ParticipationType"
# PS3.16 CID 244; U (unpaired) is no side
_SIDES = {"L": ("7771000", "Left"), "R": ("24028007", "Right"), "B": ("51440002", "Bilateral")}


def series(attributes: Attributes, site: Site, uniform_laterality: str | None = None) -> Element:
    """Map what a header says of its series, without `numberOfInstances` and `instance`.

    Args:
        attributes: Header of the instance that stands for the series.
        site: How to read what the header leaves open.
        uniform_laterality: What `image_laterality` gives for every instance of the series, if it
            is the same; the series' own Laterality comes first.

    Raises:
        Invalid: SeriesInstanceUID is no UID.
    """
    declared = schemes(attributes)
    return present(
        uid=uid(attributes, "SeriesInstanceUID"),
        number=unsigned(attributes, "SeriesNumber"),
        modality=modality(attributes),
        description=line(attributes, "SeriesDescription"),
        bodySite=_body_site(attributes, declared),
        laterality=_laterality(line(attributes, "Laterality") or uniform_laterality),
        specimen=_specimens(attributes, site),
        started=date_time(attributes, "SeriesDate", "SeriesTime", site),
        performer=_performers(attributes, declared),
    )


def image_laterality(attributes: Attributes) -> str | None:
    """Give the side that one instance shows, `L R B U`; None if unsaid or not in all frames."""
    said = line(attributes, "ImageLaterality")
    if said:
        return said
    sides = {line(anatomy, "FrameLaterality") for anatomy in _frame_anatomies(attributes)}
    return sides.pop() if len(sides) == 1 else None


def unsigned(attributes: Attributes, keyword: str) -> int | None:
    """Give a number that FHIR's unsignedInt can hold, 0 to 2147483647, or None."""
    number = integer(attributes, keyword)
    return number if number is not None and 0 <= number <= _LARGEST_INTEGER else None


def _body_site(attributes: Attributes, declared: Schemes) -> Element:
    said = _regions((attributes,), declared)
    framed = _regions(_frame_anatomies(attributes), declared)
    # frames of several regions leave it to the series' own word
    if said or len(framed) == 1:
        return (said or framed)[0]
    return _body_part(line(attributes, "BodyPartExamined"))


def _regions(places: Iterable[Attributes], declared: Schemes) -> list[Element]:
    return distinct(
        [
            coding(item, declared)
            for place in places
            for item in items(place, "AnatomicRegionSequence")
        ]
    )


def _body_part(examined: str | None) -> Element:
    if examined is None:
        return {}
    known = BODY_PARTS.get(_SEPARATORS.sub("", examined.upper()))
    if known is None:
        return {"display": examined}
    code, meaning = known
    return {"system": SNOMED_CT, "code": code, "display": meaning}


def _frame_anatomies(attributes: Attributes) -> Iterable[Attributes]:
    shared = items(attributes, "SharedFunctionalGroupsSequence")
    for group in (*shared, *items(attributes, "PerFrameFunctionalGroupsSequence")):
        yield from items(group, "FrameAnatomySequence")


def _laterality(said: str | None) -> Element:
    side = _SIDES.get((said or "").upper())
    return {"system": SNOMED_CT, "code": side[0], "display": side[1]} if side else {}


def _specimens(attributes: Attributes, site: Site) -> list[Element]:
    found = []
    for item in items(attributes, "SpecimenDescriptionSequence"):
        issuer = issuer_of(item, "IssuerOfTheSpecimenIdentifierSequence", site)
        identifier = issuer.signed(line(item, "SpecimenIdentifier"))
        found.append(reference("Specimen", identifier, line(item, "SpecimenShortDescription")))
    return distinct(found)


def _performers(attributes: Attributes, declared: Schemes) -> list[Element]:
    performing = practitioners(
        attributes,
        "PerformingPhysicianName",
        "PerformingPhysicianIdentificationSequence",
        declared,
    )
    operators = practitioners(
        attributes, "OperatorsName", "OperatorIdentificationSequence", declared
    )
    others = (institution(attributes, declared), equipment(attributes))
    return distinct(
        [
            *(_performer(actor, "PRF", "performer") for actor in performing),
            *(_performer(actor, "SPRF", "secondary performer") for actor in operators),
            *({"actor": actor} for actor in others if actor),
        ]
    )


def _performer(actor: Element, code: str, name: str) -> Element:
    function = {"coding": [{"system": _PARTICIPATION, "code": code, "display": name}]}
    return {"function": function, "actor": actor}
