"""The Patient that a header describes, and what makes two of them the same."""

from urllib.parse import quote

from fhir.attributes import Attributes, first, items, text, values
from fhir.from_dicom.animals import animal
from fhir.from_dicom.identifiers import Issuer, patient_id_issuer
from fhir.from_dicom.names import human_names
from fhir.from_dicom.shapes import Element, distinct, present
from fhir.from_dicom.site import Site
from fhir.from_dicom.texts import line, lines
from fhir.from_dicom.times import date, date_time
from fhir.from_dicom.uids import uid

_GENDERS = {"M": "male", "F": "female", "O": "other"}
_ORIGINAL_TEXT = "http://hl7.org/fhir/StructureDefinition/originalText"
_BIRTH_TIME = "http://hl7.org/fhir/StructureDefinition/patient-birthTime"
_OBSERVATION_VALUE = "http://terminology.hl7.org/CodeSystem/v3-ObservationValue"


def patient_key(attributes: Attributes, site: Site) -> str:
    """Name the patient: equal for two headers exactly if they speak of the same one.

    The key is issuer and PatientID, so equal ids of two issuers are two patients. Without a
    PatientID nobody is known outside the study. ASCII; it holds the PatientID.

    Raises:
        Invalid: There is neither PatientID nor StudyInstanceUID.
    """
    patient_id = text(attributes, "PatientID")
    if patient_id is None:
        return f"study:{uid(attributes, 'StudyInstanceUID')}"
    issuer = _issuer(attributes, site)
    issued_by = f"system:{issuer.system}" if issuer.system else f"issuer:{issuer.name or ''}"
    return "|".join(
        quote(part, safe=":/", errors="surrogatepass") for part in (issued_by, patient_id)
    )


def same_patient(claimed: str, said: str) -> bool:
    """Say whether an object whose header says one key may be filed under another.

    Within one study, workstations that add objects often leave the issuer out, or the whole
    PatientID; that names nobody else. Another PatientID or another issuer does.
    """
    if claimed == said or said.startswith("study:"):
        return True
    (claimed_issuer, _, claimed_id), (issuer, _, patient_id) = (
        key.partition("|") for key in (claimed, said)
    )
    return claimed_id == patient_id and "issuer:" in {claimed_issuer, issuer}


def patient(attributes: Attributes, site: Site) -> Element:
    """Map a header to FHIR Patient, without `id`; `meta` holds a security label at most."""
    gender, said = _gender(attributes)
    birth_date = date(attributes, "PatientBirthDate")
    return present(
        resourceType="Patient",
        meta=present(security=_security(attributes)),
        extension=animal(attributes),
        identifier=_identifiers(attributes, site),
        name=_names(attributes),
        telecom=[
            {"system": "phone", "value": number}
            for number in lines(attributes, "PatientTelephoneNumbers")
        ],
        gender=gender,
        _gender=said,
        birthDate=birth_date,
        _birthDate=_birth_time(attributes, site) if birth_date else None,
        address=[{"text": address} for address in lines(attributes, "PatientAddress")],
        contact=_contacts(attributes),
    )


def _issuer(attributes: Attributes, site: Site) -> Issuer:
    issuer = patient_id_issuer(attributes, site)
    return issuer if issuer.name else Issuer(site.patient_id_system)


def _identifiers(attributes: Attributes, site: Site) -> list[Element]:
    main = _issuer(attributes, site).signed(line(attributes, "PatientID"), "usual", "MR")
    others = [_other_id(item, site) for item in items(attributes, "OtherPatientIDsSequence")]
    retired = [
        {"use": "secondary", "value": value} for value in lines(attributes, "OtherPatientIDs")
    ]
    # some writers list the PatientID again among the others
    known = (main.get("system"), main.get("value"))
    rest = [one for one in others + retired if (one.get("system"), one.get("value")) != known]
    return distinct([main, *rest])


def _other_id(item: Attributes, site: Site) -> Element:
    identifier = patient_id_issuer(item, site).signed(line(item, "PatientID"), "secondary")
    carrier = line(item, "TypeOfPatientID")
    if not identifier or carrier in (None, "TEXT"):
        return identifier
    return {"use": "secondary", "type": {"text": carrier}, **identifier}


def _names(attributes: Attributes) -> list[Element]:
    found = []
    for keyword, use in (
        ("PatientName", None),
        ("OtherPatientNames", None),
        ("PatientBirthName", "maiden"),
    ):
        for name in values(attributes, keyword):
            found += human_names(name, use)
    return distinct(found)


def _gender(attributes: Attributes) -> tuple[str | None, Element]:
    said = line(attributes, "PatientSex")
    if said is None or said.upper() in _GENDERS:
        return said and _GENDERS[said.upper()], {}
    return "unknown", {"extension": [{"url": _ORIGINAL_TEXT, "valueString": said}]}


def _birth_time(attributes: Attributes, site: Site) -> Element | None:
    moment = date_time(attributes, "PatientBirthDate", "PatientBirthTime", site) or ""
    if "T" not in moment:
        return None
    return {"extension": [{"url": _BIRTH_TIME, "valueDateTime": moment}]}


def _contacts(attributes: Attributes) -> list[Element]:
    role = line(attributes, "ResponsiblePersonRole")
    relationship = [{"text": role}] if role else []
    # PN groups are one name in several scripts, and a contact has one name
    names = human_names(first(attributes, "ResponsiblePerson"))[:1]
    organization = present(display=line(attributes, "ResponsibleOrganization"))
    contact = present(name=names[0] if names else None, organization=organization)
    return [present(relationship=relationship, **contact)] if contact else []


def _security(attributes: Attributes) -> list[Element]:
    if line(attributes, "PatientIdentityRemoved") != "YES":
        return []
    # PS3.15 E.1: encrypted attributes are there to find the person again
    reversible = bool(items(attributes, "EncryptedAttributesSequence"))
    code, name = ("PSEUDED", "pseudonymized") if reversible else ("ANONYED", "anonymized")
    return [{"system": _OBSERVATION_VALUE, "code": code, "display": name}]
